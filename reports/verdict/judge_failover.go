package verdict

import (
	"fmt"
	"squall/chaos"
)

// judgeFailover judges rto, outage and detection. Where one name stands for several injections,
// each must keep the bound: the worst is the result.
func (c *court) judgeFailover(o Objective) Result {
	r := c.result(o)
	var worst *Result
	names := map[string]bool{}
	for n, i := range c.in.Injections {
		if fault := o.Fault(); fault != "" && fault != i.Fault {
			continue
		}
		names[i.Fault] = true
		one := c.judgePassage(o, i, c.failover[n])
		if worst == nil || severity(one.Outcome) > severity(worst.Outcome) ||
			one.Outcome == worst.Outcome && one.worth() > worst.worth() {
			worst = &one
		}
	}
	switch {
	case worst == nil:
		return r.inconclusive("no such fault was injected in this run")
	case len(names) > 1:
		return r.inconclusive("several faults were injected; say which with \"during <fault>\"")
	}
	return *worst
}

func (c *court) judgePassage(o Objective, i chaos.Injection, f Failover) Result {
	r := c.result(o)
	r.Phase = duringPrefix + i.Fault
	health := c.in.Recording.Health
	switch {
	case !tookEffect(i) || !i.Felt:
		return r.inconclusive("%s", doubt(chaos.Injection{Fault: i.Fault}))
	case !health.Valid:
		return r.inconclusive(untrustworthy)
	case c.unseen():
		return r.inconclusive("the prober itself was silent for %v", health.ProbeGapMax)
	}
	if s, found := c.standstill(o, i, f); found {
		return r.inconclusive("%s", s)
	}
	switch o.Metric {
	case "rto":
		return c.judgeRTO(r, o, i)
	case "outage":
		r.Samples = uint64(len(c.probes.acknowledged))
		if f.Outage == nil {
			return r.inconclusive("no write was acknowledged in the whole run")
		}
		r.setSeconds(*f.Outage)
		r.Why = "longest time without an acknowledged write: " + r.valueText()
	case "detection":
		r.Samples = uint64(len(c.probes.writes) + len(c.probes.reads))
		if f.Detection == nil {
			return r.inconclusive("no probe failed in the fault's phase")
		}
		r.setSeconds(*f.Detection)
		r.Why = fmt.Sprintf("first failed probe %s after the fault took effect", r.valueText())
	}
	r.Why += ", to within " + figure(f.Precision, "s")
	r.Outcome = outcomeOf(r.kept(o))
	return r
}

// judgeRTO decides a recovery time. A recovery that the recording does not show is a miss only when
// the recording goes on long enough to have shown it.
func (c *court) judgeRTO(r Result, o Objective, i chaos.Injection) Result {
	g := c.probes.passage(o.Of, i)
	r.Samples = g.probes
	within := "to within " + figure(c.in.Recording.ProbeEvery.Seconds(), "s")
	switch {
	case g.probes == 0:
		return r.inconclusive("no %s was probed after the fault took effect", o.Of)
	case g.rto != nil:
		r.setSeconds(*g.rto)
		r.Outcome = outcomeOf(r.kept(o))
		r.Why = fmt.Sprintf("%ss recovered %s after the fault took effect and stayed good for %v, %s",
			o.Of, r.valueText(), lastingWindow, within)
		if !g.interrupted {
			r.Why = fmt.Sprintf("%ss were never interrupted: %d probes", o.Of, g.probes)
		}
		if g.relapses > 0 {
			r.Why += "; that was after " + relapses(g.relapses)
		}
		return r
	case !g.interrupted:
		return r.inconclusive("the %s probes do not cover the fault to its end", o.Of)
	}
	waited := r
	waited.setSeconds(*seconds(g.covered - lastingWindow - i.Effective))
	ended := i.Ended >= i.Effective && g.covered >= i.Ended+lastingWindow
	exceeded := atMost(o.Op) && !waited.kept(o)
	if !ended && !exceeded {
		return r.inconclusive("%ss had not recovered when the recording ended, too early to tell", o.Of)
	}
	r.NoValue, r.Outcome = notRecovered, outcomeOf(!atMost(o.Op))
	never := "never recovered"
	if g.relapses > 0 {
		never = "recovered, and did not come back after " + relapses(g.relapses)
	}
	r.Why = fmt.Sprintf("%ss %s in the recording, which goes on until %s after the fault took effect",
		o.Of, never, figure((g.covered-i.Effective).Seconds(), "s"))
	return r
}

func relapses(n int) string {
	if n == 1 {
		return "a relapse"
	}
	return fmt.Sprintf("%d relapses", n)
}

// setSeconds sets the value in the unit of the bound.
func (r *Result) setSeconds(s float64) {
	if r.Unit == "ms" {
		s *= 1000
	}
	r.measured(s)
}
