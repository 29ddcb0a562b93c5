package carbon

import "math/big"

// Dimension is what a unit measures, together with its basis: energy by gross and by net calorific
// value are two dimensions, and so are km, vehicle_km and passenger_km (rule R2). Only units of one
// dimension convert into each other.
type Dimension string

// The dimensions of the unit table.
const (
	Energy            Dimension = "energy"
	EnergyGross       Dimension = "energy_gross" // higher heating value
	EnergyNet         Dimension = "energy_net"   // lower heating value
	Mass              Dimension = "mass"
	Volume            Dimension = "volume"
	GasVolume         Dimension = "gas_volume_standard" // an amount of gas, not a space
	Distance          Dimension = "distance"
	VehicleDistance   Dimension = "vehicle_distance"
	PassengerDistance Dimension = "passenger_distance"
	FreightWork       Dimension = "freight"
	SpendUSD2022      Dimension = "spend_usd_2022"
	RoomNights        Dimension = "room_nights"
	WorkingTime       Dimension = "fte_time"
)

// Unit is a unit of the table: its name as factors spell it, its dimension, and its exact size.
type Unit struct {
	Name      string
	Dimension Dimension
	num, den  int64 // size in MJ, kg, litre, scf, km, tonne_km, or in the unit itself
}

// LookupUnit returns the unit of that exact name, or a *UnitError. The constants are those of rule
// R1, all exact by definition: lb 0.45359237 kg, mile 1.609344 km, US gallon 3.785411784 l, ft3
// 28.316846592 l, kWh 3.6 MJ, mmBtu 1055.05585262 MJ (International Table), therm 0.1 mmBtu.
func LookupUnit(name string) (Unit, error) {
	for _, find := range []func(string) Unit{energyUnit, massUnit, volumeUnit, distanceUnit, countedUnit} {
		if unit := find(name); unit.den != 0 {
			unit.Name = name
			return unit, nil
		}
	}
	return Unit{}, &UnitError{Unit: shorten(name)}
}

// Convert returns quantity, given in unit from, in unit to. Names are those of the factor
// catalogue. It fails with a *UnitError or a *DimensionError; the conversion itself is exact.
func Convert(quantity Decimal, from, to string) (Decimal, error) {
	source, err := LookupUnit(from)
	if err != nil {
		return Decimal{}, err
	}
	if from == to {
		return quantity, nil
	}
	target, err := LookupUnit(to)
	if err != nil {
		return Decimal{}, err
	}
	if source.Dimension != target.Dimension {
		return Decimal{}, &DimensionError{
			From: from, To: to, FromDimension: source.Dimension, ToDimension: target.Dimension,
		}
	}
	ratio := new(big.Rat).Quo(big.NewRat(source.num, source.den), big.NewRat(target.num, target.den))
	return quantity.Mul(Decimal{rat: ratio}), nil
}

func energyUnit(name string) Unit {
	dimension := Energy
	if base, basis, ok := cutBasis(name); ok {
		name, dimension = base, basis
	}
	switch name {
	case "Wh":
		return Unit{Dimension: dimension, num: 36, den: 10_000}
	case "kWh":
		return Unit{Dimension: dimension, num: 36, den: 10}
	case "MWh":
		return Unit{Dimension: dimension, num: 3_600, den: 1}
	case "GWh":
		return Unit{Dimension: dimension, num: 3_600_000, den: 1}
	case "kJ":
		return Unit{Dimension: dimension, num: 1, den: 1_000}
	case "MJ":
		return Unit{Dimension: dimension, num: 1, den: 1}
	case "GJ":
		return Unit{Dimension: dimension, num: 1_000, den: 1}
	case "TJ":
		return Unit{Dimension: dimension, num: 1_000_000, den: 1}
	case "mmBtu":
		return Unit{Dimension: dimension, num: 105_505_585_262, den: 100_000_000}
	case "therm":
		return Unit{Dimension: dimension, num: 105_505_585_262, den: 1_000_000_000}
	}
	return Unit{}
}

func cutBasis(name string) (base string, basis Dimension, ok bool) {
	const gross, net = "_gross", "_net"
	switch {
	case len(name) > len(gross) && name[len(name)-len(gross):] == gross:
		return name[:len(name)-len(gross)], EnergyGross, true
	case len(name) > len(net) && name[len(name)-len(net):] == net:
		return name[:len(name)-len(net)], EnergyNet, true
	}
	return name, "", false
}

func massUnit(name string) Unit {
	switch name {
	case "mg":
		return Unit{Dimension: Mass, num: 1, den: 1_000_000}
	case "g":
		return Unit{Dimension: Mass, num: 1, den: 1_000}
	case "kg":
		return Unit{Dimension: Mass, num: 1, den: 1}
	case "tonne":
		return Unit{Dimension: Mass, num: 1_000, den: 1}
	case "kilotonne":
		return Unit{Dimension: Mass, num: 1_000_000, den: 1}
	case "oz":
		return Unit{Dimension: Mass, num: 45_359_237, den: 1_600_000_000}
	case "lb":
		return Unit{Dimension: Mass, num: 45_359_237, den: 100_000_000}
	case "short_ton":
		return Unit{Dimension: Mass, num: 90_718_474, den: 100_000}
	case "long_ton":
		return Unit{Dimension: Mass, num: 10_160_469_088, den: 10_000_000}
	}
	return Unit{}
}

func volumeUnit(name string) Unit {
	switch name {
	case "ml":
		return Unit{Dimension: Volume, num: 1, den: 1_000}
	case "litre":
		return Unit{Dimension: Volume, num: 1, den: 1}
	case "m3":
		return Unit{Dimension: Volume, num: 1_000, den: 1}
	case "ft3":
		return Unit{Dimension: Volume, num: 28_316_846_592, den: 1_000_000_000}
	case "gallon_us":
		return Unit{Dimension: Volume, num: 3_785_411_784, den: 1_000_000_000}
	case "gallon_uk":
		return Unit{Dimension: Volume, num: 454_609, den: 100_000}
	case "barrel_us":
		return Unit{Dimension: Volume, num: 42 * 3_785_411_784, den: 1_000_000_000}
	case "scf":
		return Unit{Dimension: GasVolume, num: 1, den: 1}
	case "ccf":
		return Unit{Dimension: GasVolume, num: 100, den: 1}
	case "mcf":
		return Unit{Dimension: GasVolume, num: 1_000, den: 1}
	}
	return Unit{}
}

func distanceUnit(name string) Unit {
	switch name {
	case "m":
		return Unit{Dimension: Distance, num: 1, den: 1_000}
	case "km":
		return Unit{Dimension: Distance, num: 1, den: 1}
	case "mile":
		return Unit{Dimension: Distance, num: 1_609_344, den: 1_000_000}
	case "nautical_mile":
		return Unit{Dimension: Distance, num: 1_852, den: 1_000}
	case "vehicle_km":
		return Unit{Dimension: VehicleDistance, num: 1, den: 1}
	case "vehicle_mile":
		return Unit{Dimension: VehicleDistance, num: 1_609_344, den: 1_000_000}
	case "passenger_km":
		return Unit{Dimension: PassengerDistance, num: 1, den: 1}
	case "passenger_mile":
		return Unit{Dimension: PassengerDistance, num: 1_609_344, den: 1_000_000}
	case "kg_km":
		return Unit{Dimension: FreightWork, num: 1, den: 1_000}
	case "tonne_km":
		return Unit{Dimension: FreightWork, num: 1, den: 1}
	case "tonne_mile":
		return Unit{Dimension: FreightWork, num: 1_609_344, den: 1_000_000}
	case "short_ton_mile": // 0.90718474 t · 1.609344 km, all fourteen digits
		return Unit{Dimension: FreightWork, num: 90_718_474 * 1_609_344, den: 100_000_000 * 1_000_000}
	}
	return Unit{}
}

func countedUnit(name string) Unit {
	switch name {
	case "USD_2022":
		return Unit{Dimension: SpendUSD2022, num: 1, den: 1}
	case "room_night":
		return Unit{Dimension: RoomNights, num: 1, den: 1}
	case "fte_hour":
		return Unit{Dimension: WorkingTime, num: 1, den: 1}
	}
	return Unit{}
}
