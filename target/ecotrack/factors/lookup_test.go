package factors

import (
	"encoding/base64"
	"errors"
	"slices"
	"squall/target/ecotrack/carbon"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ids(factors []carbon.Factor) []string {
	var list []string
	for _, f := range factors {
		list = append(list, f.ID)
	}
	return list
}

func TestSearch(t *testing.T) {
	catalogue := load(t)
	for _, test := range []struct {
		name  string
		query Query
		want  []string
		more  bool
	}{
		{
			"words in any case and order",
			Query{Text: "GASOLINE mobile motor gallon_us"},
			[]string{"epa24.mobile.motor_gasoline.gallon_us"},
			false,
		},
		{"category and region", Query{Category: "hotel", Region: "JP"}, []string{"desnz25.hotel.jp.room_night"}, false},
		{"Namibia is a region", Query{Region: "NA"}, []string{"ember.na.2023.kwh"}, false},
		{"first of many", Query{Category: "hotel", Limit: 1}, []string{"desnz25.hotel.ae.room_night"}, true},
		{"nothing", Query{Text: "unobtainium"}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, next, err := catalogue.Search(test.query)
			if err != nil || page == nil || (next != "") != test.more {
				t.Fatalf("Search(%+v) = %v, next %q, %v", test.query, page, next, err)
			}
			if diff := cmp.Diff(test.want, ids(page)); diff != "" {
				t.Errorf("Search(%+v) (-want +got):\n%s", test.query, diff)
			}
		})
	}
}

// TestSearchPagesCoverEverythingOnce walks the whole catalogue in pages of every kind of size.
func TestSearchPagesCoverEverythingOnce(t *testing.T) {
	catalogue := load(t)
	for _, limit := range []int{0, 7, 500} {
		query, pages := Query{Limit: limit}, 0
		var seen []string
		for {
			page, next, err := catalogue.Search(query)
			if err != nil || len(page) > max(limit, DefaultLimit) {
				t.Fatalf("Search(%+v) = %d factors, %v", query, len(page), err)
			}
			seen = append(seen, ids(page)...)
			if pages++; pages > catalogue.Len() {
				t.Fatalf("Search in pages of %d does not end", limit)
			}
			if next == "" {
				break
			}
			query.Cursor = next
		}
		if len(seen) != catalogue.Len() || !slices.IsSorted(seen) ||
			len(slices.Compact(seen)) != catalogue.Len() {
			t.Errorf("Search in pages of %d sees %d factors, want each of %d once, in order",
				limit, len(seen), catalogue.Len())
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	catalogue := load(t)
	for _, test := range []struct {
		query Query
		field string
	}{
		{Query{Limit: -1}, "limit"},
		{Query{Limit: MaxLimit + 1}, "limit"},
		{Query{Cursor: "x"}, "cursor"},
		{Query{Cursor: "!!!"}, "cursor"},
		{Query{Cursor: base64.RawURLEncoding.EncodeToString([]byte("before:a"))}, "cursor"},
	} {
		_, _, err := catalogue.Search(test.query)
		if invalid, ok := errors.AsType[*QueryError](err); !ok || invalid.Field != test.field {
			t.Errorf("Search(%+v) = %v, want a *QueryError for %s", test.query, err, test.field)
		}
	}
	// A cursor of an older set still works when its factor is gone.
	page, _, err := catalogue.Search(Query{Cursor: cursorAfter("epa24.stat.zz"), Limit: 1})
	if err != nil || len(page) != 1 || !strings.HasPrefix(page[0].ID, "epa24.steam") {
		t.Errorf("Search behind a removed factor = %v, %v, want epa24.steam_heat", ids(page), err)
	}
}

func TestElectricityChoosesByYearAndBoundary(t *testing.T) {
	catalogue := load(t)
	for _, test := range []struct {
		name, region string
		year         int
		want         string
	}{
		{"newest edition", "GB", 2026, "desnz25.electricity.generated.kwh"},
		{"edition of the year", "GB", 2024, "desnz24.electricity.generated.kwh"},
		{"older edition", "GB", 2023, "desnz23.electricity.generated.kwh"},
		{"subregion", "US-EGRID-CAMX", 2026, "egrid2023.camx.kwh"},
		{"subregion, earlier", "US-EGRID-CAMX", 2021, "egrid2021.camx.kwh"},
		{"scope 2 before a newer life-cycle row", "US", 2026, "egrid2023.us.kwh"},
		{"scope 2 before life-cycle, in AR4", "NZ", 2026, "oefdb.mfe20.nz.grid_mix.kwh"},
		{"life-cycle fallback, newest", "FR", 2026, "ember.fr.2024.kwh"},
		{"life-cycle fallback, older", "FR", 2023, "oefdb.ademe20.fr.grid_mix.kwh"},
		{"Namibia", "NA", 2026, "ember.na.2023.kwh"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := catalogue.Electricity(test.region, test.year)
			if err != nil || got.ID != test.want {
				t.Errorf("Electricity(%s, %d) = %s, %v, want %s",
					test.region, test.year, got.ID, err, test.want)
			}
		})
	}
}

func TestElectricityNotFound(t *testing.T) {
	catalogue := load(t)
	for _, test := range []struct {
		region string
		year   int
	}{{"GB", 2022}, {"ZZ", 2026}, {"", 2026}, {"gb", 2026}, {"US-EGRID-CAMX", 0}} {
		got, err := catalogue.Electricity(test.region, test.year)
		missing, ok := errors.AsType[*NotFoundError](err)
		if !ok || missing.Code() != "factor_not_found" {
			t.Errorf("Electricity(%q, %d) = %s, %v, want a *NotFoundError",
				test.region, test.year, got.ID, err)
		}
	}
}

func TestElectricityAmbiguous(t *testing.T) {
	// A second set with a grid of the same year: neither is better, so neither is chosen.
	records := add(t, sample(t), "desnz25.electricity.generated.kwh",
		set(t, "id", "other25.electricity.kwh"), set(t, "co2e_kg", "0.2"))
	catalogue, err := Parse(write(t, records), gwpCSV)
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalogue.Electricity("GB", 2026)
	ambiguous, ok := errors.AsType[*AmbiguousError](err)
	if !ok || ambiguous.Code() != "factor_ambiguous" {
		t.Fatalf("Electricity(GB, 2026) = %v, want an *AmbiguousError", err)
	}
	want := []string{"desnz25.electricity.generated.kwh", "other25.electricity.kwh"}
	if diff := cmp.Diff(want, ambiguous.IDs); diff != "" {
		t.Errorf("AmbiguousError.IDs (-want +got):\n%s", diff)
	}
	if got, err := catalogue.Electricity("GB", 2024); err != nil ||
		got.ID != "desnz24.electricity.generated.kwh" {
		t.Errorf("Electricity(GB, 2024) = %s, %v, want the older edition, which is alone", got.ID, err)
	}
}

func TestGWP(t *testing.T) {
	catalogue := load(t)
	for _, test := range []struct {
		name string
		set  carbon.GWPSet
		want string
	}{
		{"HFC134a", carbon.AR5, "1300"},
		{"hfc-134a", carbon.AR6, "1530"},
		{"R410A", carbon.AR5, "1923.5"},
		{"R-410A", carbon.AR4, "2087.5"},
		{"SF6", carbon.AR4, "22800"},
	} {
		got, ok := catalogue.GWP(test.name)
		if !ok || got.Values[test.set].String() != test.want {
			t.Errorf("GWP(%s) in %s = %v, %v, want %s",
				test.name, test.set, got.Values[test.set], ok, test.want)
		}
	}
	if halon, _ := catalogue.GWP("Halon1202"); len(halon.Values) != 1 {
		t.Errorf("GWP(Halon1202) = %v, want AR6 only: what is not listed is not zero", halon.Values)
	}
	if got, ok := catalogue.GWP("phlogiston"); ok {
		t.Errorf("GWP(phlogiston) = %+v, want none", got)
	}
}
