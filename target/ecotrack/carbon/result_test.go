package carbon_test

import (
	"errors"
	"slices"
	"squall/target/ecotrack/carbon"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func some(tb testing.TB, text string) *carbon.Decimal {
	tb.Helper()
	value := dec(tb, text)
	return &value
}

// gas is EPA's natural gas: 53.06 kg CO2, 1 g CH4 and 0.1 g N2O per mmBtu.
func gas(tb testing.TB) carbon.Factor {
	tb.Helper()
	return carbon.Factor{
		ID: "gas", Category: "stationary_combustion", Scope: "1", Unit: "mmBtu", GWPSet: carbon.AR5,
		CO2: some(tb, "53.06"), CH4: some(tb, "0.001"), N2O: some(tb, "0.0001"), CO2e: dec(tb, "53.1145"),
	}
}

// waste is EPA's landfilled mixed waste, published in AR4 without a split.
func waste(tb testing.TB) carbon.Factor {
	tb.Helper()
	return carbon.Factor{
		ID: "waste", Category: "waste", Scope: "3.5", Unit: "short_ton", GWPSet: carbon.AR4, CO2e: dec(tb, "580"),
	}
}

type calculation struct {
	name     string
	factor   func(testing.TB) carbon.Factor
	change   func(*carbon.Factor)
	quantity string
	unit     string
	set      carbon.GWPSet

	co2e, outside string
	gotSet        carbon.GWPSet
	status        string
	flags         []string
}

func calculations(tb testing.TB) []calculation {
	tb.Helper()
	complete, partial, review := carbon.StatusComplete, carbon.StatusPartial, carbon.StatusReviewRequired
	rebase := []string{carbon.FlagRebaseImpossible}
	return []calculation{
		{
			name: "split in AR5", factor: gas, quantity: "61500", unit: "therm", set: carbon.AR5,
			co2e: "326654.175", outside: "0", gotSet: carbon.AR5, status: complete,
		}, {
			name: "split in AR4", factor: gas, quantity: "1", unit: "mmBtu", set: carbon.AR4,
			co2e: "53.1148", outside: "0", gotSet: carbon.AR4, status: complete, // 53.06 + 0.025 + 0.0298
		}, {
			name: "split in AR6", factor: gas, quantity: "1", unit: "mmBtu", set: carbon.AR6,
			co2e: "53.1143", outside: "0", gotSet: carbon.AR6, status: complete, // 53.06 + 0.027 + 0.0273
		}, {
			name: "zero quantity", factor: gas, quantity: "0", unit: "GJ", set: carbon.AR5,
			co2e: "0", outside: "0", gotSet: carbon.AR5, status: complete,
		}, {
			name: "no split, own set", factor: waste, quantity: "2", unit: "short_ton", set: carbon.AR4,
			co2e: "1160", outside: "0", gotSet: carbon.AR4, status: complete,
		}, {
			name: "no split, default set", factor: waste, quantity: "2", unit: "short_ton", set: carbon.AR5,
			co2e: "1160", outside: "0", gotSet: carbon.AR4, status: review, flags: rebase,
		}, {
			name: "incomplete split is no split", factor: gas,
			change:   func(f *carbon.Factor) { f.CH4, f.N2O = nil, nil },
			quantity: "1", unit: "mmBtu", set: carbon.AR6,
			co2e: "53.1145", outside: "0", gotSet: carbon.AR5, status: review, flags: rebase,
		}, {
			name: "released methane is 29.8 in AR6", factor: gas, change: func(f *carbon.Factor) {
				f.Category, f.Unit, f.CO2, f.N2O = "fugitive_gas", "kg", nil, nil
				f.CH4, f.CO2e = some(tb, "1"), dec(tb, "28")
			},
			quantity: "10", unit: "kg", set: carbon.AR6,
			co2e: "298", outside: "0", gotSet: carbon.AR6, status: complete,
		}, {
			name: "biogenic CO2 is outside", factor: gas, change: func(f *carbon.Factor) {
				f.Scope, f.Outside, f.Biogenic = carbon.ScopeOutside, true, true
				f.CH4, f.N2O, f.CO2e = nil, nil, *f.CO2
			},
			quantity: "2", unit: "mmBtu", set: carbon.AR6,
			co2e: "0", outside: "106.12", gotSet: carbon.AR6, status: complete,
		}, {
			name: "biogenic fuel keeps its CH4 and N2O in scope", factor: gas,
			change:   func(f *carbon.Factor) { f.Biogenic = true },
			quantity: "1000", unit: "mmBtu", set: carbon.AR5,
			co2e: "54.5", outside: "53060", gotSet: carbon.AR5, status: complete,
		}, {
			name: "gas outside the Kyoto basket", factor: waste,
			change:   func(f *carbon.Factor) { f.Scope = carbon.ScopeOutside },
			quantity: "2", unit: "short_ton", set: carbon.AR4,
			co2e: "0", outside: "1160", gotSet: carbon.AR4, status: complete,
		}, {
			name: "vehicle fuel without distance", factor: gas, change: func(f *carbon.Factor) {
				f.Category, f.CH4, f.N2O, f.CO2e = "mobile_combustion", nil, nil, *f.CO2
			},
			quantity: "1", unit: "mmBtu", set: carbon.AR6,
			co2e: "53.06", outside: "0", gotSet: carbon.AR6, status: partial,
			flags: []string{carbon.FlagTraceGasesMissing},
		},
	}
}

func TestCalculate(t *testing.T) {
	for _, test := range calculations(t) {
		t.Run(test.name, func(t *testing.T) {
			factor := test.factor(t)
			if test.change != nil {
				test.change(&factor)
			}
			got, err := carbon.Calculate(factor, dec(t, test.quantity), test.unit, test.set)
			if err != nil {
				t.Fatalf("Calculate(%s, %s %s, %s) = %v",
					factor.ID, test.quantity, test.unit, test.set, err)
			}
			if got.CO2e.String() != test.co2e || got.Outside.String() != test.outside {
				t.Errorf("Calculate: CO2e %s, Outside %s, want %s and %s",
					got.CO2e, got.Outside, test.co2e, test.outside)
			}
			if got.Set != test.gotSet || got.Asked != test.set || got.Status != test.status {
				t.Errorf("Calculate: in %s (asked %s), %s, want %s (%s), %s",
					got.Set, got.Asked, got.Status, test.gotSet, test.set, test.status)
			}
			if !slices.Equal(got.Flags, test.flags) {
				t.Errorf("Calculate: flags %v, want %v", got.Flags, test.flags)
			}
			if got.Market != nil || got.Unit != factor.Unit {
				t.Errorf("Calculate: market %v, unit %s, want none and %s",
					got.Market, got.Unit, factor.Unit)
			}
		})
	}
}

func TestCalculateTellsGasesApart(t *testing.T) {
	got, err := carbon.Calculate(gas(t), dec(t, "100"), "therm", carbon.AR5)
	if err != nil {
		t.Fatal(err)
	}
	want := carbon.Gases{CO2: some(t, "530.6"), CH4: some(t, "0.01"), N2O: some(t, "0.001")}
	if diff := cmp.Diff(want, got.Gases); diff != "" {
		t.Errorf("Calculate: gases (-want +got):\n%s", diff)
	}
	if !got.Quantity.Equal(carbon.Whole(10)) {
		t.Errorf("Calculate: quantity %s mmBtu, want 10", got.Quantity)
	}
	unknown, err := carbon.Calculate(waste(t), dec(t, "1"), "short_ton", carbon.AR4)
	if err != nil || unknown.Gases != (carbon.Gases{}) {
		t.Errorf("Calculate without split: gases %+v, %v, want all nil: unknown is not zero",
			unknown.Gases, err)
	}
}

func TestCalculateRefuses(t *testing.T) {
	type coded interface {
		error
		Code() string
	}
	for _, test := range []struct {
		name, quantity, unit string
		set                  carbon.GWPSet
		code                 string
	}{
		{"negative quantity", "-0.1", "mmBtu", carbon.AR5, carbon.CodeQuantity},
		{"unknown unit", "1", "MMBTU", carbon.AR5, carbon.CodeUnit},
		{"another basis", "1", "kWh_net", carbon.AR5, carbon.CodeDimension},
		{"another set", "1", "mmBtu", "AR3", carbon.CodeGWPSet},
		{"no set", "1", "mmBtu", "", carbon.CodeGWPSet},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := carbon.Calculate(gas(t), dec(t, test.quantity), test.unit, test.set)
			got, ok := errors.AsType[coded](err)
			if !ok || got.Code() != test.code || got.Error() == "" {
				t.Errorf("Calculate(%s %s, %s) = %v, want code %s",
					test.quantity, test.unit, test.set, err, test.code)
			}
		})
	}
}

func TestParseGWPSet(t *testing.T) {
	for _, name := range []string{"AR4", "AR5", "AR6"} {
		if got, err := carbon.ParseGWPSet(name); err != nil || string(got) != name {
			t.Errorf("ParseGWPSet(%s) = %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "ar5", "SAR", "AR7"} {
		if _, err := carbon.ParseGWPSet(name); err == nil {
			t.Errorf("ParseGWPSet(%q) = nil, want a *GWPSetError", name)
		}
	}
}

func TestSum(t *testing.T) {
	line, err := carbon.Calculate(gas(t), dec(t, "103.7"), "mmBtu", carbon.AR5)
	if err != nil {
		t.Fatal(err)
	}
	total, err := carbon.Sum([]carbon.Result{line, line})
	// N1-17: each line shown at four decimals is 5507.9736, twice that would be 11015.9472.
	if err != nil || total.CO2e.String() != "11015.9473" {
		t.Errorf("Sum of twice 5507.97365 = %s, %v, want 11015.9473", total.CO2e, err)
	}
	if total.Gases.CO2 == nil || total.Market != nil || total.Status != carbon.StatusComplete {
		t.Errorf("Sum = %+v, want known CO2, no market figure, complete", total)
	}

	review, err := carbon.Calculate(waste(t), dec(t, "2"), "short_ton", carbon.AR5)
	if err != nil {
		t.Fatal(err)
	}
	_, err = carbon.Sum([]carbon.Result{line, line, review})
	mixed, ok := errors.AsType[*carbon.MixedGWPError](err)
	if !ok || mixed.Index != 2 || mixed.First != carbon.AR5 || mixed.Other != carbon.AR4 {
		t.Errorf("Sum of AR5 lines and an AR4 one = %v, want a *MixedGWPError at 2", err)
	}
	if _, err := carbon.Sum(nil); err == nil {
		t.Error("Sum(nil) = nil, want an *EmptySumError: a total of nothing is not zero")
	}

	total, err = carbon.Sum([]carbon.Result{review, review})
	if err != nil || total.Status != carbon.StatusReviewRequired || total.Gases.CO2 != nil ||
		!slices.Equal(total.Flags, []string{carbon.FlagRebaseImpossible}) {
		t.Errorf("Sum of two reviewed lines = %+v, %v", total, err)
	}
}

func TestSumOfMarketFigures(t *testing.T) {
	scope1 := carbon.Result{CO2e: dec(t, "5"), Set: carbon.AR5, Status: carbon.StatusComplete}
	bought := carbon.Result{
		CO2e:   dec(t, "7"),
		Market: some(t, "3"),
		Set:    carbon.AR5,
		Status: carbon.StatusComplete,
	}
	held := carbon.Result{
		CO2e:       dec(t, "7"),
		MarketHeld: true,
		Set:        carbon.AR5,
		Status:     carbon.StatusReviewRequired,
	}
	for _, test := range []struct {
		name   string
		lines  []carbon.Result
		co2e   string
		market string
	}{
		{"none has one", []carbon.Result{scope1, scope1}, "10", "<nil>"},
		{"the others count as they are", []carbon.Result{scope1, bought}, "12", "8"},
		{"one is held", []carbon.Result{scope1, bought, held}, "19", "<nil>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := carbon.Sum(test.lines)
			market := "<nil>"
			if got.Market != nil {
				market = got.Market.String()
			}
			if err != nil || got.CO2e.String() != test.co2e || market != test.market {
				t.Errorf("Sum = %s, market %s, %v, want %s and %s",
					got.CO2e, market, err, test.co2e, test.market)
			}
		})
	}
}
