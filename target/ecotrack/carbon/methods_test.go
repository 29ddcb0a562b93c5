package carbon_test

import (
	"squall/target/ecotrack/carbon"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMassBalance(t *testing.T) {
	balance := carbon.MassBalance{ // golden N1-13
		OpeningStock: dec(t, "20"), ClosingStock: dec(t, "18"), Acquired: dec(t, "5"),
		OpeningCharge: dec(t, "12"), ClosingCharge: dec(t, "10"),
	}
	if got := balance.Released(); got.String() != "9" {
		t.Errorf("Released() = %s, want 9", got)
	}
	balance.SentAway = dec(t, "10")
	if got := balance.Released(); got.String() != "-1" {
		t.Errorf("Released() with 10 sent away = %s, want -1", got)
	}
}

func TestGridLoss(t *testing.T) {
	for _, test := range []struct {
		name, share string
		convention  carbon.LossConvention
		want        string
	}{
		{"share of consumption", "0.2", carbon.LossOfConsumption, "200"},
		{"share of generation", "0.2", carbon.LossOfGeneration, "250"},
		{"no loss", "0", carbon.LossOfGeneration, "0"},
	} {
		got, err := carbon.GridLoss(dec(t, "1000"), dec(t, test.share), test.convention)
		if err != nil || got.String() != test.want {
			t.Errorf("%s: GridLoss(1000, %s) = %s, %v, want %s",
				test.name, test.share, got, err, test.want)
		}
	}
	for _, share := range []string{"1", "1.5", "-0.1"} {
		if got, err := carbon.GridLoss(dec(t, "1"), dec(t, share), carbon.LossOfGeneration); err == nil {
			t.Errorf("GridLoss(1, %s) = %s, want an error", share, got)
		}
	}
	if got, err := carbon.GridLoss(dec(t, "1"), dec(t, "0.1"), 0); err == nil {
		t.Errorf("GridLoss without a convention = %s, want an error", got)
	}
}

func TestAllocateAddsUpExactly(t *testing.T) {
	total := dec(t, "31.5") // GHGP-4.3, and a third that no decimal can hold
	for _, keys := range [][]carbon.Decimal{
		{carbon.Whole(240), carbon.Whole(150), carbon.Whole(100)},
		{carbon.Whole(1), carbon.Whole(1), carbon.Whole(1)},
		{carbon.Whole(0), dec(t, "0.7")},
	} {
		shares, err := carbon.Allocate(total, keys)
		if err != nil {
			t.Fatalf("Allocate(31.5, %v) = %v", keys, err)
		}
		var sum carbon.Decimal
		for _, share := range shares {
			sum = sum.Add(share)
		}
		if !sum.Equal(total) {
			t.Errorf("Allocate(31.5, %v) = %v, adds up to %s", keys, shares, sum)
		}
	}
	for _, keys := range [][]carbon.Decimal{nil, {carbon.Whole(0)}, {carbon.Whole(2), carbon.Whole(-1)}} {
		if got, err := carbon.Allocate(total, keys); err == nil {
			t.Errorf("Allocate(31.5, %v) = %v, want an error", keys, got)
		}
	}
}

func TestMobile(t *testing.T) {
	diesel := carbon.Factor{
		ID: "diesel", Category: "mobile_combustion", Scope: "1", Unit: "gallon_us", GWPSet: carbon.AR5,
		CO2: some(t, "10.21"), CO2e: dec(t, "10.21"),
	}
	heavy := carbon.Factor{
		ID: "heavy", Category: "mobile_combustion", Scope: "1", Unit: "vehicle_mile", GWPSet: carbon.AR5,
		CO2: some(t, "0"), CH4: some(t, "0.0000095"), N2O: some(t, "0.0000431"),
		CO2e: dec(t, "0.0116875"),
	}
	trip := carbon.Trip{
		Fuel: dec(t, "1000"), FuelUnit: "gallon_us",
		Distance: some(t, "8000"), DistanceUnit: "vehicle_mile",
	}
	got, err := carbon.Mobile(diesel, &heavy, trip, carbon.AR5) // golden N1-09
	if err != nil || got.CO2e.String() != "10303.5" || got.Status != carbon.StatusComplete ||
		len(got.Flags) != 0 {
		t.Errorf("Mobile = %s, %s %v, %v, want 10303.5, complete", got.CO2e, got.Status, got.Flags, err)
	}
	want := carbon.Gases{CO2: some(t, "10210"), CH4: some(t, "0.076"), N2O: some(t, "0.3448")}
	if diff := cmp.Diff(want, got.Gases); diff != "" {
		t.Errorf("Mobile: gases (-want +got):\n%s", diff)
	}

	trip.Distance = nil
	got, err = carbon.Mobile(diesel, &heavy, trip, carbon.AR5)
	if err != nil || got.CO2e.String() != "10210" || got.Status != carbon.StatusPartial ||
		got.Gases.CH4 != nil {
		t.Errorf("Mobile without distance = %s, %s, %v, want 10210, partial, CH4 unknown",
			got.CO2e, got.Status, err)
	}

	whole := gas(t) // knows its CH4 and N2O: nothing to add
	trip = carbon.Trip{
		Fuel:         dec(t, "1"),
		FuelUnit:     "mmBtu",
		Distance:     some(t, "8000"),
		DistanceUnit: "vehicle_mile",
	}
	got, err = carbon.Mobile(whole, &heavy, trip, carbon.AR5)
	if err != nil || got.CO2e.String() != "53.1145" {
		t.Errorf("Mobile with a complete fuel factor = %s, %v, want 53.1145", got.CO2e, err)
	}
	trip.DistanceUnit = "km"
	if _, err := carbon.Mobile(diesel, &heavy, trip, carbon.AR5); err == nil {
		t.Error("Mobile with a distance in km per vehicle_mile = nil, want a *DimensionError")
	}
}
