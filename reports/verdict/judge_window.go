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
	bad := n - t.good(limit)
	unanswered := n - min(n, t.counts.OK+t.counts.Timeout)
	switch thousandths, isPercentile := percentile(o.Metric); {
	case isPercentile:
		rank := (thousandths*n + 999) / 1000
		r.Value = inUnit(t.response.Max())
		endless := rank > t.response.Count()
		if !endless {
			// Half a rank less, so that rounding cannot step over to the next rank.
			r.Value = inUnit(t.response.Quantile((float64(rank) - .5) / float64(t.response.Count())))
		}
		enough := n-bad >= rank
		if enough { // the middle of the bound's own bucket may lie on the other side of the bound
			r.Value = min(r.Value, o.Bound)
		} else {
			r.Value = max(r.Value, o.Bound)
		}
		r.sharesAgainst(o, bad, enough)
		if endless {
			r.Why += fmt.Sprintf("; %d requests without an answer reach down to this percentile, "+
				"the value is the largest latency seen", unanswered)
		}
	case o.Metric == "max":
		r.Value = inUnit(t.response.Max())
		r.Why = fmt.Sprintf("max %s of %d requests, %d of them slower than %s or failed",
			figure(r.Value, r.Unit), n, bad, figure(o.Bound, o.Unit))
		r.Outcome = outcomeOf((bad == 0) == atMost(o.Op))
	default:
		r.Value = inUnit(t.response.Mean())
		r.Outcome = outcomeOf(compare(r.Value, o.Op, o.Bound))
		r.Why = fmt.Sprintf("mean %s of %d answered requests and timeouts of %d",
			figure(r.Value, r.Unit), t.response.Count(), n)
		if r.Outcome == Met && unanswered*100 > n {
			return r.inconclusive("%s; %d requests have no latency, over 1 %%, so the mean hides them", r.Why, unanswered)
		}
	}
	return r
}

// sharesAgainst sets outcome and evidence from bad of n requests against the share that may be bad.
// The point estimate decides where the sample is large enough to be sure of it. Below the minimum
// only a proven miss counts, and near the bound a sample below four times the minimum is not
// enough. Source: reference/loadgen.md, 6.1.
func (r *Result) sharesAgainst(o Objective, bad uint64, enough bool) {
	n, target := r.Samples, o.allowed()
	lower, upper := ClopperPearson(bad, n, confidence)
	least := minimumSamples(target)
	low := atMost(o.Op)
	r.Outcome = outcomeOf(enough == low)
	r.Why = fmt.Sprintf("%s %s: %d of %d requests (%s) %s; 95 %% bounds %s to %s, against %s",
		o.Metric, figure(r.Value, r.Unit), bad, n, percent(float64(bad)/float64(n)), badness(o),
		percent(lower), percent(upper), percent(target))
	proven := low && lower > target || !low && upper < target
	switch {
	case proven && r.Outcome == Missed:
	case n < least:
		*r = r.inconclusive("%s; %d requests are too few, at least %d are needed", r.Why, n, least)
	case lower <= target && target <= upper && n < 4*least:
		*r = r.inconclusive("%s; the bounds lie on both sides, more requests are needed (%d settle it)", r.Why, 4*least)
	}
}

func badness(o Objective) string {
	if o.Metric == "error_ratio" {
		return "did not succeed"
	}
	return "slower than " + figure(o.Bound, o.Unit) + " or failed"
}

func (r Result) throughput(o Objective, t tally, seconds int) Result {
	r.Value = float64(t.units) / float64(seconds)
	r.Why = fmt.Sprintf("%d units of work acknowledged in %d s", t.units, seconds)
	if seconds < minimumSeconds {
		return r.inconclusive("%s; a throughput needs at least %d s", r.Why, minimumSeconds)
	}
	r.Outcome = outcomeOf(compare(r.Value, o.Op, o.Bound))
	return r
}

func (r Result) errorRatio(o Objective, t tally) Result {
	bad := t.planned() - t.counts.OK
	r.Value = float64(bad) / float64(r.Samples)
	if o.Bound > 0 && o.Bound < 1 {
		// With >= and > the objective asks for errors, so "enough good ones" is its miss.
		enough := compare(r.Value, o.Op, o.Bound) == atMost(o.Op)
		r.sharesAgainst(o, bad, enough)
		return r
	}
	r.Outcome = outcomeOf(compare(r.Value, o.Op, o.Bound))
	r.Why = fmt.Sprintf("%d of %d requests did not succeed", bad, r.Samples)
	return r
}

func (r Result) count(o Objective, t tally) Result {
	failed := t.planned() - t.counts.OK
	r.Value = float64(failed)
	r.Why = fmt.Sprintf("%d of %d requests did not succeed, %d of them never sent", failed, r.Samples, t.counts.Unsent)
	if o.Metric == "unsent" {
		r.Value = float64(t.counts.Unsent)
		r.Why = fmt.Sprintf("%d of %d requests were never sent", t.counts.Unsent, r.Samples)
	}
	r.Outcome = outcomeOf(compare(r.Value, o.Op, o.Bound))
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

// figure prints a value with its unit, to four digits.
func figure(v float64, unit string) string {
	text := fmt.Sprintf("%.4g", v)
	if math.Abs(v) >= 1000 {
		text = fmt.Sprintf("%.0f", v)
	}
	switch unit {
	case "":
		return text
	case "ratio":
		return percent(v)
	case "/s":
		return text + "/s"
	}
	return text + " " + unit
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
