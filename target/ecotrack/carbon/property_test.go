package carbon_test

import (
	"math/rand/v2"
	"slices"
	"squall/target/ecotrack/carbon"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const cases = 200

func draws() *rand.Rand { return rand.New(rand.NewPCG(20261123, 1)) }

// anyDecimal is a number of up to 12 digits with up to 9 decimals, never negative.
func anyDecimal(rng *rand.Rand) carbon.Decimal {
	scale := int64(1)
	for range rng.IntN(10) {
		scale *= 10
	}
	quotient, _ := carbon.Whole(rng.Int64N(1_000_000_000_000)).Quo(carbon.Whole(scale))
	return quotient
}

// anyFactor is a factor per kWh with or without a gas split.
func anyFactor(rng *rand.Rand) carbon.Factor {
	factor := carbon.Factor{
		ID: "any", Category: "electricity_location", Scope: "2", Unit: "kWh", GWPSet: carbon.AR5, CO2e: anyDecimal(rng),
	}
	if rng.IntN(2) == 0 {
		co2, ch4, n2o := anyDecimal(rng), anyDecimal(rng), anyDecimal(rng)
		factor.CO2, factor.CH4, factor.N2O = &co2, &ch4, &n2o
	}
	return factor
}

func mustCalculate(t *testing.T, f carbon.Factor, quantity carbon.Decimal, unit string,
	set carbon.GWPSet,
) carbon.Result {
	t.Helper()
	result, err := carbon.Calculate(f, quantity, unit, set)
	if err != nil {
		t.Fatalf("Calculate(%+v, %s %s, %s) = %v", f, quantity, unit, set, err)
	}
	return result
}

func anySet(rng *rand.Rand) carbon.GWPSet {
	return []carbon.GWPSet{carbon.AR4, carbon.AR5, carbon.AR6}[rng.IntN(3)]
}

// TestScaleInvariance: k times the activity is k times every mass.
func TestScaleInvariance(t *testing.T) {
	rng := draws()
	for range cases {
		factor, quantity, k, set := anyFactor(rng), anyDecimal(rng), anyDecimal(rng), anySet(rng)
		one := mustCalculate(t, factor, quantity, "MJ", set)
		many := mustCalculate(t, factor, quantity.Mul(k), "MJ", set)
		if want := one.CO2e.Mul(k); !many.CO2e.Equal(want) {
			t.Fatalf("Calculate(%s · %s MJ) = %s, want %s", quantity, k, many.CO2e, want)
		}
	}
}

// TestAdditivity: an activity in two parts emits what it emits in one, and Sum finds it.
func TestAdditivity(t *testing.T) {
	rng := draws()
	for range cases {
		factor, a, b, set := anyFactor(rng), anyDecimal(rng), anyDecimal(rng), anySet(rng)
		parts := []carbon.Result{
			mustCalculate(t, factor, a, "MWh", set),
			mustCalculate(t, factor, b, "MWh", set),
		}
		whole := mustCalculate(t, factor, a.Add(b), "MWh", set)
		total, err := carbon.Sum(parts)
		if err != nil || !total.CO2e.Equal(whole.CO2e) || cmp.Diff(whole.Gases, total.Gases) != "" {
			t.Fatalf("Sum of %s and %s MWh = %s, %v, want %s", a, b, total.CO2e, err, whole.CO2e)
		}
	}
}

// TestUnitsDoNotMatter: the same energy in another unit emits the same.
func TestUnitsDoNotMatter(t *testing.T) {
	rng := draws()
	for range cases {
		factor, quantity, set := anyFactor(rng), anyDecimal(rng), anySet(rng)
		therms, err := carbon.Convert(quantity, "GJ", "therm")
		if err != nil {
			t.Fatal(err)
		}
		inGJ := mustCalculate(t, factor, quantity, "GJ", set)
		inTherms := mustCalculate(t, factor, therms, "therm", set)
		if !inGJ.CO2e.Equal(inTherms.CO2e) {
			t.Fatalf("Calculate(%s GJ) = %s, the same in therms %s", quantity, inGJ.CO2e, inTherms.CO2e)
		}
	}
}

// TestLocationIsIndependentOfInstruments: whatever is bought, the location figure and its gases
// stay.
func TestLocationIsIndependentOfInstruments(t *testing.T) {
	rng := draws()
	kinds := []string{carbon.KindCertificate, carbon.KindContract, carbon.KindSupplier}
	for range cases {
		factor, load, set := anyFactor(rng), anyDecimal(rng), anySet(rng)
		want := mustCalculate(t, factor, load, "kWh", set)
		var instruments []carbon.Instrument
		for range rng.IntN(4) {
			instruments = append(instruments, carbon.Instrument{
				Kind: kinds[rng.IntN(len(kinds))], Quantity: anyDecimal(rng), Unit: "kWh", KgCO2ePerKWh: anyDecimal(rng),
			})
		}
		got, err := carbon.Electricity(factor, nil, load, "kWh", instruments, set)
		if err != nil || !got.CO2e.Equal(want.CO2e) || cmp.Diff(want.Gases, got.Gases) != "" {
			t.Fatalf("Electricity(%s kWh, %+v) = %s, %v, want %s",
				load, instruments, got.CO2e, err, want.CO2e)
		}
		if (got.Market == nil) != got.MarketHeld {
			t.Fatalf("Electricity(%s kWh, %+v): market %v, held %v",
				load, instruments, got.Market, got.MarketHeld)
		}
	}
}

// TestSumIndependentOfOrderAndPartition: R24, and why it matters that results are not rounded
// before.
func TestSumIndependentOfOrderAndPartition(t *testing.T) {
	rng := draws()
	for range 20 {
		var lines []carbon.Result
		for range 2 + rng.IntN(20) {
			lines = append(lines, mustCalculate(t, anyFactor(rng), anyDecimal(rng), "therm", carbon.AR5))
		}
		want := mustSum(t, lines)
		shuffled := slices.Clone(lines)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		cut := 1 + rng.IntN(len(lines)-1)
		parts := []carbon.Result{mustSum(t, shuffled[:cut]), mustSum(t, shuffled[cut:])}
		if diff := cmp.Diff(want, mustSum(t, shuffled)); diff != "" {
			t.Fatalf("Sum in another order (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, mustSum(t, parts)); diff != "" {
			t.Fatalf("Sum of two partial sums (-want +got):\n%s", diff)
		}
	}
}

func mustSum(t *testing.T, lines []carbon.Result) carbon.Result {
	t.Helper()
	total, err := carbon.Sum(lines)
	if err != nil {
		t.Fatalf("Sum = %v", err)
	}
	return total
}
