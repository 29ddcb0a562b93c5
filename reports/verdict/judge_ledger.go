package verdict

import (
	"fmt"
	"slices"
	"strings"
)

// judgeLedger judges a figure of the audit. What was found is evidence even when the ledger was not
// read to its end; that nothing more is there needs the whole of it.
func (c *court) judgeLedger(o Objective) Result {
	r := c.result(o)
	r.Samples = uint64(c.audit.Acknowledged) //nolint:gosec // a count, from zero up
	count, kind := c.audit.figure(o.Metric)
	r.measured(float64(count))
	met := r.kept(o)
	if o.Metric == "acknowledged_writes" {
		if len(c.in.Recording.Writes) == 0 {
			r.Value = nil
			return r.inconclusive("no write was asked for")
		}
		r.Outcome = outcomeOf(met)
		r.Why = fmt.Sprintf("%d writes were acknowledged", c.audit.Acknowledged)
		return r
	}
	r.Why = fmt.Sprintf("%d found; %d acknowledged writes checked on %s", count, c.audit.Acknowledged,
		strings.Join(c.audit.CheckedNodes, ", "))
	if count > 0 && len(c.examples[kind]) > 0 {
		r.Why += "; " + c.examples[kind][0]
	}
	exceeded := atMost(o.Op) && *r.Value > o.Bound
	if proven := c.audit.Complete && c.audit.Acknowledged > 0; !proven && count == 0 {
		r.Value = nil // nothing was found because nothing was looked at
	}
	switch {
	case exceeded:
	case !c.audit.Complete:
		return r.inconclusive("the ledger was not read back whole from every node: %s", c.incomplete())
	case c.audit.Acknowledged == 0:
		return r.inconclusive("no write was acknowledged, so none could be lost or altered")
	}
	r.Outcome = outcomeOf(met)
	return r
}

func (c *court) incomplete() string {
	var why []string
	primaries := 0
	for _, l := range c.in.Ledger {
		if l.Role == rolePrimary {
			primaries++
		}
		if !l.whole() {
			why = append(why, strings.TrimSuffix(fmt.Sprintf("%s (%s): %s", l.Node, l.Role, l.Error), ": "))
		}
	}
	switch {
	case len(c.in.Ledger) == 0:
		return "it was not read at all"
	case primaries == 0:
		why = append(why, "no node is primary")
	case primaries > 1:
		why = append(why, fmt.Sprintf("%d nodes claim to be primary", primaries))
	}
	return strings.Join(why, "; ")
}

// implicit are the objectives that nobody needs to write: the ledger may not contradict what the client knows. An
// objective that names the figure takes the place of the implicit one. A ledger that was not read whole proves none of them,
// which is one finding and not six.
func (c *court) implicit() []Result {
	var results []Result
	unread := !c.audit.Complete && len(c.in.Recording.Writes) > 0
	for _, metric := range []string{
		"lost_writes", "duplicate_writes", "phantom_writes",
		"altered_writes", "wrong_values", "diverged_rows",
	} {
		named := slices.ContainsFunc(c.in.Objectives, func(o Objective) bool { return o.Metric == metric })
		count, _ := c.audit.figure(metric)
		switch {
		case named:
			unread = false // it says so itself
		case count == 0 && (!c.audit.Complete || c.audit.Acknowledged == 0): // nothing is known, or nothing could be lost
		default:
			results = append(results, c.judgeLedger(Objective{Text: "audit: " + metric + " == 0", Metric: metric, Op: "=="}))
		}
	}
	if unread {
		r := c.result(Objective{Text: "audit: the ledger was read back whole"})
		r.Samples = uint64(c.audit.Acknowledged) //nolint:gosec // a count, from zero up
		results = append(results, r.inconclusive("%d writes were acknowledged, but it was not: %s", c.audit.Acknowledged, c.incomplete()))
	}
	return results
}

// figure is the count that a metric of the ledger names, and the kind of its examples.
// acknowledged_writes has none.
func (a Audit) figure(metric string) (int, exampleKind) {
	switch metric {
	case "lost_writes":
		return a.Lost, lostExample
	case "duplicate_writes":
		return a.Duplicate, duplicateExample
	case "phantom_writes":
		return a.Phantom, phantomExample
	case "altered_writes":
		return a.Altered, alteredExample
	case "wrong_values":
		return a.Wrong, wrongExample
	case "diverged_rows":
		return a.Diverged, divergedExample
	}
	return a.Acknowledged, lostExample
}
