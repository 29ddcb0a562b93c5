package reports

import (
	"cmp"
	"fmt"
	"math"
	"squall/reports/verdict"
	"strconv"
	"strings"
)

// mark is the sign of an outcome, so that no view tells it by colour alone.
func mark(o verdict.Outcome) string {
	switch o {
	case verdict.Met:
		return "✓"
	case verdict.Missed:
		return "✗"
	case verdict.Inconclusive:
		return "?"
	case verdict.Aborted:
		return "■"
	default:
		return "!"
	}
}

// sentence says what an outcome means for the reader.
func sentence(o verdict.Outcome) string {
	switch o {
	case verdict.Met:
		return "Every objective was met, with evidence."
	case verdict.Missed:
		return "At least one objective was missed."
	case verdict.Inconclusive:
		return "The run did not prove enough to decide."
	case verdict.Invalid:
		return "The generator or its host was not trustworthy: the figures do not count."
	case verdict.Aborted:
		return "The run was interrupted; this report covers what was measured until then."
	default:
		return "The run could not be carried out as planned."
	}
}

// number prints with at most digits decimals, without trailing zeros, thousands apart.
func number(v float64, digits int) string {
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		b.WriteString("." + fraction)
	}
	if v < 0 && strings.Trim(text, "0.") != "" {
		return "-" + b.String()
	}
	return b.String()
}

// brief prints three significant digits, or whole numbers from 100 on.
func brief(v float64) string { return number(v, briefDigits(v)) }

// briefDigits is how many decimals brief prints.
func briefDigits(v float64) int {
	switch a := math.Abs(v); {
	case a >= 100:
		return 0
	case a >= 10:
		return 1
	case a >= 1:
		return 2
	default:
		return 3
	}
}

func count[T int | uint64](n T) string { return number(float64(n), 0) }

// timeMs prints milliseconds, and seconds from 10 s on.
func timeMs(ms float64) string {
	switch {
	case !finite(ms):
		return "–"
	case math.Abs(ms) >= 10_000:
		return brief(ms/1000) + " s"
	default:
		return brief(ms) + " ms"
	}
}

// latency prints milliseconds, or a dash where no request was answered.
func latency(ms *float64) string {
	if ms == nil {
		return "–"
	}
	return timeMs(*ms)
}

// badShare prints the share of the requests that went wrong; a dash where none was due.
func badShare(planned uint64, ratio float64) string {
	if planned == 0 {
		return "–"
	}
	return percent(ratio)
}

func timeS(s float64) string { return number(s, 3) + " s" }

// timeOr prints seconds, or what their absence means.
func timeOr(s *float64, absent string) string {
	if s == nil {
		return absent
	}
	return timeS(*s)
}

// rto prints a recovery time, or why there is none. Older records do not say how the probes got through.
func rto(s *float64, through verdict.Passage) string {
	switch through {
	case verdict.Relapsed:
		return "relapsed, not recovered"
	case verdict.NotProbed, verdict.NotInjected:
		return string(through)
	case verdict.NotCovered:
		return "not seen to the end"
	case verdict.Uninterrupted, verdict.Recovered, verdict.Down:
	}
	if s != nil && *s == 0 {
		return "not interrupted"
	}
	return timeOr(s, "not recovered")
}

func percent(ratio float64) string {
	p := ratio * 100
	switch {
	case p == 0:
		return "0 %"
	case math.Abs(p) < 0.01:
		return "< 0.01 %"
	default:
		return brief(p) + " %"
	}
}

// quantity prints a value in the unit of an objective, with more decimals than usual where two
// figures must be told apart.
func quantity(v float64, unit string, more int) string {
	switch unit {
	case "ms":
		return number(v, briefDigits(v)+more) + " ms"
	case "s":
		return number(v, 3+more) + " s"
	case "ratio":
		return number(v*100, 4+more) + " %"
	case "/s":
		return number(v, briefDigits(v)+more) + "/s (" + number(v*3600, more) + "/h)"
	case "":
		return number(v, 3+more)
	default:
		return number(v, 3+more) + " " + unit
	}
}

// mostDecimals are more than the usual ones that tell any two figures apart.
const mostDecimals = 16

// texts prints the value and the bound as they stand beside each other: in one unit, and a value that
// is not the bound never looks like it.
func (o Objective) texts() (value, bound string) {
	limit, unit := o.Bound, o.Unit
	if o.Value == nil {
		limit, unit = readable(limit, unit, limit)
		return cmp.Or(o.NoValue, "–"), o.sign(quantity(limit, unit, 0))
	}
	v := *o.Value
	high := max(v, limit)
	v, valueUnit := readable(v, unit, high)
	limit, unit = readable(limit, unit, high)
	for more := range mostDecimals {
		value, bound = quantity(v, valueUnit, more), quantity(limit, unit, more)
		a, _, _ := strings.Cut(value, " (")
		b, _, _ := strings.Cut(bound, " (")
		if *o.Value == o.Bound || a != b {
			break
		}
	}
	return value, o.sign(bound)
}

// readable turns milliseconds into seconds where the highest of the figures that stand together is at
// least 10 s; one that is below a second stays as it is.
func readable(v float64, unit string, highest float64) (float64, string) {
	if unit == "ms" && highest >= 10_000 && v >= 1000 {
		return v / 1000, "s"
	}
	return v, unit
}

func (o Objective) sign(bound string) string {
	if o.Op == "" {
		return bound
	}
	return sign(o.Op) + " " + bound
}

// sign is the operator as people write it.
func sign(op string) string {
	switch op {
	case "<=":
		return "≤"
	case ">=":
		return "≥"
	case "==":
		return "="
	default:
		return op
	}
}

// plural counts a noun: "1 fault", "3 faults".
func plural[T int | uint64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

func yesNo(v bool) string { //nolint:revive // it prints the value, it steers nothing
	if v {
		return "yes"
	}
	return "NO"
}

// clip shortens a text to limit runes and says so.
func clip(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}

// auditLine says in one sentence what the audit of the ledger found.
func auditLine(a verdict.Audit) string {
	if len(a.CheckedNodes) == 0 {
		return "The ledger was not read back: nothing is known about lost writes."
	}
	text := fmt.Sprintf("%s acknowledged: %s lost, %s duplicate, %s phantom, %s altered, %s wrong; "+
		"%s unknown to the client, %s of them found; checked on %s.",
		plural(a.Acknowledged, "write"), count(a.Lost), count(a.Duplicate), count(a.Phantom),
		count(a.Altered), count(a.Wrong), count(a.Unknown), count(a.Recovered),
		strings.Join(a.CheckedNodes, ", "))
	if !a.Complete {
		text += " The audit is incomplete."
	}
	return text
}
