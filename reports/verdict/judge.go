package verdict

import (
	"fmt"
	"slices"
	"squall/chaos"
	"strings"
)

// The exit codes of a judged run (DESIGN.md, Command line).
const (
	ExitMet          = 0
	ExitMissed       = 1
	ExitInvalid      = 3
	ExitInconclusive = 4
	ExitError        = 5
	ExitAborted      = 130 // after SIGINT; the caller sets 143 after SIGTERM
)

// Judge judges a run. It is pure, and never Met by default: what is not proven is Inconclusive, a
// generator that cannot be trusted makes the run Invalid, a fault that could not be injected or
// undone makes it an Error. The worst wins, in the order Missed, Error, Invalid, Inconclusive, Met.
// A change of the target that no fault asked for is a warning, or makes the run Invalid where the host
// stood still before it. An aborted run is Aborted, unless a fault was left behind. Whatever the generator was like, a
// ledger that contradicts its receipts makes the run Missed.
func Judge(in Input) Verdict {
	if in.Recording == nil {
		return Verdict{Outcome: Error, ExitCode: ExitError, Reasons: []string{"nothing was recorded"}}
	}
	c := newCourt(in)
	v := Verdict{
		Reasons: []string{}, Phases: []Phase{}, Objectives: []Result{},
		Failover: c.failover, Audit: c.audit, Unplanned: c.unplanned,
	}
	for _, w := range c.windows {
		v.Phases = append(v.Phases, w.export())
	}
	for _, o := range in.Objectives {
		v.Objectives = append(v.Objectives, c.judge(o))
	}
	v.Objectives = append(v.Objectives, c.implicit()...)
	findings := c.findings(v.Objectives)
	v.conclude(findings)
	if in.Recording.Aborted {
		v.abort(findings)
	}
	v.ExitCode = exitCode(v.Outcome)
	if v.Outcome == Met {
		v.Reasons = []string{fmt.Sprintf("all %d objectives were met", len(v.Objectives))}
	}
	for _, u := range v.Unplanned {
		if !u.HostStoodStill {
			v.Reasons = append(v.Reasons, u.warning())
		}
	}
	return v
}

// conclude makes outcome and reasons of the findings, the worst first.
func (v *Verdict) conclude(findings []finding) {
	slices.SortStableFunc(findings, func(a, b finding) int { return severity(b.outcome) - severity(a.outcome) })
	v.Outcome = Met
	for _, f := range findings {
		if severity(f.outcome) > severity(v.Outcome) {
			v.Outcome = f.outcome
		}
		v.Reasons = append(v.Reasons, f.reason)
	}
}

// abort makes the verdict that of an interrupted run: what is broken counts, a miss does not.
func (v *Verdict) abort(findings []finding) {
	if slices.ContainsFunc(findings, func(f finding) bool { return f.outcome == Error }) {
		v.Outcome = Error
		return
	}
	v.Outcome = Aborted
	v.Reasons = append([]string{"the run was interrupted; what follows is of the part that was recorded"}, v.Reasons...)
}

// court is a run before its judge: everything that several objectives are judged by, worked out
// once.
type court struct {
	in        Input
	windows   []window
	probes    probeLog
	failover  []Failover
	unplanned []Unplanned
	blames    []blame // stretches that the host spoilt
	audit     Audit
	examples  exampleBox
}

func newCourt(in Input) *court {
	c := &court{in: in, windows: cut(in), probes: newProbeLog(in.Recording), failover: Failovers(in)}
	c.audit, c.examples = audit(in.Recording.Writes, in.Ledger)
	for _, s := range c.standstills() {
		c.blames = append(c.blames, s.blame())
	}
	changes, blames := spontaneous(in)
	c.unplanned, c.blames = changes, append(c.blames, blames...)
	return c
}

func (c *court) judge(o Objective) Result {
	switch familyOf(o.Metric) {
	case latencyFamily, throughputFamily, ratioFamily, countFamily:
		return c.judgeWindow(o)
	case failoverFamily:
		return c.judgeFailover(o)
	case ledgerFamily:
		return c.judgeLedger(o)
	}
	return c.result(o).inconclusive("unknown metric %q", o.Metric)
}

func (c *court) result(o Objective) Result {
	return Result{Text: o.Text, Bound: o.Bound, Unit: o.Unit, Phase: o.Phase, Outcome: Inconclusive}
}

func (c *court) window(name string) (window, bool) {
	for _, w := range c.windows {
		if w.name == name {
			return w, true
		}
	}
	return window{}, false
}

// finding is one sentence about the run, and the outcome that it alone would give it.
type finding struct {
	outcome Outcome
	reason  string
}

// findings are all reasons against a pass; causes come before the objectives that they spoilt.
func (c *court) findings(results []Result) []finding {
	var all []finding
	add := func(o Outcome, format string, args ...any) {
		all = append(all, finding{o, fmt.Sprintf(format, args...)})
	}
	for _, i := range c.in.Injections {
		if c.neverDue(i) {
			continue
		}
		if i.Error != "" {
			add(Error, "fault %q: %s", i.Fault, i.Error)
		}
		switch {
		case !i.Undone:
			add(Error, "fault %q was not verified undone: the target may still be broken", i.Fault)
		case !i.Felt && i.Error == "":
			add(Inconclusive, "%s", doubt(i))
		}
	}
	if h := c.in.Recording.Health; !h.Valid {
		why := strings.Join(h.Reasons, "; ")
		if why == "" {
			why = "no reason was recorded"
		}
		add(Invalid, "the load generator was not trustworthy: %s", why)
	}
	for _, b := range c.blames {
		add(Invalid, "%s", b.why)
	}
	if len(c.in.Objectives) == 0 {
		add(Inconclusive, "the scenario has no objectives, so nothing was proven")
	}
	for _, r := range results {
		if r.Outcome != Met {
			add(r.Outcome, "%s: %s: %s", r.Outcome, r.Text, r.Why)
		}
	}
	return all
}

// neverDue says that the run was interrupted before the fault's instant: nothing was touched.
func (c *court) neverDue(i chaos.Injection) bool {
	r := c.in.Recording
	return r.Aborted && i.Requested >= r.AbortedAt && !tookEffect(i)
}

// severity orders outcomes; the worst of a run wins. An outcome that is none counts as Inconclusive.
func severity(o Outcome) int {
	switch o {
	case Met:
		return 0
	case Invalid:
		return 2
	case Error:
		return 3
	case Missed:
		return 4
	case Inconclusive, Aborted:
	}
	return 1
}

// exitCode is what the command line ends with after this outcome.
func exitCode(o Outcome) int {
	switch o {
	case Met:
		return ExitMet
	case Missed:
		return ExitMissed
	case Invalid:
		return ExitInvalid
	case Error:
		return ExitError
	case Aborted:
		return ExitAborted
	case Inconclusive:
	}
	return ExitInconclusive
}
