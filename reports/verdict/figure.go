package verdict

import (
	"fmt"
	"math"
	"slices"
)

// What stands in place of a value that does not exist: a latency that reaches requests which were
// never answered, the time of a recovery that never came.
const (
	noAnswer     = "no answer"
	notRecovered = "not recovered"
)

// The digits of a figure: enough to read, and as many as tell any two numbers apart.
const (
	fewDigits = 4
	allDigits = 18
)

// figure prints a value with its unit, to four digits.
func figure(v float64, unit string) string { return figureTo(v, unit, fewDigits) }

// figureTo prints a value with its unit; a share gets a digit less.
func figureTo(v float64, unit string, digits int) string {
	text := fmt.Sprintf("%.*g", digits, v)
	if math.Abs(v) >= math.Pow10(digits-1) {
		text = fmt.Sprintf("%.0f", v)
	}
	switch unit {
	case "":
		return text
	case "ratio":
		return fmt.Sprintf("%.*g %%", digits-1, 100*v)
	case "/s":
		return text + "/s"
	}
	return text + " " + unit
}

// besides prints values and the bound that they are held against, all with the same digits: as many
// as make each value that is not the bound look different from it.
func besides(unit string, bound float64, values ...float64) (texts []string, boundText string) {
	digits := fewDigits
	alike := func(v float64) bool {
		return v != bound && figureTo(v, unit, digits) == figureTo(bound, unit, digits)
	}
	for digits < allDigits && slices.ContainsFunc(values, alike) {
		digits++
	}
	for _, v := range values {
		texts = append(texts, figureTo(v, unit, digits))
	}
	return texts, figureTo(bound, unit, digits)
}

// texts prints the value and the bound of a result beside each other.
func (r Result) texts() (value, bound string) {
	switch {
	case r.Value != nil:
		texts, bound := besides(r.Unit, r.Bound, *r.Value)
		return texts[0], bound
	case r.NoValue != "":
		return r.NoValue, figure(r.Bound, r.Unit)
	}
	return "–", figure(r.Bound, r.Unit)
}

func (r Result) valueText() string {
	value, _ := r.texts()
	return value
}

// measured sets the value.
func (r *Result) measured(v float64) { r.Value = new(v) }

// worth is the value as a number to compare: a recovery that never came takes longest, otherwise what
// is not there is 0.
func (r Result) worth() float64 {
	switch {
	case r.Value != nil:
		return *r.Value
	case r.NoValue == notRecovered:
		return math.Inf(1)
	}
	return 0
}

// kept compares the value with the bound; never true of a value that is none.
func (r Result) kept(o Objective) bool { return r.Value != nil && compare(*r.Value, o.Op, o.Bound) }
