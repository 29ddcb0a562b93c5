package carbon_test

import (
	"errors"
	"squall/target/ecotrack/carbon"
	"testing"
)

func unitNames() []string {
	names := []string{
		"mg", "g", "kg", "tonne", "kilotonne", "oz", "lb", "short_ton", "long_ton",
		"ml", "litre", "m3", "ft3", "gallon_us", "gallon_uk", "barrel_us", "scf", "ccf", "mcf",
		"m", "km", "mile", "nautical_mile", "vehicle_km", "vehicle_mile", "passenger_km", "passenger_mile",
		"kg_km", "tonne_km", "tonne_mile", "short_ton_mile", "USD_2022", "room_night", "fte_hour",
	}
	for _, energy := range []string{"Wh", "kWh", "MWh", "GWh", "kJ", "MJ", "GJ", "TJ", "mmBtu", "therm"} {
		names = append(names, energy, energy+"_gross", energy+"_net")
	}
	return names
}

// TestConvert checks the constants of rule R1; each expectation is the definition of the unit.
func TestConvert(t *testing.T) {
	for _, test := range []struct{ quantity, from, to, want string }{
		{"1", "lb", "kg", "0.45359237"},
		{"16", "oz", "lb", "1"},
		{"1", "short_ton", "kg", "907.18474"},
		{"1", "short_ton", "lb", "2000"},
		{"1", "long_ton", "lb", "2240"},
		{"1", "kilotonne", "tonne", "1000"},
		{"1", "tonne", "g", "1000000"},
		{"1", "mile", "km", "1.609344"},
		{"1", "nautical_mile", "m", "1852"},
		{"1", "gallon_us", "litre", "3.785411784"},
		{"1", "barrel_us", "gallon_us", "42"},
		{"1", "gallon_uk", "litre", "4.54609"},
		{"1", "ft3", "m3", "0.028316846592"},
		{"1", "ccf", "scf", "100"},
		{"1", "mcf", "ccf", "10"},
		{"1", "kWh", "MJ", "3.6"},
		{"10", "MWh", "kWh", "10000"},
		{"1", "mmBtu", "MJ", "1055.05585262"},
		{"1", "mmBtu", "kWh", "293.071070172222"},
		{"61500", "therm", "mmBtu", "6150"},
		{"1", "GWh_gross", "MWh_gross", "1000"},
		{"3.6", "GJ_net", "MWh_net", "1"},
		{"1", "short_ton_mile", "tonne_km", "1.459972318211"},
		{"1", "vehicle_mile", "vehicle_km", "1.609344"},
		{"1000", "passenger_km", "passenger_mile", "621.371192237334"},
		{"1", "tonne_mile", "kg_km", "1609.344"},
		{"7", "USD_2022", "USD_2022", "7"},
	} {
		got, err := carbon.Convert(dec(t, test.quantity), test.from, test.to)
		if err != nil || got.String() != test.want {
			t.Errorf("Convert(%s, %s, %s) = %s, %v, want %s",
				test.quantity, test.from, test.to, got, err, test.want)
		}
	}
}

func TestConvertRefusesAnotherDimensionOrBasis(t *testing.T) {
	for _, test := range []struct{ from, to string }{
		{"kWh_gross", "kWh_net"},
		{"kWh", "kWh_gross"},
		{"mmBtu", "GJ_net"},
		{"kg", "litre"},
		{"km", "passenger_km"},
		{"km", "vehicle_km"},
		{"vehicle_mile", "passenger_mile"},
		{"tonne", "tonne_km"},
		{"scf", "m3"},
		{"m3", "kWh"},
		{"USD_2022", "kg"},
		{"room_night", "fte_hour"},
	} {
		got, err := carbon.Convert(carbon.Whole(1), test.from, test.to)
		mismatch, ok := errors.AsType[*carbon.DimensionError](err)
		if !ok || mismatch.Code() != "unit_dimension_mismatch" || mismatch.From != test.from ||
			mismatch.To != test.to {
			t.Errorf("Convert(1, %s, %s) = %s, %v, want a *DimensionError", test.from, test.to, got, err)
		}
	}
}

func TestConvertRefusesUnknownUnits(t *testing.T) {
	for _, test := range []struct{ from, to, unknown string }{
		{"kwh", "kWh", "kwh"},
		{"kWh", "kwh", "kwh"},
		{"", "", ""},
		{"EUR_2022", "USD_2022", "EUR_2022"},
		{"_gross", "kWh", "_gross"},
		{"kg_gross", "kg", "kg_gross"},
		{"furlong", "furlong", "furlong"},
	} {
		_, err := carbon.Convert(carbon.Whole(1), test.from, test.to)
		unknown, ok := errors.AsType[*carbon.UnitError](err)
		if !ok || unknown.Unit != test.unknown || unknown.Code() != carbon.CodeUnit {
			t.Errorf("Convert(1, %q, %q) = %v, want a *UnitError for %q",
				test.from, test.to, err, test.unknown)
		}
	}
}

// TestConvertThereAndBack: over all pairs of units, a conversion either goes both ways and loses
// nothing, or neither way.
func TestConvertThereAndBack(t *testing.T) {
	quantity := dec(t, "1234567.89012345678901")
	for _, from := range unitNames() {
		unit, err := carbon.LookupUnit(from)
		if err != nil || unit.Name != from || unit.Dimension == "" {
			t.Fatalf("LookupUnit(%s) = %+v, %v", from, unit, err)
		}
		for _, to := range unitNames() {
			there, err := carbon.Convert(quantity, from, to)
			back, errBack := carbon.Convert(there, to, from)
			if (err == nil) != (errBack == nil) {
				t.Errorf("Convert %s to %s: %v, but back: %v", from, to, err, errBack)
			}
			if err == nil && !back.Equal(quantity) {
				t.Errorf("Convert %s to %s and back = %s, want %s", from, to, back, quantity)
			}
		}
	}
}
