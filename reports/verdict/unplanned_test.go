package verdict

import (
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

// changed adds a change that was seen a second after it was last seen not to be so.
func (r *run) changed(at time.Duration, what, node, text string) *run {
	r.Changes = append(r.Changes, Change{At: at, Since: at - time.Second, What: what, Node: node, Text: text})
	return r
}

// TestUnplanned holds what becomes of a change of the target: a fault's, the target's own, or the host's.
func TestUnplanned(t *testing.T) {
	second := time.Second
	// Effective at 10 s, ended at 20 s, settled at 22 s, healthy at 24 s.
	killed := func() *run {
		return newRun(90).fault("kill", 10*second, 20*second).probes(90*second, 10*second, 14*second).writes(5).
			objectives(t, "rto(write) <= 5s", "acknowledged_writes >= 1")
	}
	ejected := func(r *run, at time.Duration) *run {
		return r.changed(at, ChangeEjected, "engine-2", "engine-2 was ejected by the balancer")
	}
	stalled := func(r *run, s loadgen.Stall) *run {
		r.Recording.Health.Stalls = append(r.Recording.Health.Stalls, s)
		return r
	}
	const own = "warning: engine-2 was ejected by the balancer at 50 s, which no fault asked for"
	for _, test := range []struct {
		name  string
		in    *run
		want  Outcome
		first string // beginning of the first reason
		last  string // beginning of the last reason
		list  int
		host  bool
	}{
		{name: "nothing happened", in: killed(), want: Met, first: "all"},
		{name: "within the fault", in: ejected(killed(), 12*second), want: Met, first: "all"},
		{name: "while the fault was being injected", in: ejected(killed(), 10*second), want: Met, first: "all"},
		{name: "seen after the fault, and not looked at since", in: ejected(killed(), 22500*ms), want: Met, first: "all"},
		{name: "the target is not healthy again yet", in: ejected(killed(), 24*second), want: Met, first: "all"},
		{name: "before the fault", in: ejected(killed(), 8*second), want: Met, first: "all", last: "warning: engine-2", list: 1},
		{name: "long after the fault", in: ejected(killed(), 50*second), want: Met, first: "all", last: own, list: 1},
		{name: "the host stood still before it", in: ejected(killed().stood(47*second, 600*ms), 50*second), want: Invalid, first: "the host stood still: no probe was sent for 0.6 s at 47 s; engine-2 was ejected by the balancer at 50 s, which no fault asked for", list: 1, host: true},
		{name: "too long before it", in: ejected(killed().stood(37*second, 600*ms), 50*second), want: Met, first: "all", last: own, list: 1},
		{name: "after it", in: ejected(killed().stood(51*second, 600*ms), 50*second), want: Met, first: "all", last: own, list: 1},
		{name: "stolen cores", in: ejected(stalled(killed(), loadgen.Stall{At: 47 * second, For: second, Steal: 0.41}), 50*second), want: Invalid, first: "the host stood still: the second at 47 s took 1 s, 41 % of the cores", list: 1, host: true},
		{name: "waiting for a core", in: ejected(stalled(killed(), loadgen.Stall{At: 47 * second, For: second, SchedP99: 180 * ms}), 50*second), want: Invalid, first: "the host stood still: the second at 47 s took 1 s, 0 % of the cores were given to others, and ready work waited 180ms", list: 1, host: true},
		{name: "two, and one of them is the host's", in: ejected(ejected(killed().stood(47*second, 600*ms), 50*second), 80*second), want: Invalid, first: "the host stood still", last: "warning: engine-2 was ejected by the balancer at 80 s", list: 2, host: true},
		{name: "without any fault", in: ejected(newRun(60).probes(60*second, 0, 0).writes(5).objectives(t, "acknowledged_writes >= 1"), 50*second), want: Met, first: "all", last: own, list: 1},
		{name: "a fault that never ended asks for everything behind it", in: ejected(killed().broken(func(i *chaos.Injection) { i.Ended = 0 }), 50*second), want: Inconclusive},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.in.Input)
			if test.want != Inconclusive && v.Outcome != test.want || !strings.HasPrefix(v.Reasons[0], test.first) {
				t.Errorf("Judge = %s; want %s, first reason with %q", verdictText(v), test.want, test.first)
			}
			if last := v.Reasons[len(v.Reasons)-1]; !strings.HasPrefix(last, test.last) {
				t.Errorf("last reason %q, want it to begin with %q", last, test.last)
			}
			if len(v.Unplanned) != test.list {
				t.Fatalf("unplanned: %+v, want %d", v.Unplanned, test.list)
			}
			if test.list > 0 {
				u := v.Unplanned[0]
				if u.HostStoodStill != test.host || u.Node != "engine-2" || u.What != ChangeEjected || u.Why == "" || u.At == 0 {
					t.Errorf("unplanned: %+v, want the host blamed: %t, and why", u, test.host)
				}
			}
		})
	}
}

// TestUnplannedMiss holds that a healthy host leaves a miss a miss, and that one which stood still does
// not turn what it spoilt into one.
func TestUnplannedMiss(t *testing.T) {
	second := time.Second
	slow := func(from, to int) *run {
		return newRun(60).probes(60*second, 0, 0).writes(5).
			seconds("calculate", 0, from, answers(100, 20*ms)).
			seconds("calculate", from, to, answers(100, second)).
			seconds("calculate", to, 60, answers(100, 20*ms)).
			changed(33*second, ChangePrimary, "db-2", "db-2 is primary, it was db-1").
			objectives(t, "p99(calculate) <= 300ms")
	}
	for _, test := range []struct {
		name string
		in   *run
		want Outcome
	}{
		{"the target's own doing", slow(32, 38), Missed},
		{"the host's", slow(32, 38).stood(30*second, 800*ms), Invalid},
		{"nothing was missed", slow(0, 0).stood(30*second, 800*ms), Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := Judge(test.in.Input); v.Outcome != test.want || len(v.Unplanned) != 1 {
				t.Errorf("Judge = %s, unplanned %+v; want %s", verdictText(v), v.Unplanned, test.want)
			}
		})
	}
}

// TestUnplannedAborted: what happened after an interruption is the removal's.
func TestUnplannedAborted(t *testing.T) {
	r := newRun(60).changed(31*time.Second, ChangeEjected, "engine-1", "engine-1 was ejected")
	r.Recording.Aborted, r.Recording.AbortedAt = true, 30*time.Second
	if v := Judge(r.Input); len(v.Unplanned) != 0 {
		t.Errorf("unplanned after the interruption: %+v, want none", v.Unplanned)
	}
}
