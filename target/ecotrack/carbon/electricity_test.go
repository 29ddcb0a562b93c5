package carbon_test

import (
	"errors"
	"slices"
	"squall/target/ecotrack/carbon"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func grid(tb testing.TB) carbon.Factor {
	tb.Helper()
	return carbon.Factor{
		ID: "grid", Category: "electricity_location", Scope: "2", Unit: "kWh", GWPSet: carbon.AR5, CO2e: dec(tb, "0.2"),
	}
}

func residualMix(tb testing.TB) *carbon.Factor {
	tb.Helper()
	mix := grid(tb)
	mix.ID, mix.CO2e = "residual", dec(tb, "0.5")
	return &mix
}

func instrument(tb testing.TB, kind, quantity, unit, rate string) carbon.Instrument {
	tb.Helper()
	return carbon.Instrument{
		Kind:         kind,
		Quantity:     dec(tb, quantity),
		Unit:         unit,
		KgCO2ePerKWh: dec(tb, rate),
	}
}

// TestElectricity: the load is 10 MWh at 0.2 kg/kWh in every row, so the location figure is 2000 kg
// whatever is bought.
func TestElectricity(t *testing.T) {
	certificate := instrument(t, carbon.KindCertificate, "4", "MWh", "0")
	contract := instrument(t, carbon.KindContract, "3600", "MJ", "0.1")
	supplier := instrument(t, carbon.KindSupplier, "5", "MWh", "0.3")
	whole := instrument(t, carbon.KindCertificate, "10", "MWh", "0")
	over := instrument(t, carbon.KindCertificate, "10000.001", "kWh", "0")
	coal, wind := whole, whole
	coal.Technology, wind.Technology = "Coal", "wind"
	complete, review := carbon.StatusComplete, carbon.StatusReviewRequired
	for _, test := range []struct {
		name        string
		instruments []carbon.Instrument
		residual    bool
		market      string // "held" when it is
		covered     string
		status      string
		flags       []string
	}{
		{"nothing bought, no residual mix", nil, false, "2000", "", complete, []string{carbon.FlagNoResidual}},
		{"nothing bought", nil, true, "5000", "", complete, nil},
		{"some covered", []carbon.Instrument{certificate}, true, "3000", "4000", complete, nil},
		{"three kinds", []carbon.Instrument{supplier, contract, certificate}, true, "1600", "10000", complete, nil},
		{"all covered by wind", []carbon.Instrument{wind}, false, "0", "10000", complete, nil},
		{
			"zero claimed for coal",
			[]carbon.Instrument{coal},
			true, "held", "10000", review,
			[]string{carbon.FlagZeroRate},
		},
		{
			"more than the load",
			[]carbon.Instrument{over},
			true, "held", "10000", review,
			[]string{carbon.FlagOverallocated},
		},
		{
			"more than the load in two claims",
			[]carbon.Instrument{whole, contract},
			false, "held", "10000", review,
			[]string{carbon.FlagOverallocated},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var residual *carbon.Factor
			if test.residual {
				residual = residualMix(t)
			}
			got, err := carbon.Electricity(grid(t),
				residual, dec(t, "10"), "MWh", test.instruments, carbon.AR5)
			if err != nil {
				t.Fatalf("Electricity = %v", err)
			}
			if got.CO2e.String() != "2000" {
				t.Errorf("Electricity: location %s, want 2000", got.CO2e)
			}
			market := "held"
			if !got.MarketHeld && got.Market != nil {
				market = got.Market.String()
			}
			covered := ""
			if got.Covered != nil {
				covered = got.Covered.String()
			}
			if market != test.market || covered != test.covered {
				t.Errorf("Electricity: market %s, covered %q, want %s, %q",
					market, covered, test.market, test.covered)
			}
			if got.Status != test.status || !slices.Equal(got.Flags, test.flags) {
				t.Errorf("Electricity: %s %v, want %s %v", got.Status, got.Flags, test.status, test.flags)
			}
		})
	}
}

// TestElectricityUsesInstrumentsInOrder: certificates go before contracts and those before supplier
// tariffs, however they are listed, and what exceeds the load is not used.
func TestElectricityUsesInstrumentsInOrder(t *testing.T) {
	given := []carbon.Instrument{
		instrument(t, carbon.KindSupplier, "5", "MWh", "0.3"),
		instrument(t, carbon.KindCertificate, "4", "MWh", "0.01"),
		instrument(t, carbon.KindContract, "3", "MWh", "0.1"),
	}
	got, err := carbon.Electricity(grid(t), nil, dec(t, "10"), "MWh", given, carbon.AR5)
	if err != nil {
		t.Fatal(err)
	}
	want := []carbon.InstrumentUse{
		{Kind: carbon.KindCertificate, KWh: dec(t, "4000"), KgCO2e: dec(t, "40")},
		{Kind: carbon.KindContract, KWh: dec(t, "3000"), KgCO2e: dec(t, "300")},
		{Kind: carbon.KindSupplier, KWh: dec(t, "3000"), KgCO2e: dec(t, "900")},
	}
	if diff := cmp.Diff(want, got.Uses); diff != "" {
		t.Errorf("Electricity: uses (-want +got):\n%s", diff)
	}
}

func TestElectricityFlagsItsGridFactor(t *testing.T) {
	lifeCycle := grid(t)
	lifeCycle.Scope, lifeCycle.Category = carbon.ScopeLifeCycle, "electricity_lifecycle"
	got, err := carbon.Electricity(lifeCycle, nil, dec(t, "1"), "kWh", nil, carbon.AR5)
	if err != nil || got.Status != carbon.StatusProvisional ||
		!slices.Contains(got.Flags, carbon.FlagLifeCycleGrid) {
		t.Errorf("Electricity with a life-cycle grid = %s %v, %v, want provisional",
			got.Status, got.Flags, err)
	}
	old := grid(t)
	old.GWPSet = carbon.AR4
	got, err = carbon.Electricity(old, nil, dec(t, "1"), "kWh", nil, carbon.AR5)
	if err != nil || got.Status != carbon.StatusReviewRequired || got.Set != carbon.AR4 ||
		!slices.Contains(got.Flags, carbon.FlagRebaseImpossible) {
		t.Errorf("Electricity with an AR4 grid = %+v, %v, want review_required in AR4", got, err)
	}
}

func TestElectricityRefuses(t *testing.T) {
	ok := instrument(t, carbon.KindSupplier, "1", "kWh", "0")
	for _, test := range []struct {
		name string
		bad  carbon.Instrument
	}{
		{"unknown kind", instrument(t, "gift", "1", "kWh", "0")},
		{"no kind", instrument(t, "", "1", "kWh", "0")},
		{"negative quantity", instrument(t, carbon.KindContract, "-1", "kWh", "0")},
		{"negative rate", instrument(t, carbon.KindContract, "1", "kWh", "-0.1")},
		{"not energy", instrument(t, carbon.KindContract, "1", "kg", "0")},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := carbon.Electricity(grid(t),
				nil, dec(t, "10"), "kWh", []carbon.Instrument{ok, test.bad}, carbon.AR5)
			invalid, isInstrument := errors.AsType[*carbon.InstrumentError](err)
			if !isInstrument || invalid.Index != 1 || invalid.Code() != carbon.CodeInstrument {
				t.Errorf("Electricity = %v, want an *InstrumentError at 1", err)
			}
		})
	}
	if _, err := carbon.Electricity(grid(t), nil, dec(t, "-1"), "kWh", nil, carbon.AR5); err == nil {
		t.Error("Electricity(-1 kWh) = nil, want a *QuantityError")
	}
	if _, err := carbon.Electricity(gas(t), nil, dec(t, "1"), "kWh_net", nil, carbon.AR5); err == nil {
		t.Error("Electricity(1 kWh_net) = nil, want a *DimensionError")
	}
	perKm := grid(t)
	perKm.Unit = "km"
	if _, err := carbon.Electricity(perKm, nil, dec(t, "1"), "kWh", nil, carbon.AR5); err == nil {
		t.Error("Electricity with a factor per km = nil, want a *DimensionError")
	}
}
