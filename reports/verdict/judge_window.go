package verdict

import (
	"fmt"
	"math"
	"squall/chaos"
	"strings"
	"time"
)

// minimumSeconds is how long a phase must be for a throughput: below it the rate depends on where
// the second boundaries fall.
const minimumSeconds = 3

// untrustworthy is why nothing measured by a late or starved generator is concluded.
const untrustworthy = "the load generator was not trustworthy, so this says nothing about the target"

// judgeWindow judges the objectives that are measured in a phase: latency, throughput, shares and
// counts of requests.
func (c *court) judgeWindow(o Objective) Result {
	r := c.result(o)
	w, found := c.window(o.Phase)
	if !found || w.seconds == 0 {
		return r.inconclusive("the phase %q has no seconds in this run", o.Phase)
	}
	t := w.of(o.Of)
	if r.Samples = t.planned(); r.Samples == 0 {
		return r.inconclusive("no request of %s was due in the phase %q", subject(o.Of), o.Phase)
	}
	switch familyOf(o.Metric) {
	case latencyFamily:
		r = r.latency(o, t)
	case throughputFamily:
		r = r.throughput(o, t, w.seconds)
	case ratioFamily:
		r = r.errorRatio(o, t)
	default:
		r = r.count(o, t)
	}
	switch why := c.unproven(o.Phase); {
	case why != "":
		return r.inconclusive("%s; measured all the same: %s", why, r.Why)
	case !c.in.Recording.Health.Valid:
		return r.inconclusive("%s; measured all the same: %s", untrustworthy, r.Why)
	}
	if b, found := c.blamedOn(w); found && r.Outcome == Missed {
		return r.inconclusive("%s; measured all the same: %s", b.why, r.Why)
	}
	return r
}

func subject(of string) string {
	if of == "" {
		return "any class"
	}
	return of
}

// unproven says why nothing may be concluded from a phase: the fault that it is about was not
// measured to be there, or not to be gone.
func (c *court) unproven(phase string) string {
	fault, during := strings.CutPrefix(phase, duringPrefix)
	if !during && phase != PhaseAfter {
		return ""
	}
	for _, i := range c.in.Injections {
		if during && i.Fault != fault {
			continue
		}
		if why := doubt(i); why != "" {
			return why
		}
	}
	return ""
}

// doubt says why an injection proves nothing; empty when it was felt and is gone.
func doubt(i chaos.Injection) string {
	switch {
	case !i.Felt:
		return fmt.Sprintf("fault %q was never felt: its effect could not be measured", i.Fault)
	case !i.Undone:
		return fmt.Sprintf("fault %q was not verified gone", i.Fault)
	}
	return ""
}

// percentile returns the share of requests that must be good, in thousandths; ok is false for max
// and mean.
func percentile(metric string) (thousandths uint64, ok bool) {
	switch metric {
	case "p50":
		return 500, true
	case "p90":
		return 900, true
	case "p95":
		return 950, true
	case "p99":
		return 990, true
	case "p999":
		return 999, true
	}
	return 0, false
}

// latency judges a latency by counting requests, not by reading a percentile: a request that
// failed or was never sent has no latency, and is counted as slower than every bound.
func (r Result) latency(o Objective, t tally) Result {
	unit := time.Millisecond
	if o.Unit == "s" {
		unit = time.Second
	}
	inUnit := func(d time.Duration) float64 { return float64(d) / float64(unit) }
	n, limit := t.planned(), time.Duration(math.Round(o.Bound*float64(unit)))
	bad, answered := n-t.good(limit), t.answered()
	switch thousandths, isPercentile := percentile(o.Metric); {
	case isPercentile:
		rank := (thousandths*n + 999) / 1000
		enough := n-bad >= rank
		endless := rank > answered
		if endless {
			r.NoValue = noAnswer
		} else {
			// Half a rank less, so that rounding cannot step over to the next rank.
			r.measured(inUnit(t.response.Quantile((float64(rank) - .5) / float64(t.response.Count()))))
		}
		if enough && !endless { // the middle of the bound's own bucket may lie behind the bound
			r.measured(min(*r.Value, o.Bound))
		}
		r.sharesAgainst(o, bad)
		if endless {
			r.Why += fmt.Sprintf("; %d requests without an answer reach down to this percentile",
				n-min(n, answered))
		}
	case o.Metric == "max":
		if answered < n {
			r.NoValue = noAnswer
		} else {
			r.measured(inUnit(t.response.Max()))
			if t.response.Max() > limit { // exact, where a bucket also holds the bound
				bad = max(bad, 1)
			}
		}
		r.Outcome = outcomeOf((bad == 0) == atMost(o.Op))
		value, bound := r.texts()
		r.Why = fmt.Sprintf("max %s: %d of %d requests slower than %s or failed", value, bad, n, bound)
	default:
		return r.mean(o, t, inUnit(t.response.Mean()))
	}
	return r
}

// mean judges a mean, which counts a timeout with the time that was waited; what failed otherwise or
// was never sent has no share in it.
func (r Result) mean(o Objective, t tally, mean float64) Result {
	n := t.planned()
	r.Outcome = outcomeOf(compare(mean, o.Op, o.Bound))
	r.measured(mean)
	if t.answered() == 0 {
		r.Value, r.NoValue = nil, noAnswer
	}
	r.Why = fmt.Sprintf("mean %s of %d answered requests and timeouts of %d", r.valueText(), t.response.Count(), n)
	hidden := n - min(n, t.counts.OK+t.counts.Timeout)
	switch {
	case r.Outcome != Met:
	case r.Value == nil:
		return r.inconclusive("%s; no request was answered", r.Why)
	case hidden*100 > n:
		return r.inconclusive("%s; %d requests have no latency, over 1 %%, so the mean hides them", r.Why, hidden)
	}
	return r
}

// sharesAgainst sets outcome and evidence from bad of n requests against the share that may be bad. The bounds decide:
// what they do not tell from the bound is inconclusive, however large the sample. Met and missed are each wrong at most once
// in twenty, as long as the requests are independent. Source: reference/loadgen.md, 6.1.
func (r *Result) sharesAgainst(o Objective, bad uint64) {
	n, target := r.Samples, o.allowed()
	lower, upper := ClopperPearson(bad, n, confidence)
	value, bound := r.texts()
	shares, allowed := besides("ratio", target, float64(bad)/float64(n), lower, upper)
	r.Why = fmt.Sprintf("%s %s: %d of %d requests (%s) %s; 95 %% bounds %s to %s, against %s",
		o.Metric, value, bad, n, shares[0], badness(o, bound), shares[1], shares[2], allowed)
	least := minimumSamples(target)
	switch decided, enough := sideOf(target, lower, upper); {
	case decided:
		r.Outcome = outcomeOf(enough == atMost(o.Op))
	case n < least:
		*r = r.inconclusive("%s; %d requests are too few, at least %d are needed", r.Why, n, least)
	default:
		*r = r.inconclusive("%s; the bounds lie on both sides, more requests are needed%s", r.Why, settling(bad, n, target))
	}
}

// sideOf says whether both bounds on the bad share lie on one side of the share that may be bad, and whether that side is
// the good one.
func sideOf(target, lower, upper float64) (decided, enough bool) {
	const rounding = 1e-12 // of the quantile
	enough = upper <= target*(1+rounding)
	return enough || lower > target, enough
}

// settling says about how many requests would decide, if the share stayed as it is.
func settling(bad, n uint64, target float64) string {
	share := float64(bad) / float64(n)
	for more := 2 * n; more < 1e9; more *= 2 {
		lower, upper := ClopperPearson(uint64(math.Round(share*float64(more))), more, confidence)
		if decided, _ := sideOf(target, lower, upper); decided {
			return fmt.Sprintf(" (about %d settle it if the share stays)", more)
		}
	}
	return ""
}

// badness says what makes a request bad; bound is the bound as it is printed.
func badness(o Objective, bound string) string {
	if o.Metric == "error_ratio" {
		return "did not succeed"
	}
	return "slower than " + bound + " or failed"
}

func (r Result) throughput(o Objective, t tally, seconds int) Result {
	r.measured(float64(t.units) / float64(seconds))
	r.Why = fmt.Sprintf("%d units of work acknowledged in %d s", t.units, seconds)
	if seconds < minimumSeconds {
		return r.inconclusive("%s; a throughput needs at least %d s", r.Why, minimumSeconds)
	}
	r.Outcome = outcomeOf(r.kept(o))
	return r
}

func (r Result) errorRatio(o Objective, t tally) Result {
	bad := t.planned() - t.counts.OK
	r.measured(float64(bad) / float64(r.Samples))
	if o.Bound > 0 && o.Bound < 1 {
		r.sharesAgainst(o, bad)
		return r
	}
	r.Outcome = outcomeOf(r.kept(o))
	r.Why = fmt.Sprintf("%d of %d requests did not succeed", bad, r.Samples)
	return r
}

func (r Result) count(o Objective, t tally) Result {
	failed := t.planned() - t.counts.OK
	r.measured(float64(failed))
	r.Why = fmt.Sprintf("%d of %d requests did not succeed, %d of them never sent", failed, r.Samples, t.counts.Unsent)
	if o.Metric == "unsent" {
		r.measured(float64(t.counts.Unsent))
		r.Why = fmt.Sprintf("%d of %d requests were never sent", t.counts.Unsent, r.Samples)
	}
	r.Outcome = outcomeOf(r.kept(o))
	return r
}

// inconclusive keeps the figures and says why they prove nothing.
func (r Result) inconclusive(format string, args ...any) Result {
	r.Outcome = Inconclusive
	r.Why = fmt.Sprintf(format, args...)
	return r
}

func outcomeOf(met bool) Outcome { //nolint:revive // it names the value, it steers nothing
	if met {
		return Met
	}
	return Missed
}

// atMost says whether the objective sets a ceiling. Of the others, >= and > set a floor.
func atMost(op string) bool { return op != ">=" && op != ">" }

func compare(value float64, op string, bound float64) bool {
	switch op {
	case "<=":
		return value <= bound
	case "<":
		return value < bound
	case ">=":
		return value >= bound
	case ">":
		return value > bound
	case "==":
		return value == bound
	}
	return false
}
