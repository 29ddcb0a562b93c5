package carbon

// MassBalance is a period's account of a refrigerant or another gas, all in one unit of mass.
type MassBalance struct {
	OpeningStock, ClosingStock   Decimal // in storage
	Acquired, SentAway           Decimal // bought or received; sold, returned or destroyed
	OpeningCharge, ClosingCharge Decimal // nameplate capacity of the equipment in use
}

// Released returns what must have escaped (R7): the decrease in stock, plus acquired minus sent
// away, plus the decrease in charge. A negative release means that the account is wrong, and
// Calculate refuses it.
func (b MassBalance) Released() Decimal {
	return b.OpeningStock.Sub(b.ClosingStock).Add(b.Acquired).Sub(b.SentAway).
		Add(b.OpeningCharge).Sub(b.ClosingCharge)
}

// LossConvention says what a grid loss rate is a share of (R11).
type LossConvention int

// The two conventions in use; a result must say which one it used, as they differ by the factor
// 1/(1-L).
const (
	// LossOfConsumption multiplies by L, as in the GHG Protocol's scope 3 guidance, example 3.1.
	LossOfConsumption LossConvention = iota + 1
	// LossOfGeneration multiplies by L/(1-L): EPA's grid gross loss is a share of what was
	// generated.
	LossOfGeneration
)

// GridLoss returns the electricity lost on the way when consumed arrived, in the same unit. It
// fails with a *QuantityError unless 0 <= share < 1 and the convention is one of the two.
func GridLoss(consumed, share Decimal, convention LossConvention) (Decimal, error) {
	if share.Sign() < 0 || share.Cmp(Whole(1)) >= 0 {
		return Decimal{}, &QuantityError{
			What:   "loss share",
			Value:  share,
			Reason: "must be at least 0 and below 1",
		}
	}
	switch convention {
	case LossOfConsumption:
		return consumed.Mul(share), nil
	case LossOfGeneration:
		rate, _ := share.Quo(Whole(1).Sub(share)) // share < 1, so never a division by zero
		return consumed.Mul(rate), nil
	}
	return Decimal{}, &QuantityError{
		What:   "loss convention",
		Value:  Whole(int64(convention)),
		Reason: "unknown",
	}
}

// Allocate divides total in proportion to the keys, such as floor area or tonne-kilometres (R21).
// The shares are exact, so they add up to total. It fails with a *QuantityError when a key is
// negative or all are zero.
func Allocate(total Decimal, keys []Decimal) ([]Decimal, error) {
	var sum Decimal
	for _, key := range keys {
		if key.Sign() < 0 {
			return nil, &QuantityError{What: "allocation key", Value: key, Reason: "must not be negative"}
		}
		sum = sum.Add(key)
	}
	perKey, ok := total.Quo(sum)
	if !ok {
		return nil, &QuantityError{What: "allocation keys", Value: sum, Reason: "must not all be zero"}
	}
	shares := make([]Decimal, len(keys))
	for i, key := range keys {
		shares[i] = perKey.Mul(key)
	}
	return shares, nil
}

// Trip is what a vehicle did: the fuel it burnt and, where known, how far it went.
type Trip struct {
	Fuel     Decimal
	FuelUnit string

	Distance     *Decimal // nil when it was not recorded
	DistanceUnit string
}

// Mobile calculates a vehicle whose CO2 follows from its fuel and whose CH4 and N2O follow from its
// distance and model year (R6). Without a distance, or without a factor for it, the result is the
// fuel's CO2 alone, with FlagTraceGasesMissing and the status partial: what is missing is not zero.
// Errors are those of Calculate.
func Mobile(fuel Factor, perDistance *Factor, trip Trip, set GWPSet) (Result, error) {
	result, err := Calculate(fuel, trip.Fuel, trip.FuelUnit, set)
	if err != nil || perDistance == nil || trip.Distance == nil {
		return result, err
	}
	traces, err := Calculate(*perDistance, *trip.Distance, trip.DistanceUnit, set)
	if err != nil {
		return Result{}, err
	}
	if !fuel.carbonOnly() {
		// The fuel factor knows its CH4 and N2O already; adding the distance would count them
		// twice.
		return result, nil
	}
	result.Flags, result.Status = traces.Flags, traces.Status
	result.CO2e = result.CO2e.Add(traces.CO2e)
	result.Gases.CH4, result.Gases.N2O = traces.Gases.CH4, traces.Gases.N2O
	return result, nil
}
