package carbon

import (
	"math"
	"math/rand/v2"
	"slices"
)

// MaxDraws is the most draws that one simulation makes.
const MaxDraws = 100_000

// Interval is a simulated distribution in kg CO2e: the 2.5, 50 and 97.5 percentiles and the mean of
// Draws draws. Draws 0 means that nothing was simulated and the figures say nothing.
type Interval struct {
	Low, Median, High, Mean float64
	Draws                   int
	Seed                    uint64 // repeats the interval to the bit on the same processor architecture
}

// Simulate draws the result's CO2e (the location figure for electricity) draws times, at most
// MaxDraws (R26). The activity and the factor are lognormal around the calculated value as median;
// burnt fuel has one factor stream for CO2 and one for CH4 and N2O. Geometric standard deviations
// are FactorGSD2 of the category and ActivityGSD2.
func Simulate(r Result, category string, draws int, seed uint64) Interval {
	draws = min(max(draws, 0), MaxDraws)
	interval := Interval{Draws: draws, Seed: seed}
	if draws == 0 {
		return interval
	}
	const stream = 0x65636f747261636b // "ecotrack": a constant second word, so that the seed alone decides
	rng := rand.New(rand.NewPCG(seed, stream))
	samples := make([]float64, draws)
	model := newLineModel(r, category)
	for i := range samples {
		samples[i] = model.draw(rng)
	}
	var total float64
	for _, sample := range samples {
		total += sample
	}
	slices.Sort(samples)
	interval.Mean = total / float64(draws)
	interval.Low = percentile(samples, 0.025)
	interval.Median = percentile(samples, 0.5)
	interval.High = percentile(samples, 0.975)
	return interval
}

// lineModel is activity · (main · factor + trace · trace factor), all three lognormal with median
// 1.
type lineModel struct {
	main, trace                        float64 // kg CO2e; trace is CH4 and N2O of burnt fuel
	sigmaActivity, sigmaMain, sigmaTrc float64
}

func newLineModel(r Result, category string) lineModel {
	model := lineModel{
		main:          r.CO2e.Float64(),
		sigmaActivity: Sigma(ActivityGSD2),
		sigmaMain:     Sigma(FactorGSD2(category)),
	}
	if !burns(category) || r.Gases.CO2 == nil || r.Gases.CH4 == nil || r.Gases.N2O == nil {
		return model
	}
	co2 := r.Gases.CO2.Float64()
	if r.Outside.Sign() > 0 {
		co2 = 0 // biogenic CO2 is not part of the figure
	}
	model.main, model.trace = co2, max(r.CO2e.Float64()-co2, 0)
	model.sigmaTrc = Sigma(traceGasGSD2)
	return model
}

// draw takes three normals in any case, so that a line's later draws do not depend on what its
// factor splits into.
func (m lineModel) draw(rng *rand.Rand) float64 {
	activity := m.sigmaActivity * rng.NormFloat64()
	factor := m.sigmaMain * rng.NormFloat64()
	sample := m.main * math.Exp(activity+factor)
	trace := m.sigmaTrc * rng.NormFloat64()
	if m.trace > 0 {
		sample += m.trace * math.Exp(activity+trace)
	}
	return sample
}

// percentile interpolates linearly between the closest ranks of a sorted sample.
func percentile(sorted []float64, share float64) float64 {
	position := share * float64(len(sorted)-1)
	below := int(position)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	fraction := position - float64(below)
	return sorted[below] + fraction*(sorted[below+1]-sorted[below])
}

// ActivityGSD2 is the squared geometric standard deviation of a metered or invoiced quantity: the
// pedigree method's basic uncertainty of 1.05.
const ActivityGSD2 = 1.05

const (
	carbonDioxideGSD2 = 1.05 // of burnt fuel; pedigree practice
	traceGasGSD2      = 1.5  // CH4 and N2O of burnt fuel; pedigree practice
)

// FactorGSD2 returns the squared geometric standard deviation assumed for a category whose source
// states none (reference note, end of section 3): combustion CO2 1.05, grid 1.10 (ADEME prints ±10
// %), rail 1.2, road 1.65 (±60 to 70 %), and 1.5 for waste, spend, hotels and everything else.
func FactorGSD2(category string) float64 {
	switch category {
	case "stationary_combustion", "mobile_combustion", "fuel_combustion", "biogenic_co2":
		return carbonDioxideGSD2
	case "electricity_location", "electricity_lifecycle", "electricity_td_loss", "electricity_residual",
		"heat_steam", "heat_td_loss":
		return 1.10
	case "travel_rail", "freight_rail":
		return 1.2
	case "travel_road", "freight_road":
		return 1.65
	}
	return 1.5
}

func burns(category string) bool {
	switch category {
	case "stationary_combustion", "mobile_combustion", "fuel_combustion", "bioenergy":
		return true
	}
	return false
}

// Sigma returns the standard deviation of the logarithm for a squared geometric standard deviation
// of at least 1.
func Sigma(gsd2 float64) float64 { return math.Log(gsd2) / 2 }

// ProductUncertainty returns the relative uncertainty of a product of independent parts: √ΣU², in
// the unit of the parts, usually per cent (R25).
func ProductUncertainty(parts ...float64) float64 {
	var squares float64
	for _, part := range parts {
		squares += part * part
	}
	return math.Sqrt(squares)
}

// UncertainLine is a line of a sum with its relative uncertainties in per cent.
type UncertainLine struct {
	FactorID        string // lines of one factor are fully correlated in FactorPercent
	KgCO2e          float64
	ActivityPercent float64
	FactorPercent   float64
}

// SumUncertainty returns the relative uncertainty of the sum of lines in per cent: √Σ(U·E)² / ΣE,
// where the factor parts of lines that share a factor are added linearly before they are squared
// (R25). It returns 0 for a sum of 0.
func SumUncertainty(lines []UncertainLine) float64 {
	var total, squares float64
	byFactor := make(map[string]float64)
	var order []string // float addition is not associative: keep the order of the lines
	for _, line := range lines {
		total += line.KgCO2e
		activity := line.ActivityPercent * line.KgCO2e
		squares += activity * activity
		if _, seen := byFactor[line.FactorID]; !seen {
			order = append(order, line.FactorID)
		}
		byFactor[line.FactorID] += line.FactorPercent * line.KgCO2e
	}
	for _, id := range order {
		squares += byFactor[id] * byFactor[id]
	}
	if total == 0 {
		return 0
	}
	return math.Sqrt(squares) / math.Abs(total)
}
