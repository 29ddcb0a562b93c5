package carbon

import "fmt"

// Codes of the errors of this package, stable and machine-readable; every error type below returns
// one from Code.
const (
	CodeDecimal      = "decimal_invalid"
	CodeUnit         = "unit_unknown"
	CodeDimension    = "unit_dimension_mismatch"
	CodeGWPSet       = "gwp_set_unknown"
	CodeQuantity     = "quantity_invalid"
	CodeInstrument   = "instrument_invalid"
	CodeMixedGWPSets = "gwp_sets_mixed"
	CodeEmpty        = "nothing_to_sum"
)

// DecimalError says why a text is not a Decimal.
type DecimalError struct {
	Text   string // what was given, at most 64 bytes of it
	Reason string
}

func (e *DecimalError) Error() string { return fmt.Sprintf("decimal %q: %s", e.Text, e.Reason) }

// Code returns CodeDecimal.
func (e *DecimalError) Code() string { return CodeDecimal }

// UnitError names a unit that is not in the table.
type UnitError struct{ Unit string }

func (e *UnitError) Error() string { return fmt.Sprintf("unit %q: unknown", e.Unit) }

// Code returns CodeUnit.
func (e *UnitError) Code() string { return CodeUnit }

// DimensionError is a conversion between units of different dimension or basis, such as kWh_gross
// to kWh_net.
type DimensionError struct {
	From, To                   string
	FromDimension, ToDimension Dimension
}

func (e *DimensionError) Error() string {
	return fmt.Sprintf("convert %s (%s) to %s (%s): different dimensions",
		e.From, e.FromDimension, e.To, e.ToDimension)
}

// Code returns CodeDimension.
func (e *DimensionError) Code() string { return CodeDimension }

// GWPSetError names a GWP set other than AR4, AR5 and AR6.
type GWPSetError struct{ Set string }

func (e *GWPSetError) Error() string {
	return fmt.Sprintf("gwp set %q: must be AR4, AR5 or AR6", e.Set)
}

// Code returns CodeGWPSet.
func (e *GWPSetError) Code() string { return CodeGWPSet }

// QuantityError is a quantity outside of what a calculation accepts.
type QuantityError struct {
	What   string
	Value  Decimal
	Reason string
}

func (e *QuantityError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.What, e.Value, e.Reason)
}

// Code returns CodeQuantity.
func (e *QuantityError) Code() string { return CodeQuantity }

// InstrumentError is an electricity instrument that cannot be used; Index counts from 0 in the
// order given.
type InstrumentError struct {
	Index  int
	Reason string
	Err    error // nil, or what the instrument's quantity or unit failed with
}

func (e *InstrumentError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("instruments[%d]: %s: %v", e.Index, e.Reason, e.Err)
	}
	return fmt.Sprintf("instruments[%d]: %s", e.Index, e.Reason)
}

// Unwrap returns the error of the instrument's quantity or unit, if any.
func (e *InstrumentError) Unwrap() error { return e.Err }

// Code returns CodeInstrument.
func (e *InstrumentError) Code() string { return CodeInstrument }

// MixedGWPError is a sum of results that are expressed in different GWP sets (rule R24).
type MixedGWPError struct {
	First, Other GWPSet
	Index        int // of the first result in another set
}

func (e *MixedGWPError) Error() string {
	return fmt.Sprintf("sum: result %d is in %s, the ones before it in %s", e.Index, e.Other, e.First)
}

// Code returns CodeMixedGWPSets.
func (e *MixedGWPError) Code() string { return CodeMixedGWPSets }

// EmptySumError is a sum of no results: a total of nothing is unknown, not zero.
type EmptySumError struct{}

func (e *EmptySumError) Error() string { return "sum: no results" }

// Code returns CodeEmpty.
func (e *EmptySumError) Code() string { return CodeEmpty }
