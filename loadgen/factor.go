package loadgen

import (
	_ "embed" // for the factor table
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
)

// factorTable is a small extract of EcoTrack's catalogue: id, unit, mass per gas where the factor is
// split, and the published CO2e. The generator has its own copy and its own arithmetic, so that a
// wrong figure in EcoTrack cannot make itself right.
//
//go:embed factors.csv
var factorTable string

// factor is one row of the table, with the exact kg CO2e of one unit.
type factor struct {
	id      string
	unit    string
	perUnit *big.Rat
}

// AR5 global warming potentials over 100 years, without climate-carbon feedback: IPCC AR5 WG1,
// table 8.A.1. They are the ones EcoTrack uses unless asked otherwise.
const (
	gwpCH4 = 28
	gwpN2O = 265
)

// loadFactors reads the embedded table. A factor with a gas split is worth the sum of mass times
// GWP, one without its published CO2e.
func loadFactors() ([]factor, error) {
	var factors []factor
	lines := strings.Split(strings.TrimSpace(factorTable), "\n")
	for i, line := range lines[1:] {
		cells := strings.Split(line, ",")
		if len(cells) != 6 {
			return nil, fmt.Errorf("factors.csv:%d: want 6 cells, got %d", i+2, len(cells))
		}
		co2, co2OK := new(big.Rat).SetString(cells[2])
		ch4, ch4OK := new(big.Rat).SetString(cells[3])
		n2o, n2oOK := new(big.Rat).SetString(cells[4])
		perUnit, ok := new(big.Rat).SetString(cells[5])
		if !ok {
			return nil, fmt.Errorf("factors.csv:%d: co2e_kg: want a decimal, got %q", i+2, cells[5])
		}
		if co2OK && ch4OK && n2oOK {
			perUnit = co2.Add(co2, ch4.Mul(ch4, big.NewRat(gwpCH4, 1)))
			perUnit.Add(perUnit, n2o.Mul(n2o, big.NewRat(gwpN2O, 1)))
		}
		factors = append(factors, factor{id: cells[0], unit: cells[1], perUnit: perUnit})
	}
	return factors, nil
}

// otherUnits lists, for a factor's unit, the units an activity may be reported in instead, with how
// many of the factor's unit one of them is. Exact constants of reference note carbon, rule R1: lb
// 0.45359237 kg, short ton 907.18474 kg, US gallon 3.785411784 L, therm 0.1 mmBtu, mile 1.609344 km.
func otherUnits(unit string) []conversion {
	switch unit {
	case "kWh":
		return []conversion{{"MWh", big.NewRat(1000, 1)}}
	case "mmBtu":
		return []conversion{{"therm", big.NewRat(1, 10)}}
	case "kg":
		return []conversion{{"lb", big.NewRat(45359237, 100000000)}, {"tonne", big.NewRat(1000, 1)}}
	case "tonne":
		return []conversion{{"kg", big.NewRat(1, 1000)}, {"short_ton", big.NewRat(90718474, 100000000)}}
	case "short_ton":
		return []conversion{{"lb", big.NewRat(1, 2000)}, {"tonne", big.NewRat(100000000, 90718474)}}
	case "gallon_us":
		return []conversion{{"litre", big.NewRat(1000000000, 3785411784)}}
	case "litre":
		return []conversion{{"gallon_us", big.NewRat(3785411784, 1000000000)}}
	case "km":
		return []conversion{{"mile", big.NewRat(1609344, 1000000)}}
	case "mile":
		return []conversion{{"km", big.NewRat(1000000, 1609344)}}
	}
	return nil
}

type conversion struct {
	unit  string
	ratio *big.Rat
}

// activity is one thing to calculate.
type activity struct {
	factor   *factor
	quantity string
	unit     string
	ratio    *big.Rat // of unit to the factor's unit; nil: the same
}

// convertedShare of the activities comes in another unit than its factor, so that conversion is a
// part of the load as it is of life.
const convertedShare = 0.3

// drawActivity picks a factor, a unit and a quantity of 0.01 to 9,999.99.
func drawActivity(draw *rand.Rand, factors []factor) activity {
	f := &factors[draw.IntN(len(factors))]
	a := activity{factor: f, unit: f.unit, quantity: hundredths(1 + draw.Uint64N(999_999))}
	convert := draw.Float64() < convertedShare // drawn in any case: the stream keeps its step
	if others := otherUnits(f.unit); convert && len(others) > 0 {
		c := others[draw.IntN(len(others))]
		a.unit, a.ratio = c.unit, c.ratio
	}
	return a
}

// hundredths writes n/100 as a decimal without trailing zeros.
func hundredths(n uint64) string {
	text := strconv.FormatUint(n/100, 10)
	switch rest := n % 100; {
	case rest == 0:
		return text
	case rest%10 == 0:
		return text + "." + strconv.FormatUint(rest/10, 10)
	case rest < 10:
		return text + ".0" + strconv.FormatUint(rest, 10)
	default:
		return text + "." + strconv.FormatUint(rest, 10)
	}
}

// expected is the exact kg CO2e of the activity: quantity times conversion times factor, rounded
// once, half-even at 12 decimals.
func (a activity) expected() string {
	q, ok := new(big.Rat).SetString(a.quantity)
	if !ok {
		return "" // cannot happen: quantities are drawn, not read
	}
	if a.ratio != nil {
		q.Mul(q, a.ratio)
	}
	return roundDecimal(q.Mul(q, a.factor.perUnit))
}

// decimals is where EcoTrack rounds.
const decimals = 12

// roundDecimal writes v rounded half-even at 12 decimals, without trailing zeros or exponent.
func roundDecimal(v *big.Rat) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(decimals), nil)
	whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(v.Num(), scale), v.Denom(), new(big.Int))
	twice := rest.Abs(rest).Lsh(rest, 1)
	if c := twice.Cmp(v.Denom()); c > 0 || (c == 0 && whole.Bit(0) == 1) {
		whole.Add(whole, big.NewInt(int64(v.Sign())))
	}
	digits := new(big.Int).Abs(whole).String()
	if len(digits) <= decimals {
		digits = strings.Repeat("0", decimals+1-len(digits)) + digits
	}
	point := len(digits) - decimals
	text := strings.TrimRight(digits[:point]+"."+digits[point:], "0")
	text = strings.TrimSuffix(text, ".")
	if whole.Sign() < 0 {
		text = "-" + text
	}
	return text
}
