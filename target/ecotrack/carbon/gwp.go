package carbon

// GWPSet names a table of 100-year global warming potentials by its IPCC assessment report.
type GWPSet string

// The sets that results may be expressed in.
const (
	AR4 GWPSet = "AR4"
	AR5 GWPSet = "AR5"
	AR6 GWPSet = "AR6"
)

// DefaultGWPSet is the set of the EPA and DESNZ factors (R4).
const DefaultGWPSet = AR5

// ParseGWPSet returns the set of that name, or a *GWPSetError; the empty name is an error too.
func ParseGWPSet(name string) (GWPSet, error) {
	switch set := GWPSet(name); set {
	case AR4, AR5, AR6:
		return set, nil
	}
	return "", &GWPSetError{Set: shorten(name)}
}

// Weights are kg CO2e per kg of each gas. CO2 is 1 by definition.
type Weights struct{ CO2, CH4, N2O Decimal }

// Weights returns the GWP-100 values of the set, without climate-carbon feedback: AR4 25 and 298,
// AR5 28 and 265, AR6 27.0 and 273. AR6 methane is the value for combustion and non-fossil sources
// (GHG Protocol GWP table, August 2024), not the 27.9 of the plain AR6 table. It fails with a
// *GWPSetError for another set.
func (s GWPSet) Weights() (Weights, error) {
	switch s {
	case AR4:
		return Weights{CO2: Whole(1), CH4: Whole(25), N2O: Whole(298)}, nil
	case AR5:
		return Weights{CO2: Whole(1), CH4: Whole(28), N2O: Whole(265)}, nil
	case AR6:
		return Weights{CO2: Whole(1), CH4: Whole(27), N2O: Whole(273)}, nil
	}
	return Weights{}, &GWPSetError{Set: shorten(string(s))}
}

// FossilFugitiveCH4 returns the AR6 weight of methane that escapes unburnt from a fossil source:
// 29.8.
func FossilFugitiveCH4() Decimal { return Whole(298).Mul(perTen()) }

func perTen() Decimal {
	tenth, _ := Whole(1).Quo(Whole(10))
	return tenth
}

// weights returns the set's weights for this factor: in AR6, methane released without being burnt
// counts 29.8 unless it is of biogenic origin (R4).
func (f Factor) weights(set GWPSet) (Weights, error) {
	weights, err := set.Weights()
	if err == nil && set == AR6 && f.Category == "fugitive_gas" && !f.Biogenic {
		weights.CH4 = FossilFugitiveCH4()
	}
	return weights, err
}
