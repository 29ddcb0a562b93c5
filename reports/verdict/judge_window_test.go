package verdict

import (
	"math"
	"squall/chaos"
	"strings"
	"testing"
	"time"
)

// mixed is a second of fast and slow answers.
func mixed(fast, slow int) second {
	return second{answers: map[time.Duration]int{100 * ms: fast, 500 * ms: slow}}
}

// TestWindowObjectives judges one objective at a time on a class "c".
func TestWindowObjectives(t *testing.T) {
	second10 := 10 * time.Second
	for _, test := range []struct {
		name, text string
		in         *run
		want       Outcome
		value      float64
		says       string
	}{
		{"kept", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, answers(200, 100*ms)), Met, 100, "0 of 2000 requests"},
		{"kept, in seconds", "p99(c) <= 0.3s", newRun(10).seconds("c", 0, 10, answers(200, 100*ms)), Met, .1, ""},
		{"exactly 1 % slow is not decided", "p99(c) <= 300ms", newRun(20).seconds("c", 0, 20, mixed(99, 1)), Inconclusive, 100, "20 of 2000 requests (1 %)"},
		{"nor is one more", "p99(c) <= 300ms", newRun(21).seconds("c", 0, 20, mixed(99, 1)).seconds("c", 20, 21, mixed(0, 1)), Inconclusive, 500, "about 128064 settle it"},
		{"five % slow", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, mixed(95, 5)), Missed, 500, ""},
		{"all classes together", "p99 <= 300ms", newRun(10).seconds("c", 0, 10, mixed(100, 0)).seconds("d", 0, 10, mixed(50, 50)), Missed, 500, ""},
		{"one class of two", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, mixed(100, 0)).seconds("d", 0, 10, mixed(50, 50)), Met, 100, ""},
		{"unsent requests are slow", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{100 * ms: 95}, unsent: 5}), Missed, 0, "without an answer"},
		{"failed requests are slow", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{1 * ms: 95}, rejected: 5}), Missed, 0, "without an answer"},
		{"timeouts are slow", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{1 * ms: 95}, timeout: 5}), Missed, 0, "p99 no answer: "},
		{"timeouts are slow even below the bound", "p99(c) <= 6s", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{1 * ms: 95}, timeout: 5}), Missed, 0, "p99 no answer: "},
		{"failures below 1 % leave p99 alone", "p99(c) <= 300ms", newRun(20).seconds("c", 0, 20, second{answers: map[time.Duration]int{100 * ms: 199}, rejected: 1}), Met, 100, ""},

		{"298 are too few for p99", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(298, 100*ms)), Inconclusive, 100, "at least 299 are needed"},
		{"299 are enough without a bad one", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(299, 100*ms)), Met, 100, ""},
		{"299 are not enough with one bad", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, mixed(298, 1)), Inconclusive, 100, "1196 settle it"},
		{"a figure below the bound decides nothing", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, mixed(1187, 9)), Inconclusive, 100, "about 4784 settle it"},
		{"nor does one above it", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, mixed(1187, 13)), Inconclusive, 500, "settle it"},
		{"11 of 11980 at 0.1 %", "error_ratio(c) <= 0.1%", newRun(1).seconds("c", 0, 1, second{answers: map[time.Duration]int{ms: 11969}, rejected: 11}), Inconclusive, 11. / 11980, "both sides"},
		{"twice as many as may be, of many", "p99(c) <= 300ms", newRun(20).seconds("c", 0, 20, mixed(98, 2)), Missed, 500, ""},
		{"too few, but proven slow", "p99(c) <= 300ms", newRun(1).seconds("c", 0, 1, mixed(20, 20)), Missed, 500, ""},
		{"4 are too few for p50", "p50(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(4, 100*ms)), Inconclusive, 100, "at least 5"},
		{"5 are enough for p50", "p50(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(5, 100*ms)), Met, 100, ""},
		{"28 are too few for p90", "p90(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(28, 100*ms)), Inconclusive, 100, "at least 29"},
		{"58 are too few for p95", "p95(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(58, 100*ms)), Inconclusive, 100, "at least 59"},
		{"2994 are too few for p99.9", "p999(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(2994, 100*ms)), Inconclusive, 100, "at least 2995"},
		{"2995 are enough for p99.9", "p999(c) <= 300ms", newRun(1).seconds("c", 0, 1, answers(2995, 100*ms)), Met, 100, ""},
		{"none at all", "p99(c) <= 300ms", newRun(10), Inconclusive, 0, "no request of c was due"},
		{"another class only", "p99(c) <= 300ms", newRun(10).seconds("d", 0, 10, answers(100, ms)), Inconclusive, 0, "no request of c was due"},
		{"all unsent", "p99(c) <= 300ms", newRun(10).seconds("c", 0, 10, second{unsent: 100}), Missed, 0, "p99 no answer: "},

		{"slow on purpose", "p50(c) >= 300ms", newRun(10).seconds("c", 0, 10, answers(10, 500*ms)), Met, 500, ""},
		{"not slow though it should be", "p50(c) >= 300ms", newRun(10).seconds("c", 0, 10, answers(10, 100*ms)), Missed, 100, ""},
		{"few, but all of them slow", "p99(c) >= 300ms", newRun(10).seconds("c", 0, 10, answers(10, 500*ms)), Met, 500, ""},
		{"too few to be slow", "p99(c) >= 300ms", newRun(1).seconds("c", 0, 1, answers(40, 100*ms)), Inconclusive, 100, "too few"},

		{"max kept", "max(c) <= 600ms", newRun(10).seconds("c", 0, 10, mixed(9, 1)), Met, 500, ""},
		{"max exceeded", "max(c) <= 300ms", newRun(10).seconds("c", 0, 10, mixed(9, 1)), Missed, 500, ""},
		{"max with a failure", "max(c) <= 600ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 9}, rejected: 1}), Missed, 0, "max no answer: "},
		{"max above on purpose", "max(c) >= 300ms", newRun(10).seconds("c", 0, 10, mixed(9, 1)), Met, 500, ""},
		{"mean kept", "mean(c) <= 200ms", newRun(10).seconds("c", 0, 10, mixed(9, 1)), Met, 140, ""},
		{"mean exceeded", "mean(c) <= 120ms", newRun(10).seconds("c", 0, 10, mixed(9, 1)), Missed, 140, ""},
		{"mean with 1 % failures", "mean(c) <= 120ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 99}, rejected: 1}), Met, 1, ""},
		{"mean hides failures", "mean(c) <= 120ms", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 9}, rejected: 1}), Inconclusive, 1, "hides"},

		{"rate kept", "throughput(c) >= 200/s", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 20}, units: 200}), Met, 200, "2000 units of work"},
		{"rate missed", "throughput(c) >= 201/s", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 20}, units: 200}), Missed, 200, ""},
		{"seconds without work count", "throughput(c) >= 200/s", newRun(10).seconds("c", 0, 9, second{answers: map[time.Duration]int{ms: 20}, units: 200}), Missed, 180, ""},
		{"rate of all classes", "throughput >= 30/s", newRun(10).seconds("c", 0, 10, answers(20, ms)).seconds("d", 0, 10, answers(10, ms)), Met, 30, ""},
		{"two seconds are no rate", "throughput(c) >= 1/s", newRun(2).seconds("c", 0, 2, answers(20, ms)), Inconclusive, 20, "at least 3 s"},
		{"a ceiling on nothing is not met", "throughput(c) <= 1/s", newRun(10), Inconclusive, 0, ""},

		{"few errors", "error_ratio(c) <= 1%", newRun(10).seconds("c", 0, 10, answers(100, ms)), Met, 0, ""},
		{"many errors", "error_ratio(c) <= 1%", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 90}, rejected: 5, unsent: 5}), Missed, .1, "100 of 1000 requests (10 %) did not succeed"},
		{"too few for 0.1 %", "error_ratio(c) <= 0.1%", newRun(10).seconds("c", 0, 10, answers(100, ms)), Inconclusive, 0, "at least 2995"},
		{"no errors at all", "error_ratio(c) == 0", newRun(10).seconds("c", 0, 10, answers(1, ms)), Met, 0, ""},
		{"one error", "error_ratio(c) == 0", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 9}, timeout: 1}), Missed, .1, ""},
		{"errors on purpose", "error_ratio(c) >= 5%", newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 90}, rejected: 10}), Met, .1, ""},
		{"no errors though there should be", "error_ratio(c) >= 5%", newRun(10).seconds("c", 0, 10, answers(100, ms)), Missed, 0, ""},

		{"nothing failed", "failed(c) == 0", newRun(10).seconds("c", 0, 10, answers(1, ms)), Met, 0, ""},
		{"nothing asked, nothing failed", "failed(c) == 0", newRun(10), Inconclusive, 0, "no request of c"},
		{"unsent counts as failed", "failed(c) == 0", newRun(10).seconds("c", 0, 1, second{unsent: 1}).seconds("c", 1, 9, answers(1, ms)), Missed, 1, ""},
		{"timeouts count as failed", "failed(c) <= 1", newRun(10).seconds("c", 0, 2, second{timeout: 1}), Missed, 2, ""},
		{"unsent", "unsent(c) == 0", newRun(10).seconds("c", 0, 2, second{unsent: 1}), Missed, 2, "2 of 2 requests were never sent"},
		{"failed is not unsent", "unsent(c) == 0", newRun(10).seconds("c", 0, 2, second{timeout: 1}), Met, 0, ""},

		{"no such phase", "failed(c) == 0 during flood", newRun(10).seconds("c", 0, 10, answers(1, ms)), Inconclusive, 0, "has no seconds"},
		{"a phase that the run never reached", "failed(c) == 0 after", newRun(10).seconds("c", 0, 10, answers(1, ms)).fault("kill", 5*time.Second, 9*time.Second), Inconclusive, 0, "has no seconds"},
		{"no plan, no peak", "failed(c) == 0 at peak", unplanned(newRun(10).seconds("c", 0, 10, answers(1, ms))), Inconclusive, 0, "has no seconds"},
		{"only the phase counts", "failed(c) == 0 before", newRun(30).seconds("c", 0, 10, answers(1, ms)).seconds("c", 10, 30, second{timeout: 1}).fault("kill", second10, 2*second10), Met, 0, ""},
		{"during", "failed(c) == 0 during kill", newRun(30).seconds("c", 0, 10, answers(1, ms)).seconds("c", 10, 30, second{timeout: 1}).fault("kill", second10, 2*second10), Missed, 12, ""},
		{"during a fault not felt", "failed(c) == 0 during kill", newRun(30).seconds("c", 0, 30, answers(1, ms)).fault("kill", second10, 2*second10).broken(func(i *chaos.Injection) { i.Felt = false }), Inconclusive, 0, "never felt"},
		{"after a fault not undone", "failed(c) == 0 after", newRun(30).seconds("c", 0, 30, answers(1, ms)).fault("kill", second10, 2*second10).broken(func(i *chaos.Injection) { i.Undone = false }), Inconclusive, 0, "not verified gone"},
		{"before a fault not felt", "failed(c) == 0 before", newRun(30).seconds("c", 0, 30, answers(1, ms)).fault("kill", second10, 2*second10).broken(func(i *chaos.Injection) { i.Felt = false }), Met, 0, ""},
		{"during another fault", "failed(c) == 0 during slow", newRun(40).seconds("c", 0, 40, answers(1, ms)).fault("kill", second10, 2*second10).broken(func(i *chaos.Injection) { i.Felt = false }).fault("slow", 3*second10, 3*second10), Met, 0, ""},
		{"untrustworthy generator", "p99(c) <= 300ms", invalid(newRun(10).seconds("c", 0, 10, answers(200, 100*ms))), Inconclusive, 100, "not trustworthy"},
		{"an untrustworthy generator cannot miss either", "p99(c) <= 300ms", invalid(newRun(10).seconds("c", 0, 10, answers(200, 500*ms))), Inconclusive, 500, "not trustworthy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Judge(test.in.objectives(t, test.text).Input).Objectives[0]
			if got.Outcome != test.want || math.Abs(got.worth()-test.value) > .001*test.value || got.Why == "" || !strings.Contains(got.Why, test.says) {
				t.Errorf("Judge: %s = %s, value %v %s: %q; want %s, %v, evidence that says %q",
					test.text, got.Outcome, got.valueText(), got.Unit, got.Why, test.want, test.value, test.says)
			}
			if math.IsNaN(got.worth()) || math.IsInf(got.worth(), 0) {
				t.Errorf("value %v cannot be written as JSON", got.worth())
			}
		})
	}
}

func unplanned(r *run) *run {
	r.Planned = nil
	return r
}

// TestUnsentNeverHelps is the property that not sending requests, instead of answering them
// quickly, can never improve a latency objective.
func TestUnsentNeverHelps(t *testing.T) {
	rank := map[Outcome]int{Met: 2, Inconclusive: 1, Missed: 0}
	for slow := range 30 {
		previous := 2
		for unsent := range uint64(40) {
			s := mixed(1300-slow-int(unsent), slow)
			s.unsent = unsent
			got := Judge(newRun(1).seconds("c", 0, 1, s).objectives(t, "p99(c) <= 300ms").Input).Objectives[0]
			if rank[got.Outcome] > previous {
				t.Fatalf("%d slow, %d unsent: %s, better than with one unsent less", slow, unsent, got.Outcome)
			}
			previous = rank[got.Outcome]
		}
	}
}

// TestEvidenceOfUnanswered holds that failures are blamed for a percentile only where they reach it.
func TestEvidenceOfUnanswered(t *testing.T) {
	for unsent, want := range map[uint64]bool{10: false, 11: true} {
		s := answers(1000-int(unsent), 100*ms)
		s.unsent = unsent
		got := Judge(newRun(1).seconds("c", 0, 1, s).objectives(t, "p99(c) <= 300ms").Input).Objectives[0]
		if blamed := strings.Contains(got.Why, "without an answer"); blamed != want {
			t.Errorf("%d of 1000 unsent: %q, want them blamed: %v", unsent, got.Why, want)
		}
	}
}

// TestPlannedIsNeverUnderstated holds that a recording that forgot to plan what it sent cannot
// have more successes than requests.
func TestPlannedIsNeverUnderstated(t *testing.T) {
	r := newRun(10).seconds("c", 0, 10, second{answers: map[time.Duration]int{ms: 9}, timeout: 1})
	for n := range r.Recording.Seconds {
		r.Recording.Seconds[n].Planned = 0
	}
	got := Judge(r.objectives(t, "failed(c) == 0").Input)
	if o := got.Objectives[0]; o.Outcome != Missed || o.worth() != 10 || o.Samples != 100 {
		t.Errorf("failed(c) == 0 = %s, %v of %d, want missed, 10 of 100", o.Outcome, o.worth(), o.Samples)
	}
	if c := got.Phases[0].Classes["c"]; c.ErrorRatio != .1 {
		t.Errorf("error ratio %v, want 0.1", c.ErrorRatio)
	}
}
