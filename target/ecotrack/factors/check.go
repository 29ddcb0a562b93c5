package factors

import (
	"squall/target/ecotrack/carbon"
	"strconv"
	"strings"
)

// checkSet looks for what no single row shows: doubled rows, splits that do not add up,
// transcription slips.
func checkSet(rows []row, gwp map[string]GWPRow) (problems []error) {
	byID := make(map[string]row, len(rows))
	byKey := make(map[string]row, len(rows))
	for _, r := range rows {
		if first, twice := byID[r.factor.ID]; twice {
			problems = append(problems, r.problem("id", "already on line %d", first.line))
		}
		byID[r.factor.ID] = r
		key := naturalKey(r.factor)
		if first, twice := byKey[key]; twice {
			problems = append(problems,
				r.problem("", "same activity, unit, region and year as line %d", first.line))
		}
		byKey[key] = r
	}
	for _, r := range rows {
		for _, check := range []func(row) error{
			checkSplit, checkBoundary, checkRegion,
			func(r row) error { return checkTwin(r, byID) },
			func(r row) error { return checkBlend(r, gwp) },
		} {
			if err := check(r); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return append(problems, checkAnchors(rows, byID)...)
}

// naturalKey says what a factor is for, within its set: the part of the id before the first point.
func naturalKey(f carbon.Factor) string {
	return strings.Join([]string{
		setOf(f), f.Category, f.Scope, f.Activity, f.Unit, f.Region, strconv.Itoa(f.Year),
	}, "|")
}

func setOf(f carbon.Factor) string {
	set, _, _ := strings.Cut(f.ID, ".")
	return set
}

// within reports |a - b| <= limit.
func within(a, b carbon.Decimal, limit carbon.Decimal) bool {
	difference := a.Sub(b)
	if difference.Sign() < 0 {
		difference = b.Sub(a)
	}
	return difference.Cmp(limit) <= 0
}

// ratio returns num/den exactly; den is a constant of this file and never 0.
func ratio(num, den int64) carbon.Decimal {
	quotient, _ := carbon.Whole(num).Quo(carbon.Whole(den))
	return quotient
}

// checkSplit wants the gases to add up to the published CO2e. DESNZ prints five decimals and rounds
// each gas on its own, so the two may differ by just over 0.00001; a part of the gases may not
// exceed the whole.
func checkSplit(r row) error {
	f := r.factor
	if f.CO2 == nil && f.CH4 == nil && f.N2O == nil {
		return nil
	}
	weights, err := f.GWPSet.Weights()
	if err != nil {
		return r.problem("gwp_set", "%v", err)
	}
	var sum carbon.Decimal
	for _, gas := range []struct {
		mass   *carbon.Decimal
		weight carbon.Decimal
	}{{f.CO2, weights.CO2}, {f.CH4, weights.CH4}, {f.N2O, weights.N2O}} {
		if gas.mass != nil {
			sum = sum.Add(gas.mass.Mul(gas.weight))
		}
	}
	tolerance := ratio(11, 1_000_000)
	full := f.CO2 != nil && f.CH4 != nil && f.N2O != nil
	switch {
	case full && sum.Sign() == 0:
		return r.problem("co2e_kg", "every gas is zero: a missing row, not a clean fuel")
	case full && !within(sum, f.CO2e, tolerance):
		return r.problem("co2e_kg", "is %s, the gases give %s in %s", f.CO2e, sum, f.GWPSet)
	case !full && sum.Sub(f.CO2e).Cmp(tolerance) > 0:
		return r.problem("co2e_kg", "is %s, a part of the gases already gives %s", f.CO2e, sum)
	}
	return nil
}

// checkBoundary keeps life-cycle electricity, which holds its upstream, apart from scope 2 (R12),
// and biogenic CO2 outside.
func checkBoundary(r row) error {
	f := r.factor
	lifeCycle := f.Category == "electricity_lifecycle" || setOf(f) == "ember"
	if lifeCycle != (f.Scope == carbon.ScopeLifeCycle) {
		return r.problem("scope",
			"life-cycle electricity, and nothing else, is %q, got %q", carbon.ScopeLifeCycle, f.Scope)
	}
	if f.Biogenic && !f.Outside {
		return r.problem("scope", "biogenic CO2 is %q, got %q", carbon.ScopeOutside, f.Scope)
	}
	return nil
}

// checkRegion compares the region with the one in the id. The country table beside co2.js maps the
// Cayman Islands to CY, which would give Cyprus a second grid.
func checkRegion(r row) error {
	f := r.factor
	parts := strings.Split(f.ID, ".")
	var want string
	switch {
	case parts[0] == "ember" && len(parts) >= 3:
		want = strings.ToUpper(parts[1])
	case strings.HasPrefix(parts[0], "egrid") && parts[1] == "us":
		want = "US"
	case strings.HasPrefix(parts[0], "egrid"):
		want = "US-EGRID-" + strings.ToUpper(parts[1])
	default:
		return nil
	}
	if f.Region != want {
		return r.problem("region", "is %s, the id says %s", f.Region, want)
	}
	if strings.Contains(f.Activity, "Cayman") && f.Region != "KY" {
		return r.problem("region", "the Cayman Islands are KY, got %s", f.Region)
	}
	return nil
}

// checkTwin compares rows that are published twice on another basis: per km and per mile, gross and
// net, with and without radiative forcing, which multiplies the CO2 of the flight and never the
// fuel's upstream (R14).
func checkTwin(r row, byID map[string]row) error {
	f := r.factor
	if stem, ok := strings.CutSuffix(f.ID, ".km"); ok {
		twin, exists := byID[stem+".mile"]
		perMile := f.CO2e.Mul(ratio(1_609_344, 1_000_000))
		// Both are rounded to five decimals; the largest published difference is 0.000022.
		if exists && !within(twin.factor.CO2e, perMile, ratio(25, 1_000_000)) {
			return r.problem("co2e_kg",
				"is %s per mile, %s says %s", perMile, twin.factor.ID, twin.factor.CO2e)
		}
	}
	if stem, ok := strings.CutSuffix(f.ID, ".kwh_gross"); ok {
		twin, exists := byID[stem+".kwh_net"]
		if exists && twin.factor.CO2e.Cmp(f.CO2e) < 0 {
			return r.problem("co2e_kg", "is %s, more than %s per net kWh: gross and net are swapped",
				f.CO2e, twin.factor.CO2e)
		}
	}
	if stem, rest, ok := strings.Cut(f.ID, ".norf."); ok {
		twin, exists := byID[stem+".rf."+rest]
		switch {
		case exists && f.Category == "wtt" && !twin.factor.CO2e.Equal(f.CO2e):
			return r.problem("co2e_kg", "upstream rows with and without radiative forcing differ")
		case exists && f.Category != "wtt" && twin.factor.CO2e.Cmp(f.CO2e) <= 0:
			return r.problem("co2e_kg",
				"is %s, not below %s with radiative forcing", f.CO2e, twin.factor.CO2e)
		}
	}
	return nil
}

// checkBlend compares a refrigerant's Kyoto part with the one computed from its composition. R-424A
// of EPA's hub, which prints 3,104 for a composition of 2,212, was caught so.
func checkBlend(r row, gwp map[string]GWPRow) error {
	f := r.factor
	if f.Category != "refrigerant" || f.Outside || f.GWPSet != carbon.AR5 {
		return nil
	}
	blend, ok := gwp[blendOf(f)]
	if !ok || blend.Kind != "blend_kyoto_part" {
		return nil
	}
	if computed := blend.Values[carbon.AR5]; !within(f.CO2e, computed, ratio(3, 4)) {
		return r.problem("co2e_kg", "is %s, the composition of %s gives %s", f.CO2e, blend.Name, computed)
	}
	return nil
}

// blendOf returns the gasKey of a refrigerant row: "r410a" for epa24.gwp.r_410a and
// desnz25.refrigerant.r410a.kg.
func blendOf(f carbon.Factor) string {
	for part := range strings.SplitSeq(f.ID, ".") {
		name := strings.ReplaceAll(part, "_", "")
		if len(name) >= 4 && name[0] == 'r' && name[1] >= '0' && name[1] <= '9' {
			return name
		}
	}
	return ""
}

// checkAnchors compares one row of each DESNZ edition and of the grids with the figure in the
// official publication: several public repositories carry altered "DEFRA" numbers, such as 2.1527
// for petrol in 2024.
func checkAnchors(rows []row, byID map[string]row) (problems []error) {
	for _, anchor := range anchors() {
		r, exists := byID[anchor.id]
		want := ratio(anchor.num, anchor.den)
		if exists && !within(r.factor.CO2e, want, ratio(5, 1_000_000)) {
			problems = append(problems,
				r.problem("co2e_kg", "is %s, the publication says %s", r.factor.CO2e, want))
		}
	}
	if len(rows) == 0 {
		problems = append(problems,
			&RowError{File: factorsFileName, Line: 1, ID: "set", Reason: "has no usable row"})
	}
	return problems
}

// anchor is a published figure, num/den kg CO2e per unit.
type anchor struct {
	id       string
	num, den int64
}

func anchors() []anchor {
	return []anchor{
		{"desnz24.fuel.petrol_average_biofuel_blend.litre", 20_844, 10_000},
		{"desnz24.fuel.diesel_average_biofuel_blend.litre", 251_279, 100_000},
		{"desnz24.electricity.generated.kwh", 20_705, 100_000},
		{"desnz25.fuel.diesel_average_biofuel_blend.litre", 257_082, 100_000},
		{"desnz25.electricity.generated.kwh", 177, 1_000},
		{"epa24.stat.natural_gas.mmbtu", 531_145, 10_000},
	}
}
