package factors

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"squall/target/ecotrack/carbon"
	"strings"
)

// Kinds of warnings: what a reader of results should know about the set, though no row is wrong.
const (
	// WarnMixedGWPSets marks a set whose tables use different GWP sets, as EPA's waste table does.
	WarnMixedGWPSets = "mixed_gwp_sets"
	// WarnTwoNames marks one refrigerant that is listed by two publishers under different names.
	WarnTwoNames = "same_blend_two_names"
	// WarnPeat marks peat listed under biomass; IPCC practice counts it as fossil.
	WarnPeat = "peat_as_biomass"
	// WarnZero marks a published factor of zero, such as an electric car's fuel.
	WarnZero = "zero_factor"
	// WarnLifeCycle marks a set of life-cycle production-mix electricity, which is neither scope 2
	// alone nor consumption.
	WarnLifeCycle = "lifecycle_production_mix"
)

// Warning is something odd about the set.
type Warning struct {
	Kind   string
	IDs    []string // the factors concerned, sorted; for a whole set its first factor per variant
	Detail string
}

func warn(rows []row) []Warning {
	warnings := slices.Concat(warnMixed(rows), warnTwoNames(rows))
	lifeCycle := make(map[string]string)
	for _, r := range rows {
		f := r.factor
		if f.CO2e.Sign() == 0 {
			warnings = append(warnings,
				Warning{Kind: WarnZero, IDs: []string{f.ID}, Detail: "published as zero"})
		}
		if f.Biogenic && strings.Contains(f.ID, ".peat.") {
			warnings = append(warnings, Warning{
				Kind: WarnPeat, IDs: []string{f.ID}, Detail: "CO2 of peat is booked outside of scopes",
			})
		}
		first, seen := lifeCycle[setOf(f)]
		if f.Scope == carbon.ScopeLifeCycle && (!seen || f.ID < first) {
			lifeCycle[setOf(f)] = f.ID
		}
	}
	for set, first := range lifeCycle {
		warnings = append(warnings, Warning{
			Kind: WarnLifeCycle, IDs: []string{first},
			Detail: set + " holds life-cycle electricity: never add well-to-tank",
		})
	}
	slices.SortFunc(warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.IDs, b.IDs))
	})
	return warnings
}

func warnMixed(rows []row) (warnings []Warning) {
	first := make(map[string]map[carbon.GWPSet]string)
	for _, r := range rows {
		set, gwp := setOf(r.factor), r.factor.GWPSet
		if first[set] == nil {
			first[set] = make(map[carbon.GWPSet]string)
		}
		if id, seen := first[set][gwp]; !seen || r.factor.ID < id {
			first[set][gwp] = r.factor.ID
		}
	}
	for set, examples := range first {
		if len(examples) > 1 {
			warnings = append(warnings, Warning{
				Kind: WarnMixedGWPSets, IDs: slices.Sorted(maps.Values(examples)),
				Detail: fmt.Sprintf("%s uses %v", set, slices.Sorted(maps.Keys(examples))),
			})
		}
	}
	return warnings
}

func warnTwoNames(rows []row) (warnings []Warning) {
	names := make(map[string][]string)
	for _, r := range rows {
		if r.factor.Category == "refrigerant" && !r.factor.Outside {
			names[blendOf(r.factor)] = append(names[blendOf(r.factor)], r.factor.ID)
		}
	}
	for blend, ids := range names {
		if blend != "" && len(ids) > 1 {
			slices.Sort(ids)
			warnings = append(warnings, Warning{Kind: WarnTwoNames, IDs: ids, Detail: "all are " + blend})
		}
	}
	return warnings
}
