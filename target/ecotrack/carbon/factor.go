// Package carbon is the arithmetic of greenhouse-gas accounting: exact decimals, units with their
// basis, emission factors, global warming potentials, results by gas, the two electricity figures,
// and uncertainty. It does no I/O and keeps no state; every function gives the same answer to the
// same question.
//
//	quantity, unit ─Convert─▶ in the factor's unit ─▶ mass per gas ─GWP─▶ Result ─▶ Sum
//	                                                                         └─▶ Simulate
//
// Nothing is rounded on the way: Decimal.String rounds once. What is unknown is a nil pointer, a
// flag or a status, never a zero. The rules R1 to R32 named in the comments are those of the
// research note reference/carbon.md, section 2.3.
package carbon

// Scopes that decide in which ledger an emission is booked; the others are plain labels such as "1"
// or "3.4".
const (
	// ScopeOutside is the memo ledger: biogenic CO2 and gases outside the Kyoto basket (R5, R7).
	ScopeOutside = "outside"
	// ScopeLifeCycle marks life-cycle electricity, which already contains its upstream (R12).
	ScopeLifeCycle = "2+3.3"
)

// Factor is an emission factor: kg emitted per Unit of Activity.
type Factor struct {
	ID       string
	Version  string // of the catalogue that the factor came from
	Category string // such as "stationary_combustion"; decides the default uncertainty
	Scope    string // GHG Protocol scope or category: "1", "2", "3.4", ScopeOutside, ScopeLifeCycle
	Activity string // what is measured, for people
	Unit     string // as LookupUnit knows it

	CO2, CH4, N2O *Decimal // kg per unit; nil when the source publishes no such figure
	CO2e          Decimal  // kg CO2e per unit as published, in GWPSet

	GWPSet    GWPSet
	Region    string // ISO 3166 code, grid subregion, or GLOBAL
	Year      int    // edition or data year, see the catalogue
	Source    string
	SourceURL string

	Biogenic bool // its CO2 comes from biomass and goes to the outside ledger
	Outside  bool // the whole factor belongs to the outside ledger
}

// Split reports whether the factor's gases are known well enough to be expressed in any GWP set:
// all three are published, or those that are make up the whole published CO2e, as with a factor
// that is CO2 only by construction.
func (f Factor) Split() bool {
	if f.CO2 != nil && f.CH4 != nil && f.N2O != nil {
		return true
	}
	if f.CO2 == nil && f.CH4 == nil && f.N2O == nil {
		return false
	}
	weights, err := f.weights(f.GWPSet)
	if err != nil {
		return false
	}
	return f.gases(Whole(1)).co2e(weights).Equal(f.CO2e)
}

// gases returns the masses that quantity, in the factor's unit, emits (R3).
func (f Factor) gases(quantity Decimal) Gases {
	mass := func(perUnit *Decimal) *Decimal {
		if perUnit == nil {
			return nil
		}
		product := perUnit.Mul(quantity)
		return &product
	}
	return Gases{CO2: mass(f.CO2), CH4: mass(f.CH4), N2O: mass(f.N2O)}
}

func (f Factor) outside() bool { return f.Outside || f.Scope == ScopeOutside }

// carbonOnly reports a vehicle fuel whose row holds CO2 and leaves CH4 and N2O to a row per
// distance (R6).
func (f Factor) carbonOnly() bool {
	return f.Category == "mobile_combustion" && f.CO2 != nil && f.CH4 == nil && f.N2O == nil &&
		f.CO2.Equal(f.CO2e)
}
