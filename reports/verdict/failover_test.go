package verdict

import (
	"fmt"
	"squall/chaos"
	"squall/loadgen"
	"testing"
	"time"
)

const ms = time.Millisecond

// near prints a time in steps of the probe interval's tenth; "nil" for none.
func near(s *float64) string {
	if s == nil {
		return "nil"
	}
	return fmt.Sprintf("%.2f", *s)
}

func TestFailovers(t *testing.T) {
	second := time.Second
	for _, test := range []struct {
		name                                       string
		in                                         *run
		detection, write, read, outage, resolution string
	}{
		{
			name:      "down for four seconds",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 10*second, 14*second),
			detection: "1.00", write: "4.01", read: "4.01", outage: "4.20", resolution: "14.00",
		},
		{
			name:      "never interrupted",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 0, 0),
			detection: "nil", write: "0.00", read: "0.00", outage: "0.20", resolution: "14.00",
		},
		{
			name: "the interruption may come late in the fault",
			in:   newRun(40).fault("pause", 10*second, 20*second).probes(40*second, 16*second, 17*second),
			// Six seconds of health came first, but that was not recovery.
			detection: "7.00", write: "7.01", read: "7.01", outage: "1.20", resolution: "14.00",
		},
		{
			name: "a flicker shorter than the window is no recovery",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(12*second, 10*second, 12*second).
				also(12*second, 14*second, true).also(14*second, 16*second, false).also(16*second, 40*second, true),
			detection: "1.00", write: "6.01", read: "6.01", outage: "2.20", resolution: "14.00",
		},
		{
			name: "a relapse takes the recovery back",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(12*second, 10*second, 12*second).
				also(12*second, 15400*ms, true).also(15400*ms, 17*second, false).also(17*second, 40*second, true),
			detection: "1.00", write: "7.01", read: "7.01", outage: "2.20", resolution: "14.00",
		},
		{
			name: "back for longer than the window, then down to the end",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(12*second, 10*second, 12*second).
				also(12*second, 15400*ms, true).also(15400*ms, 40*second, false),
			detection: "1.00", write: "nil", read: "nil", outage: "24.60", resolution: "14.00",
		},
		{
			name: "back when it answers, not when the probe that it answers was sent",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(15*second, 10*second, 15*second).
				waited(15*second, 16*second).also(16*second, 40*second, true),
			detection: "1.00", write: "6.00", read: "6.00", outage: "6.19", resolution: "14.00",
		},
		{
			name: "one series alone keeps the system from being recovered",
			in: newRun(40).fault("kill", 10*second, 20*second).
				series("write-fresh", 40*second, 10*second, 12*second).series("write-pooled", 40*second, 10*second, 18*second).
				series("read-fresh", 40*second, 0, 0).series("read-pooled", 40*second, 0, 0),
			detection: "1.00", write: "8.01", read: "0.00", outage: "2.20", resolution: "14.00",
		},
		{
			name:      "never back",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 10*second, 40*second),
			detection: "1.00", write: "nil", read: "nil", outage: "30.99", resolution: "14.00",
		},
		{
			name:      "back, but the recording ends before a whole window",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(22*second, 10*second, 20*second),
			detection: "1.00", write: "nil", read: "nil", outage: "10.20", resolution: "14.00",
		},
		{
			name:      "not interrupted so far, but the recording ends before the fault",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(18*second, 0, 0),
			detection: "nil", write: "nil", read: "nil", outage: "0.20", resolution: "14.00",
		},
		{
			name:      "no probes at all",
			in:        newRun(40).fault("kill", 10*second, 20*second),
			detection: "nil", write: "nil", read: "nil", outage: "nil", resolution: "14.00",
		},
		{
			name:      "only one kind was probed",
			in:        newRun(40).fault("kill", 10*second, 20*second).series("write-fresh", 40*second, 10*second, 14*second),
			detection: "1.00", write: "4.01", read: "nil", outage: "4.20", resolution: "14.00",
		},
		{
			name: "failures outside the fault's phase are not the fault's",
			in:   newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 30*second, 32*second),
			// Healthy in the phase, which ends 2 s after 20 s.
			detection: "nil", write: "0.00", read: "0.00", outage: "0.20", resolution: "14.00",
		},
		{
			name: "acknowledged writes of the load shorten an outage, lines of an import do not",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 10*second, 14*second).
				acknowledged("calculate", "id", 11*second).acknowledged("import", "", 12*second, 13*second),
			detection: "1.00", write: "4.01", read: "4.01", outage: "3.01", resolution: "14.00",
		},
		{
			name:      "a fault that was not undone has no resolution",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 0, 0).broken(func(i *chaos.Injection) { i.Undone = false }),
			detection: "nil", write: "0.00", read: "0.00", outage: "0.20", resolution: "nil",
		},
		{
			name: "a fault that never took effect has no figures",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 10*second, 14*second).
				broken(func(i *chaos.Injection) { i.Effective, i.Felt = 0, false }),
			detection: "nil", write: "nil", read: "nil", outage: "nil", resolution: "nil",
		},
		{
			name:      "a fault that ends as it takes effect",
			in:        newRun(40).fault("crash", 10*second, 10*second).probes(40*second, 10*second, 14*second),
			detection: "1.00", write: "4.01", read: "4.01", outage: "4.20", resolution: "4.00",
		},
		{
			name:      "the same, unnoticed",
			in:        newRun(40).fault("crash", 10*second, 10*second).probes(40*second, 0, 0),
			detection: "nil", write: "0.00", read: "0.00", outage: "0.20", resolution: "4.00",
		},
		{
			name:      "a recording that ends with the last good window",
			in:        newRun(40).fault("kill", 10*second, 12*second).probes(17*second, 10*second, 14*second),
			detection: "1.00", write: "4.01", read: "4.01", outage: "4.20", resolution: "6.00",
		},
		{
			name:      "a prober that is silent for most of the fault proves nothing",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(14*second, 0, 0).also(39*second, 40*second, true),
			detection: "nil", write: "nil", read: "nil", outage: "25.20", resolution: "14.00",
		},
		{
			name:      "nothing was acknowledged before the fault either",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 0, 14*second),
			detection: "1.00", write: "4.01", read: "4.01", outage: "14.01", resolution: "14.00",
		},
		{
			name:      "a probe due when the fault's phase is over is not the fault's",
			in:        newRun(40).fault("kill", 10*second, 20*second).probes(40*second, 22*second, 24*second),
			detection: "nil", write: "0.00", read: "0.00", outage: "2.20", resolution: "14.00",
		},
		{
			name: "a starved prober proves nothing",
			in: newRun(40).fault("kill", 10*second, 20*second).probes(10*second, 0, 0).
				also(39*second, 40*second, true),
			detection: "nil", write: "nil", read: "nil", outage: "29.20", resolution: "14.00",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := Failovers(test.in.Input)[0]
			got := [5]string{near(f.Detection), near(f.RTOWrite), near(f.RTORead), near(f.Outage), near(f.Resolution)}
			want := [5]string{test.detection, test.write, test.read, test.outage, test.resolution}
			if got != want || f.Precision != .2 {
				t.Errorf("detection, rto write, rto read, outage, resolution = %v, precision %v; want %v, 0.2", got, f.Precision, want)
			}
		})
	}
}

// also adds probes of all series from one offset to another, all good or all failed.
func (r *run) also(from, to time.Duration, ok bool) *run {
	for due := from; due < to; due += r.Recording.ProbeEvery {
		for _, series := range []string{"write-fresh", "write-pooled", "read-fresh", "read-pooled"} {
			r.Recording.Probes = append(r.Recording.Probes, loadgen.Probe{Series: series, Due: due, Done: due + 10*ms, OK: ok})
		}
	}
	return r
}

// waited adds probes of all series that were sent from one offset on and all answered at another.
func (r *run) waited(from, answered time.Duration) *run {
	first := len(r.Recording.Probes)
	r.also(from, answered, true)
	for n := range r.Recording.Probes[first:] {
		r.Recording.Probes[first+n].Done = answered
	}
	return r
}

func (r *run) acknowledged(class, id string, at ...time.Duration) *run {
	for _, done := range at {
		r.Recording.Writes = append(r.Recording.Writes, loadgen.Write{
			Key: fmt.Sprint(class, done), Class: class,
			State: loadgen.WriteAcknowledged, ID: id, Done: done,
		})
	}
	return r
}

func (r *run) broken(how func(*chaos.Injection)) *run {
	how(&r.Injections[len(r.Injections)-1])
	return r
}

// TestRecoveryWithFineProbes holds the 99 %: with a probe every 10 ms, six stray failures of 600 do
// not make an interruption, seven do.
func TestRecoveryWithFineProbes(t *testing.T) {
	for _, test := range []struct {
		failures int
		want     string
	}{{6, "0.00"}, {7, "0.11"}} {
		r := newRun(40)
		r.Recording.ProbeEvery = 10 * ms
		r.fault("loss", 10*time.Second, 20*time.Second)
		for _, series := range []string{"write-fresh", "write-pooled"} {
			r.series(series, 30*time.Second, 0, 0)
		}
		failed := 0
		for n := range r.Recording.Probes {
			p := &r.Recording.Probes[n]
			if p.Series == "write-fresh" && p.Due >= 10*time.Second && p.Due%(100*ms) == 0 && failed < test.failures {
				p.OK = false
				failed++
			}
		}
		got := near(Failovers(r.Input)[0].RTOWrite)
		if test.want == "0.00" && got != "0.00" || test.want != "0.00" && got == "0.00" {
			t.Errorf("%d failures of 600: rto = %s, want %s", test.failures, got, test.want)
		}
	}
}

// TestFailoverObjectives holds what the objectives make of the figures.
func TestFailoverObjectives(t *testing.T) {
	second := time.Second
	down := func(end, from, to time.Duration) *run {
		return newRun(40).fault("kill", 10*second, 20*second).probes(end, from, to)
	}
	for _, test := range []struct {
		name, text string
		in         *run
		want       Outcome
		value      string
	}{
		{"kept", "rto(write) <= 5s", down(40*second, 10*second, 14*second), Met, "4.01"},
		{"kept, in milliseconds", "rto(write) <= 4010ms during kill", down(40*second, 10*second, 14*second), Met, "4010.00"},
		{"exceeded", "rto(write) <= 3s", down(40*second, 10*second, 14*second), Missed, "4.01"},
		{"relapsed for good", "rto(write) <= 5s", down(12*second, 10*second, 12*second).also(12*second, 15400*ms, true).also(15400*ms, 40*second, false), Missed, "+Inf"},
		{"never interrupted", "rto(read) <= 1s", down(40*second, 0, 0), Met, "0.00"},
		{"asked to be interrupted", "rto(read) > 1s", down(40*second, 0, 0), Missed, "0.00"},
		{"never back, seen long enough", "rto(write) <= 60s", down(40*second, 10*second, 40*second), Missed, "+Inf"},
		{"back too late to be sure", "rto(write) <= 60s", down(22*second, 10*second, 20*second), Inconclusive, "0.00"},
		{"not back, but the bound is exceeded already", "rto(write) <= 5s", down(22*second, 10*second, 22*second), Missed, "+Inf"},
		{"recording ends before the fault", "rto(write) <= 5s", down(18*second, 0, 0), Inconclusive, "0.00"},
		{"no probes", "rto(write) <= 5s", newRun(40).fault("kill", 10*second, 20*second), Inconclusive, "0.00"},
		{"not felt", "rto(write) <= 5s", down(40*second, 0, 0).broken(func(i *chaos.Injection) { i.Felt = false }), Inconclusive, "0.00"},
		{"no such fault", "rto(write) <= 5s during flood", down(40*second, 0, 0), Inconclusive, "0.00"},
		{"no fault", "rto(write) <= 5s", newRun(40).probes(40*second, 0, 0), Inconclusive, "0.00"},
		{"which of two?", "rto(write) <= 5s", down(40*second, 0, 0).fault("slow", 25*second, 26*second), Inconclusive, "0.00"},
		{"this one of two", "rto(write) <= 5s during slow", down(40*second, 10*second, 18*second).fault("slow", 25*second, 26*second), Met, "0.00"},
		{"the worst of one name", "rto(write) <= 5s", down(40*second, 10*second, 18*second).fault("kill", 25*second, 26*second), Missed, "8.01"},
		{"outage kept", "outage(write) <= 5s", down(40*second, 10*second, 14*second), Met, "4.20"},
		{"outage exceeded", "outage(write) <= 4s", down(40*second, 10*second, 14*second), Missed, "4.20"},
		{"no acknowledged write", "outage(write) <= 4s", newRun(40).fault("kill", 10*second, 20*second), Inconclusive, "0.00"},
		{"detection kept", "detection <= 2s", down(40*second, 10*second, 14*second), Met, "1.00"},
		{"detection exceeded", "detection <= 500ms", down(40*second, 10*second, 14*second), Missed, "1000.00"},
		{"nothing to detect", "detection <= 2s", down(40*second, 0, 0), Inconclusive, "0.00"},
		{"untrustworthy generator", "rto(write) <= 5s", invalid(down(40*second, 10*second, 14*second)), Inconclusive, "0.00"},
		{"silent prober", "outage(write) <= 5s", silent(down(40*second, 10*second, 14*second)), Inconclusive, "0.00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.in.objectives(t, test.text).Input)
			got := v.Objectives[0]
			if got.Outcome != test.want || fmt.Sprintf("%.2f", got.worth()) != test.value || got.Why == "" {
				t.Errorf("Judge: %s = %s, value %.2f %s: %q; want %s, %s", test.text, got.Outcome, got.worth(), got.Unit, got.Why, test.want, test.value)
			}
		})
	}
}

func invalid(r *run) *run {
	r.Recording.Health = loadgen.Health{Reasons: []string{"late by 80 ms in 5 s; give it more cores"}}
	return r
}

func silent(r *run) *run {
	r.Recording.Health.ProbeGapMax = 1500 * ms
	return r
}

// TestPassages: a missing figure says why it is missing.
func TestPassages(t *testing.T) {
	second := time.Second
	kill := func() *run { return newRun(40).fault("kill", 10*second, 20*second) }
	for _, test := range []struct {
		want Passage
		in   *run
	}{
		{Uninterrupted, kill().probes(40*second, 0, 0)},
		{Recovered, kill().probes(40*second, 10*second, 14*second)},
		{Relapsed, kill().probes(12*second, 10*second, 12*second).also(12*second, 16*second, true).also(16*second, 40*second, false)},
		{Down, kill().probes(40*second, 10*second, 40*second)},
		{NotProbed, kill()},
		{NotProbed, kill().probes(8*second, 0, 0)},
		{NotCovered, kill().probes(18*second, 0, 0)},
		{NotInjected, kill().probes(40*second, 0, 0).broken(func(i *chaos.Injection) { i.Effective, i.Felt = 0, false })},
	} {
		if f := Failovers(test.in.Input)[0]; f.Write != test.want || f.Read != test.want {
			t.Errorf("writes %q, reads %q, want %q", f.Write, f.Read, test.want)
		}
	}
}
