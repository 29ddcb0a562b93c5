package verdict

import (
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

// stood adds a gap of the prober.
func (r *run) stood(at, length time.Duration) *run {
	h := &r.Recording.Health
	h.ProbeGaps = append(h.ProbeGaps, loadgen.Gap{At: at, For: length})
	h.ProbeGapMax = max(h.ProbeGapMax, length)
	return r
}

// TestStandstill holds which gaps of the prober matter to which figure, and that those which do make
// the run invalid and no other.
func TestStandstill(t *testing.T) {
	second := time.Second
	// Effective at 10 s, writes bad until 14 s, ended at 20 s, settled at 22 s.
	killed := func() *run {
		return newRun(60).fault("kill", 10*second, 20*second).probes(60*second, 10*second, 14*second).writes(5)
	}
	calm := func() *run {
		return newRun(60).fault("kill", 10*second, 20*second).probes(60*second, 0, 0).writes(5)
	}
	const while = "the host stood still: no probe was sent for 2.3 s at "
	for _, test := range []struct {
		name, objective string
		in              *run
		want            Outcome
		why             string // empty: the gap does not matter
	}{
		{"before the fault", "rto(write) <= 5s", killed().stood(5*second, 2300*ms), Met, ""},
		{"it ends with the fault's effect", "rto(write) <= 5s", killed().stood(7700*ms, 2300*ms), Met, ""},
		{"it reaches into the outage", "rto(write) <= 5s", killed().stood(8*second, 2300*ms), Invalid, while + "8 s, while kill"},
		{"within the outage", "rto(write) <= 5s", killed().stood(11*second, 2300*ms), Invalid, while + "11 s, while kill"},
		{"a miss is no miss either", "rto(write) <= 2s", killed().stood(11*second, 2300*ms), Invalid, while + "11 s, while kill"},
		{"while the recovery is being proven", "rto(write) <= 5s", killed().stood(16*second, 2300*ms), Invalid, while + "16 s"},
		{"after the recovery was proven", "rto(write) <= 5s", killed().stood(18*second, 2300*ms), Met, ""},
		{"after the fault's phase", "rto(write) <= 5s", killed().stood(40*second, 2300*ms), Met, ""},
		{"never interrupted, so all of the phase counts", "rto(write) <= 5s", calm().stood(21*second, 2300*ms), Invalid, while + "21 s"},
		{"never interrupted, and the phase is over", "rto(write) <= 5s", calm().stood(23*second, 2300*ms), Met, ""},
		{"the outage is looked for in all of the phase", "outage(write) <= 5s", killed().stood(18*second, 2300*ms), Invalid, while + "18 s"},
		{"outage, afterwards", "outage(write) <= 5s", killed().stood(23*second, 2300*ms), Met, ""},
		{"detected before", "detection <= 2s", killed().stood(12*second, 2300*ms), Met, ""},
		{"while it should be detected", "detection <= 2s", killed().stood(10200*ms, 2300*ms), Invalid, while + "10.2 s"},
		{"a second is tolerable", "rto(write) <= 5s", killed().stood(11*second, time.Second), Met, ""},
		{"nothing is timed", "acknowledged_writes >= 1", killed().stood(11*second, 2300*ms), Met, ""},
		{"the fault was not felt", "rto(write) <= 5s", notFelt(killed().stood(11*second, 2300*ms)), Inconclusive, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.in.objectives(t, test.objective).Input)
			if v.Outcome != test.want {
				t.Errorf("Judge = %s; want %s", verdictText(v), test.want)
			}
			said := strings.Join(v.Reasons, "\n")
			if test.why != "" && !strings.HasPrefix(v.Reasons[0], test.why) || test.why == "" && strings.Contains(said, "stood still") {
				t.Errorf("reasons: %s; want one that begins with %q", said, test.why)
			}
		})
	}
}

func notFelt(r *run) *run {
	r.Injections[0].Felt = false
	return r
}

// TestStandstillIsNoMiss holds that what the host spoilt in the same seconds does not turn the run
// red, and that everything else still does.
func TestStandstillIsNoMiss(t *testing.T) {
	second := time.Second
	slow := func(from, to int) *run {
		return newRun(60).fault("kill", 10*second, 20*second).probes(60*second, 10*second, 14*second).writes(5).
			seconds("calculate", 0, from, answers(100, 20*ms)).
			seconds("calculate", from, to, answers(100, second)).
			seconds("calculate", to, 60, answers(100, 20*ms))
	}
	lost := func() *run {
		r := slow(11, 13).stood(11*second, 2300*ms)
		r.Ledger[0].Rows = r.Ledger[0].Rows[1:]
		return r
	}
	for _, test := range []struct {
		name, objective string
		in              *run
		want            Outcome
	}{
		{"slow while the host stood still", "p99(calculate) <= 300ms during kill", slow(11, 13).stood(11*second, 2300*ms), Invalid},
		{"slow, and no host to blame", "p99(calculate) <= 300ms during kill", slow(11, 13), Missed},
		{"slow in another phase", "p99(calculate) <= 300ms after", slow(30, 33).stood(11*second, 2300*ms), Missed},
		{"good all the same", "p99(calculate) <= 300ms after", slow(11, 13).stood(11*second, 2300*ms), Invalid},
		{"a lost write counts whatever the host did", "p99(calculate) <= 300ms during kill", lost(), Missed},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.in.objectives(t, "rto(write) <= 5s", test.objective).Input)
			if v.Outcome != test.want {
				t.Errorf("Judge = %s; want %s", verdictText(v), test.want)
			}
		})
	}
}
