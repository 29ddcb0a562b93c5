package carbon

import (
	"cmp"
	"slices"
	"strings"
)

// Kinds of electricity instruments, in the order in which they are used up (R9).
const (
	KindCertificate = "certificate" // retired energy attribute certificate
	KindContract    = "contract"    // power purchase agreement
	KindSupplier    = "supplier"    // supplier-specific tariff
)

// Instrument is a contractual claim on electricity of known emissions.
type Instrument struct {
	Kind         string // KindCertificate, KindContract or KindSupplier
	Quantity     Decimal
	Unit         string // of energy, such as MWh
	KgCO2ePerKWh Decimal
	Technology   string // optional, such as "wind" or "gas"; an emitting one must not claim zero
}

// Electricity calculates both figures of scope 2. The location-based one is the load times the grid
// factor and depends on nothing else (R8). The market-based one covers the load with the
// instruments, certificates before contracts before supplier tariffs, and the rest with the
// residual mix; a nil residual falls back to the grid factor with FlagNoResidual (R9).
//
// Instruments that exceed the load, and an emitting technology that claims zero, hold the market
// figure: Market is nil, MarketHeld true and the status review_required, while the location figure
// stands.
//
// It fails as Calculate does, and with an *InstrumentError for an unknown kind, a negative figure
// or a unit that is not energy.
func Electricity(grid Factor, residual *Factor, quantity Decimal, unit string,
	instruments []Instrument, set GWPSet,
) (Result, error) {
	load, err := Convert(quantity, unit, "kWh")
	if err != nil {
		return Result{}, err
	}
	result, err := Calculate(grid, quantity, unit, set)
	if err != nil {
		return Result{}, err
	}
	if grid.Scope == ScopeLifeCycle {
		result.flag(FlagLifeCycleGrid)
		result.worsen(StatusProvisional)
	}
	claims, err := readClaims(instruments)
	if err != nil {
		return Result{}, err
	}
	uses := useUp(claims, load)
	market, covered := totals(uses)
	if len(claims) > 0 {
		result.Covered, result.Uses = &covered, uses
	}
	if rest := load.Sub(covered); rest.Sign() > 0 {
		uncovered, err := restOfLoad(grid, residual, rest, set, &result)
		if err != nil {
			return Result{}, err
		}
		market = market.Add(uncovered)
	}
	hold(&result, instruments, claims, load)
	if !result.MarketHeld {
		result.Market = &market
	}
	return result, nil
}

// InstrumentUse is what an instrument covered of a load.
type InstrumentUse struct {
	Kind   string
	KWh    Decimal
	KgCO2e Decimal
}

// claim is an instrument in kWh.
type claim struct {
	kind string
	rank int
	kWh  Decimal
	rate Decimal
}

func readClaims(instruments []Instrument) ([]claim, error) {
	claims := make([]claim, 0, len(instruments))
	for i, instrument := range instruments {
		rank := slices.Index([]string{KindCertificate, KindContract, KindSupplier}, instrument.Kind)
		if rank < 0 {
			return nil, &InstrumentError{
				Index:  i,
				Reason: "kind must be certificate, contract or supplier",
			}
		}
		if instrument.Quantity.Sign() < 0 || instrument.KgCO2ePerKWh.Sign() < 0 {
			return nil, &InstrumentError{Index: i, Reason: "quantity and rate must not be negative"}
		}
		kWh, err := Convert(instrument.Quantity, instrument.Unit, "kWh")
		if err != nil {
			return nil, &InstrumentError{Index: i, Reason: "unit", Err: err}
		}
		claims = append(claims,
			claim{kind: instrument.Kind, rank: rank, kWh: kWh, rate: instrument.KgCO2ePerKWh})
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(a.rank, b.rank) })
	return claims, nil
}

// useUp covers the load with the claims in their order; together they cover at most the load.
func useUp(claims []claim, load Decimal) []InstrumentUse {
	uses := make([]InstrumentUse, 0, len(claims))
	rest := load
	for _, c := range claims {
		used := c.kWh
		if used.Cmp(rest) > 0 {
			used = rest
		}
		rest = rest.Sub(used)
		uses = append(uses, InstrumentUse{Kind: c.kind, KWh: used, KgCO2e: used.Mul(c.rate)})
	}
	return uses
}

func totals(uses []InstrumentUse) (emissions, covered Decimal) {
	for _, use := range uses {
		covered = covered.Add(use.KWh)
		emissions = emissions.Add(use.KgCO2e)
	}
	return emissions, covered
}

// restOfLoad returns the market emissions of the kWh that no instrument covers, and passes its
// flags on to result.
func restOfLoad(grid Factor, residual *Factor, rest Decimal, set GWPSet, result *Result,
) (Decimal, error) {
	factor := grid
	if residual != nil {
		factor = *residual
	} else {
		result.flag(FlagNoResidual)
	}
	uncovered, err := Calculate(factor, rest, "kWh", set)
	if err != nil {
		return Decimal{}, err
	}
	for _, flag := range uncovered.Flags {
		result.flag(flag)
	}
	result.worsen(uncovered.Status)
	return uncovered.CO2e, nil
}

// hold withholds the market figure where R9 asks for a second look.
func hold(result *Result, instruments []Instrument, claims []claim, load Decimal) {
	var claimed Decimal
	for _, c := range claims {
		claimed = claimed.Add(c.kWh)
	}
	if claimed.Cmp(load) > 0 {
		result.flag(FlagOverallocated)
		result.MarketHeld = true
	}
	for _, instrument := range instruments {
		if instrument.KgCO2ePerKWh.Sign() == 0 && emitting(instrument.Technology) {
			result.flag(FlagZeroRate)
			result.MarketHeld = true
		}
	}
	if result.MarketHeld {
		result.worsen(StatusReviewRequired)
	}
}

func emitting(technology string) bool {
	switch strings.ToLower(technology) {
	case "coal", "lignite", "gas", "natural_gas", "oil", "diesel", "peat", "waste", "chp":
		return true
	}
	return false
}
