package factors

import (
	"fmt"
	"squall/target/ecotrack/carbon"
	"strings"
)

// NotFoundError says that the catalogue has no factor for a question.
type NotFoundError struct{ What string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("factor for %s: not found", e.What) }

// Code returns "factor_not_found".
func (e *NotFoundError) Code() string { return "factor_not_found" }

// AmbiguousError says that several factors answer a question equally well; choosing one would be
// arbitrary (R28).
type AmbiguousError struct {
	What string
	IDs  []string // of the candidates, sorted
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("factor for %s: ambiguous: %s", e.What, strings.Join(e.IDs, ", "))
}

// Code returns "factor_ambiguous".
func (e *AmbiguousError) Code() string { return "factor_ambiguous" }

// Electricity returns the grid factor per kWh of a region for a calendar year: the newest whose
// year is not after the asked one (R28). A scope 2 factor always goes before a life-cycle one,
// however new: the latter counts the upstream too and the production instead of the consumption
// mix, so it is a fallback, and carbon.Electricity flags it.
//
// It fails with a *NotFoundError when the region has no such factor and an *AmbiguousError when two
// share the year.
func (c *Catalogue) Electricity(region string, year int) (carbon.Factor, error) {
	what := fmt.Sprintf("electricity in %s, %d or before", region, year)
	for _, category := range []string{"electricity_location", "electricity_lifecycle"} {
		best := c.newest(category, region, year)
		switch len(best) {
		case 0:
			continue
		case 1:
			return best[0], nil
		}
		ambiguous := &AmbiguousError{What: what}
		for _, f := range best {
			ambiguous.IDs = append(ambiguous.IDs, f.ID)
		}
		return carbon.Factor{}, ambiguous
	}
	return carbon.Factor{}, &NotFoundError{What: what}
}

// newest returns every factor per kWh of the newest year that is not after year.
func (c *Catalogue) newest(category, region string, year int) []carbon.Factor {
	var best []carbon.Factor
	for _, f := range c.factors {
		if f.Category != category || f.Region != region || f.Unit != "kWh" || f.Year > year {
			continue
		}
		switch {
		case len(best) == 0 || f.Year > best[0].Year:
			best = []carbon.Factor{f}
		case f.Year == best[0].Year:
			best = append(best, f)
		}
	}
	return best
}
