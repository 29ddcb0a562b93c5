package verdict

import (
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

func TestFiguresBesideABoundDiffer(t *testing.T) {
	for _, test := range []struct {
		unit         string
		value, bound float64
		want, beside string
	}{
		{"ms", 134.217, 134, "134.2 ms", "134 ms"},
		{"ms", 134.02, 134, "134.02 ms", "134 ms"},
		{"ms", 999.96, 1000, "999.96 ms", "1000 ms"},
		{"ms", 12345.4, 12345, "12345.4 ms", "12345 ms"},
		{"ms", 300, 300, "300 ms", "300 ms"},
		{"s", 4.0000001, 4, "4.0000001 s", "4 s"},
		{"/s", 41.66666, 150000. / 3600, "41.66666/s", "41.66667/s"},
		{"ratio", .0012349, .001234, "0.1235 %", "0.1234 %"},
		{"", 10000001, 10000000, "10000001", "10000000"},
	} {
		got, bound := besides(test.unit, test.bound, test.value)
		if got[0] != test.want || bound != test.beside {
			t.Errorf("besides(%q, %v, %v) = %s, %s, want %s, %s", test.unit, test.bound, test.value, got[0], bound,
				test.want, test.beside)
		}
	}
}

// TestNarrowMissShowsItself holds that the evidence of a narrow miss, and of a narrow met, does not
// say that value and bound are the same.
func TestNarrowMissShowsItself(t *testing.T) {
	near := newRun(40).fault("kill", 10*time.Second, 20*time.Second).probes(40*time.Second, 10*time.Second, 14*time.Second)
	for _, test := range []struct {
		name, text string
		in         *run
		want       Outcome
		says       string
	}{
		{"p99", "p99(c) <= 134.0ms", newRun(10).seconds("c", 0, 10, answers(200, 134250*time.Microsecond)), Missed, "p99 134.2 ms: 2000 of 2000"},
		{"max within the bound's bucket", "max(c) <= 300ms", newRun(10).seconds("c", 0, 10, answers(20, 300020*time.Microsecond)), Missed, "max 300.02 ms: 1 of 200 requests slower than 300 ms"},
		{"mean", "mean(c) <= 134ms", newRun(10).seconds("c", 0, 10, answers(20, 134*ms+2*time.Microsecond)), Missed, "mean 134.002 ms"},
		{"narrow met", "mean(c) <= 134ms", newRun(10).seconds("c", 0, 10, answers(20, 134*ms-2*time.Microsecond)), Met, "mean 133.998 ms"},
		{"error ratio", "error_ratio(c) <= 10.001%", newRun(100).seconds("c", 0, 100, second{answers: map[time.Duration]int{ms: 90}, rejected: 10}), Inconclusive, "error_ratio 10 %: 1000 of 10000 requests (10 %) did not succeed; 95 % bounds 9.5102 % to 10.507 %, against 10.001 %"},
		{"outage", "outage(write) <= 4.1999s", near, Missed, "write: 4.2 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Judge(test.in.objectives(t, test.text).Input).Objectives[0]
			if value, bound := got.texts(); got.Outcome != test.want || value == bound || !strings.Contains(got.Why, test.says) {
				t.Errorf("%s = %s, %s beside %s: %q, want %s, %q", test.text, got.Outcome, value, bound, got.Why, test.want, test.says)
			}
		})
	}
}

// TestNoFigureWithoutAnAnswer holds that a latency which nobody was answered in is neither the bound
// nor a zero nor the time that was waited in vain.
func TestNoFigureWithoutAnAnswer(t *testing.T) {
	failing := func(s loadgen.Second) *run {
		r := newRun(40)
		for at := range 40 {
			s.At, s.Class, s.Planned, s.Sent = at, "gone", 20, 20
			for range s.Timeout {
				s.Response.Record(5 * time.Second)
			}
			r.Recording.Seconds = append(r.Recording.Seconds, s)
		}
		return r
	}
	for name, s := range map[string]loadgen.Second{
		"refused": {Counts: loadgen.Counts{HTTPError: 20}}, "timeouts": {Counts: loadgen.Counts{Timeout: 20}},
	} {
		v := Judge(failing(s).objectives(t, "p99(gone) <= 300ms", "max(gone) <= 1s", "throughput(gone) >= 1/s",
			"p50(gone) <= 300ms", "mean(gone) <= 300ms").Input)
		for _, r := range v.Objectives {
			none := !strings.HasPrefix(r.Text, "throughput")
			if (r.Outcome != Missed && !strings.HasPrefix(r.Text, "mean")) || r.Outcome == Met ||
				none != (r.Value == nil) || none != (r.NoValue == noAnswer) || none != strings.Contains(r.Why, noAnswer) {
				t.Errorf("%s: %s = %s, %s: %q, want a miss without a latency", name, r.Text, r.Outcome, r.valueText(), r.Why)
			}
		}
		if v.ExitCode != ExitMissed {
			t.Errorf("%s: exit code %d, want %d", name, v.ExitCode, ExitMissed)
		}
		for _, p := range v.Phases {
			if c := p.Classes["gone"]; c.P50 != nil || c.P99 != nil || c.Max != nil || c.Mean != nil {
				t.Errorf("%s: %s has latencies %+v, want none", name, p.Name, c)
			}
		}
	}
}

// TestNothingFoundIsNoZero holds that the ledger's zeros count only where it was read.
func TestNothingFoundIsNoZero(t *testing.T) {
	r := failoverRun(t)
	r.Ledger = nil
	for _, o := range Judge(r.Input).Objectives {
		if o.Text == "lost_writes == 0" && o.Value != nil {
			t.Errorf("lost_writes of a ledger that was not read = %v, want none", *o.Value)
		}
	}
}

// TestNoRecoveryHasNoTime holds that a recovery which never came is not timed by when the recording
// ended, which may be within the bound, and is worse than any that did come.
func TestNoRecoveryHasNoTime(t *testing.T) {
	r := newRun(60).fault("kill", 10*time.Second, 12*time.Second).fault("kill", 30*time.Second, 32*time.Second).
		probes(60*time.Second, 30*time.Second, 60*time.Second).objectives(t, "rto(write) <= 60s")
	got := Judge(r.Input).Objectives[0]
	if got.Outcome != Missed || got.Value != nil || got.valueText() != notRecovered {
		t.Errorf("%s = %s, %s: %q, want missed, %s", got.Text, got.Outcome, got.valueText(), got.Why, notRecovered)
	}
}
