package carbon_test

import (
	"math"
	"squall/target/ecotrack/carbon"
	"testing"
)

// expected and second are the first two moments of a lognormal variable of median 1.
func expected(sigma float64) float64 { return math.Exp(sigma * sigma / 2) }
func second(sigma float64) float64   { return math.Exp(2 * sigma * sigma) }

// TestSimulateMeanMatchesClosedForm compares the mean with exp(σ²/2) and allows three standard
// errors, which are known in closed form too. Seeds are fixed, so the test either holds for ever or
// never did.
func TestSimulateMeanMatchesClosedForm(t *testing.T) {
	const draws = 20_000
	activity := carbon.Sigma(carbon.ActivityGSD2)
	for _, test := range []struct {
		category    string
		main, trace float64 // kg CO2e
		factorGSD2  float64
		traceGSD2   float64
	}{
		{"electricity_location", 100, 0, 1.10, 1},
		{"waste", 100, 0, 1.5, 1},
		{"travel_road", 0.001, 0, 1.65, 1},
		{"stationary_combustion", 1000, 0, 1.05, 1},
		{"stationary_combustion", 53060, 54.5, 1.05, 1.5},
		{"mobile_combustion", 0, 28000, 1.05, 1.5},
	} {
		factor, trace := carbon.Sigma(test.factorGSD2), carbon.Sigma(test.traceGSD2)
		mean := expected(activity) * (test.main*expected(factor) + test.trace*expected(trace))
		square := second(activity) * (test.main*test.main*second(factor) +
			test.trace*test.trace*second(trace) +
			2*test.main*test.trace*expected(factor)*expected(trace))
		allowed := 3 * math.Sqrt((square-mean*mean)/draws)
		result := simulated(test.main, test.trace)
		for seed := range uint64(5) {
			got := carbon.Simulate(result, test.category, draws, seed)
			if math.Abs(got.Mean-mean) > allowed {
				t.Errorf("Simulate(%v + %v, %s, seed %d).Mean = %v, want %v ± %v",
					test.main, test.trace, test.category, seed, got.Mean, mean, allowed)
			}
		}
	}
}

// simulated is a result of main kg CO2 and, where trace is given, methane worth trace kg CO2e.
func simulated(main, trace float64) carbon.Result {
	result := carbon.Result{CO2e: rational(main + trace)}
	if trace > 0 {
		co2, ch4, n2o := rational(main), rational(trace/28), rational(0)
		result.Gases = carbon.Gases{CO2: &co2, CH4: &ch4, N2O: &n2o}
	}
	return result
}

// rational is value to six decimals.
func rational(value float64) carbon.Decimal {
	quotient, _ := carbon.Whole(int64(math.Round(value * 1e6))).Quo(carbon.Whole(1_000_000))
	return quotient
}

func TestSimulatePercentilesMatchClosedForm(t *testing.T) {
	sigma := math.Hypot(carbon.Sigma(carbon.ActivityGSD2), carbon.Sigma(1.5))
	got := carbon.Simulate(simulated(100, 0), "waste", carbon.MaxDraws, 7)
	for _, test := range []struct {
		name      string
		got, want float64
	}{
		{"low", got.Low, 100 * math.Exp(-1.959964*sigma)},
		{"median", got.Median, 100},
		{"high", got.High, 100 * math.Exp(1.959964*sigma)},
	} {
		if math.Abs(test.got/test.want-1) > 0.01 { // 100,000 draws put the 2.5th percentile within 0.2 %
			t.Errorf("Simulate(100, waste): %s = %v, want %v", test.name, test.got, test.want)
		}
	}
}

// TestSimulateSharesTheActivity: the quantity of burnt fuel scatters CH4 and N2O too. One run of
// 100,000 draws puts the 97.5th percentile within 0.17 % (one standard error), sixteen within 0.04
// %; without the activity it would be 0.3 % lower.
func TestSimulateSharesTheActivity(t *testing.T) {
	const runs = 16
	var high float64
	for seed := range uint64(runs) {
		high += carbon.Simulate(simulated(0, 28000),
			"mobile_combustion", carbon.MaxDraws, seed).High / runs
	}
	want := 28000 * math.Exp(1.959964*math.Hypot(carbon.Sigma(carbon.ActivityGSD2), carbon.Sigma(1.5)))
	if math.Abs(high/want-1) > 0.0015 {
		t.Errorf("Simulate(28000, mobile_combustion): mean high of %d seeds = %v, want %v ± 0.15 %%",
			runs, high, want)
	}
}

func TestSigma(t *testing.T) {
	const gsd = 1.5
	if got := carbon.Sigma(gsd * gsd); math.Abs(got-0.4054651081081644) > 1e-15 { // ln 1.5
		t.Errorf("Sigma(1.5²) = %v, want ln 1.5", got)
	}
	mean := 100 * expected(carbon.Sigma(gsd*gsd))
	if math.Abs(mean-108.5673983347048) > 1e-12 { // golden U-04
		t.Errorf("mean of a lognormal of median 100 and GSD 1.5 = %v, want 108.567", mean)
	}
	both := math.Exp(math.Hypot(carbon.Sigma(1.1*1.1), carbon.Sigma(gsd*gsd)))
	if math.Abs(both-1.516669007029228) > 1e-14 { // golden U-03
		t.Errorf("GSD of the product of GSD 1.1 and 1.5 = %v, want 1.51667", both)
	}
}

func TestSimulateIsRepeatable(t *testing.T) {
	result := simulated(53060, 54.5)
	first := carbon.Simulate(result, "stationary_combustion", 10_000, 42)
	if again := carbon.Simulate(result, "stationary_combustion", 10_000, 42); again != first {
		t.Errorf("Simulate with seed 42 twice = %+v and %+v", first, again)
	}
	if other := carbon.Simulate(result, "stationary_combustion", 10_000, 43); other.Mean == first.Mean {
		t.Errorf("Simulate with seeds 42 and 43 = %v both times", first.Mean)
	}
	if first.Draws != 10_000 || first.Seed != 42 {
		t.Errorf("Simulate = %+v, want it to say 10000 draws and seed 42", first)
	}
}

func TestSimulateLimits(t *testing.T) {
	result := simulated(100, 0)
	for _, test := range []struct{ asked, made int }{
		{-1, 0}, {0, 0}, {1, 1}, {2, 2}, {carbon.MaxDraws + 1, carbon.MaxDraws},
	} {
		got := carbon.Simulate(result, "waste", test.asked, 1)
		if got.Draws != test.made || got.Low > got.Median || got.Median > got.High {
			t.Errorf("Simulate(%d draws) = %+v, want %d draws in order", test.asked, got, test.made)
		}
		if test.made == 0 && got != (carbon.Interval{Seed: 1}) {
			t.Errorf("Simulate(%d draws) = %+v, want no figures", test.asked, got)
		}
	}
	if got := carbon.Simulate(carbon.Result{}, "waste", 100, 1); got.High != 0 || got.Mean != 0 {
		t.Errorf("Simulate of 0 kg = %+v, want 0", got)
	}
}

func TestFactorGSD2(t *testing.T) {
	for _, test := range []struct {
		category string
		want     float64
	}{
		{"stationary_combustion", 1.05},
		{"electricity_location", 1.10},
		{"travel_rail", 1.2},
		{"freight_road", 1.65},
		{"spend_eeio", 1.5},
		{"hotel", 1.5},
		{"bioenergy", 1.5},
		{"something new", 1.5},
	} {
		if got := carbon.FactorGSD2(test.category); got != test.want {
			t.Errorf("FactorGSD2(%s) = %v, want %v", test.category, got, test.want)
		}
	}
}

func TestSumUncertainty(t *testing.T) {
	line := func(id string, kg, activity, factor float64) carbon.UncertainLine {
		return carbon.UncertainLine{
			FactorID:        id,
			KgCO2e:          kg,
			ActivityPercent: activity,
			FactorPercent:   factor,
		}
	}
	for _, test := range []struct {
		name  string
		lines []carbon.UncertainLine
		want  float64
	}{
		{"nothing", nil, 0},
		{"independent: golden U-02", []carbon.UncertainLine{
			line("a", 100, 10, 0), line("b", 50, 20, 0), line("c", 850, 5, 0),
		}, 4.479118216792229},
		{"independent factors", []carbon.UncertainLine{line("a", 100, 0, 10), line("b", 100, 0, 10)}, 10 / math.Sqrt2},
		{"one shared factor does not average out", []carbon.UncertainLine{line("a", 100, 0, 10), line("a", 100, 0, 10)}, 10},
		{"both parts", []carbon.UncertainLine{line("a", 100, 5, 10)}, math.Hypot(5, 10)},
	} {
		if got := carbon.SumUncertainty(test.lines); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: SumUncertainty = %v, want %v", test.name, got, test.want)
		}
	}
	if got := carbon.ProductUncertainty(5, 10); math.Abs(got-11.18033988749895) > 1e-12 { // golden U-01
		t.Errorf("ProductUncertainty(5, 10) = %v, want 11.1803", got)
	}
}

func BenchmarkSimulate10000(b *testing.B) {
	result := simulated(53060, 54.5)
	for b.Loop() {
		carbon.Simulate(result, "stationary_combustion", 10_000, 1)
	}
}

func BenchmarkCalculate(b *testing.B) {
	factor, quantity := gas(b), dec(b, "61500.25")
	for b.Loop() {
		if _, err := carbon.Calculate(factor, quantity, "therm", carbon.AR5); err != nil {
			b.Fatal(err)
		}
	}
}
