package carbon

import "slices"

// Statuses of a result, from best to worst (R29).
const (
	StatusComplete       = "complete"
	StatusPartial        = "partial"      // a known part is missing, so the figure is too small
	StatusProvisional    = "provisional"  // estimated, or a fallback factor
	StatusInputNeeded    = "input_needed" // nothing can be said yet
	StatusReviewRequired = "review_required"
)

// Flags say what a reader must know about a result; a result carries each at most once, sorted.
const (
	// FlagRebaseImpossible marks a published CO2e in another GWP set than was asked for.
	FlagRebaseImpossible = "gwp_rebase_impossible"
	// FlagNoResidual marks a market figure whose uncovered load uses the grid average.
	FlagNoResidual = "no_residual"
	// FlagOverallocated marks instruments that exceed the load; the market figure is held.
	FlagOverallocated = "instrument_overallocated"
	// FlagZeroRate marks an emitting technology that claims zero; the market figure is held.
	FlagZeroRate = "zero_rate_emitting"
	// FlagLifeCycleGrid marks a region without a scope 2 factor: the figure comes from the
	// life-cycle intensity of its production mix and already holds the upstream.
	FlagLifeCycleGrid = "grid_lifecycle"
	// FlagTraceGasesMissing marks a vehicle fuel's CO2 without its CH4 and N2O: they are unknown,
	// not zero.
	FlagTraceGasesMissing = "ch4_n2o_missing"
)

// Gases are masses in kg; nil means that the factor does not tell, which is not zero.
type Gases struct{ CO2, CH4, N2O *Decimal }

// co2e weighs the known masses (R4).
func (g Gases) co2e(weights Weights) Decimal {
	var total Decimal
	for _, part := range []struct {
		mass   *Decimal
		weight Decimal
	}{{g.CO2, weights.CO2}, {g.CH4, weights.CH4}, {g.N2O, weights.N2O}} {
		if part.mass != nil {
			total = total.Add(part.mass.Mul(part.weight))
		}
	}
	return total
}

// Result is what a calculation found. CO2e and Market are inside the scopes, Outside is the memo
// ledger; the three are never added together.
type Result struct {
	CO2e       Decimal  // kg CO2e; the location-based figure for electricity
	Market     *Decimal // kg CO2e, market-based; nil when it does not apply or is held
	MarketHeld bool     // the market figure applies, but is withheld until someone looks
	Gases      Gases
	Outside    Decimal // kg of biogenic CO2, or kg CO2e of gases outside the Kyoto basket

	Set   GWPSet // the set that CO2e is expressed in
	Asked GWPSet // the set that was asked for; differs from Set only with FlagRebaseImpossible

	Flags    []string
	Status   string
	Quantity Decimal  // in Unit
	Unit     string   // of the factor; empty in a sum
	Covered  *Decimal // kWh matched by instruments; nil when there were none

	Uses []InstrumentUse // what each instrument covered, in the order of R9; empty in a sum
}

func (r *Result) flag(flag string) {
	at, found := slices.BinarySearch(r.Flags, flag)
	if !found {
		r.Flags = slices.Insert(slices.Clone(r.Flags), at, flag)
	}
}

// worsen keeps the worse of the two statuses.
func (r *Result) worsen(status string) {
	if severity(status) > severity(r.Status) {
		r.Status = status
	}
}

func severity(status string) int {
	order := []string{
		StatusComplete, StatusPartial, StatusProvisional, StatusInputNeeded, StatusReviewRequired,
	}
	return slices.Index(order, status)
}

// Calculate multiplies quantity, in unit, with the factor (R1 to R5). With a gas split CO2e is the
// sum of mass times GWP in the set asked for. Without one it is the published CO2e, and when the
// factor was published in another set the result keeps that set, is flagged FlagRebaseImpossible
// and sent to review. A factor outside of scopes gives CO2e 0 and fills Outside. A vehicle fuel of
// which only the CO2 is published gives a partial result; see Mobile.
//
// It fails with a *UnitError, *DimensionError, *GWPSetError, or a *QuantityError when quantity is
// negative.
func Calculate(f Factor, quantity Decimal, unit string, set GWPSet) (Result, error) {
	if quantity.Sign() < 0 {
		return Result{}, &QuantityError{What: "quantity", Value: quantity, Reason: "must not be negative"}
	}
	weights, err := f.weights(set)
	if err != nil {
		return Result{}, err
	}
	inFactorUnit, err := Convert(quantity, unit, f.Unit)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Gases: f.gases(inFactorUnit), Set: set, Asked: set, Status: StatusComplete,
		Quantity: inFactorUnit, Unit: f.Unit,
	}
	result.CO2e = result.Gases.co2e(weights)
	split := f.Split()
	if !split {
		result.CO2e, result.Set = f.CO2e.Mul(inFactorUnit), f.GWPSet
		if f.GWPSet != set {
			result.flag(FlagRebaseImpossible)
			result.worsen(StatusReviewRequired)
		}
	}
	if f.carbonOnly() && !f.outside() {
		result.flag(FlagTraceGasesMissing)
		result.worsen(StatusPartial)
	}
	switch {
	case f.outside():
		result.Outside, result.CO2e = result.CO2e, Decimal{}
	case f.Biogenic && split && result.Gases.CO2 != nil:
		result.Outside, result.CO2e = *result.Gases.CO2, result.CO2e.Sub(*result.Gases.CO2)
	}
	return result, nil
}
