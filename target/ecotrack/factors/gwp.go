package factors

import (
	"bytes"
	"encoding/csv"
	"slices"
	"squall/target/ecotrack/carbon"
	"strings"
)

const gwpFileName = "gwp.csv"

// GWPRow is a gas, or the Kyoto part of a refrigerant blend, with its GWP-100 per set; a set that
// does not list it is absent from Values, which is not a zero.
type GWPRow struct {
	Kind        string // gas, gas_kyoto, gas_other or blend_kyoto_part
	Name        string // such as "HFC134a" or "R-404A"
	Composition string // of a blend
	Values      map[carbon.GWPSet]carbon.Decimal
}

// GWP returns the row of a gas or blend; "R-410A", "R410A" and "r410a" are the same blend.
func (c *Catalogue) GWP(name string) (GWPRow, bool) {
	found, ok := c.gwp[gasKey(name)]
	return found, ok
}

// gasKey drops what transcriptions spell differently: case, hyphens and spaces.
func gasKey(name string) string {
	return strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(name))
}

func readGWP(file []byte) (map[string]GWPRow, []error) {
	records, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	columns := []string{"kind", "name", "composition", "sar", "ar4", "ar5", "ar6", "source"}
	if err != nil || len(records) == 0 || !slices.Equal(records[0], columns) {
		return nil, []error{&RowError{
			File: gwpFileName, Line: 1, ID: "header", Reason: "must be " + strings.Join(columns, ","),
		}}
	}
	table := make(map[string]GWPRow, len(records))
	var problems []error
	for i, record := range records[1:] {
		fail := func(column, reason string) {
			problems = append(problems, &RowError{
				File: gwpFileName, Line: i + 2, ID: record[1], Column: column, Reason: reason,
			})
		}
		gas := GWPRow{
			Kind: record[0], Name: record[1], Composition: record[2],
			Values: make(map[carbon.GWPSet]carbon.Decimal),
		}
		if _, twice := table[gasKey(gas.Name)]; twice || gas.Name == "" {
			fail("name", "must be unique, whatever its hyphens and case")
		}
		for at, set := range map[int]carbon.GWPSet{4: carbon.AR4, 5: carbon.AR5, 6: carbon.AR6} {
			if record[at] == "" {
				continue
			}
			value, err := carbon.ParseDecimal(record[at])
			if err != nil || value.Sign() < 0 {
				fail(string(set), "must be a number of at least 0, got "+record[at])
				continue
			}
			gas.Values[set] = value
		}
		table[gasKey(gas.Name)] = gas
	}
	return table, append(problems, checkWeights(table)...)
}

// checkWeights compares the constants of package carbon with the table, so that the two cannot
// drift apart.
func checkWeights(table map[string]GWPRow) (problems []error) {
	const combustion = "CH4_non_fossil_and_combustion"
	for _, set := range []carbon.GWPSet{carbon.AR4, carbon.AR5, carbon.AR6} {
		weights, err := set.Weights()
		if err != nil {
			return append(problems, err)
		}
		methane := "CH4"
		if set == carbon.AR6 {
			methane = combustion // never the 27.9 of the plain table (R4)
		}
		for _, gas := range []struct {
			name string
			want carbon.Decimal
		}{{"CO2", weights.CO2}, {methane, weights.CH4}, {"N2O", weights.N2O}} {
			got, ok := table[gasKey(gas.name)].Values[set]
			if !ok || !got.Equal(gas.want) {
				problems = append(problems, &RowError{
					File: gwpFileName, ID: gas.name, Column: string(set),
					Reason: "is " + got.String() + ", the calculation uses " + gas.want.String(),
				})
			}
		}
	}
	return problems
}
