package factors

import (
	"bytes"
	"encoding/csv"
	"errors"
	"regexp"
	"slices"
	"squall/target/ecotrack/carbon"
	"strings"
	"sync"
	"testing"
)

// loadOnce shares one catalogue between the tests: it never changes, and loading it under the race
// detector takes a second.
var loadOnce = sync.OnceValues(Load)

func load(tb testing.TB) *Catalogue {
	tb.Helper()
	catalogue, err := loadOnce()
	if err != nil {
		tb.Fatalf("Load() = %v", err)
	}
	return catalogue
}

func TestLoadReturnsTheWholeSet(t *testing.T) {
	catalogue := load(t)
	if got := catalogue.Len(); got != 3382 {
		t.Errorf("Load().Len() = %d, want 3382", got)
	}
	// A changed file is a changed version: results name it, so this line changes with the data and
	// never without.
	const version = "builtin-5526aa8d4365"
	if got := catalogue.Version(); got != version {
		t.Errorf("Load().Version() = %s, want %s", got, version)
	}
	factor, ok := catalogue.Get("epa24.stat.anthracite.mmbtu")
	if !ok || factor.CO2e.String() != "104.422" || factor.CH4.String() != "0.011" || factor.Version != version ||
		factor.Unit != "mmBtu" || factor.GWPSet != carbon.AR5 || factor.Region != "US" || factor.Year != 2024 ||
		factor.Scope != "1" || factor.Category != "stationary_combustion" || factor.Outside ||
		factor.Biogenic {
		t.Errorf("Get(epa24.stat.anthracite.mmbtu) = %+v, %v", factor, ok)
	}
	factor, ok = catalogue.Get("desnz25.outside.biomass.wood_pellets.kwh")
	if !ok || !factor.Outside || !factor.Biogenic || factor.CH4 != nil {
		t.Errorf("Get(desnz25.outside.biomass.wood_pellets.kwh) = %+v, %v, want it outside and biogenic",
			factor, ok)
	}
	if _, ok := catalogue.Get("epa24.stat.anthracite"); ok {
		t.Error("Get of a prefix finds something")
	}
}

// sample is a part of factors.csv with every kind of row that the traps touch: the whole file, once
// per trap, takes long. The caller may change what it gets.
func sample(t *testing.T) [][]string {
	t.Helper()
	records, err := sampleOnce()
	if err != nil {
		t.Fatal(err)
	}
	fresh := make([][]string, len(records))
	for i, record := range records {
		fresh[i] = slices.Clone(record)
	}
	return fresh
}

var sampleOnce = sync.OnceValues(func() ([][]string, error) {
	records, err := csv.NewReader(bytes.NewReader(factorsCSV)).ReadAll()
	return slices.DeleteFunc(records, func(record []string) bool {
		return record[0] != "id" && !samplePattern.MatchString(record[0])
	}), err
})

var samplePattern = regexp.MustCompile(
	`^(epa24\.(stat\.(natural_gas|peat)|waste\.mixed_msw|gwp\.r_404a)|egrid2023|ember\.(fr|ky|cy)|` +
		`desnz2.*(natural_gas\.|electric|flight|petrol_average_biofuel))`)

// edit changes the row of that id in a copy of the sample and leaves all others as they are.
func edit(t *testing.T, id string, change func(record []string)) []byte {
	t.Helper()
	records := sample(t)
	change(records[indexOf(t, records, id)])
	return write(t, records)
}

func indexOf(t *testing.T, records [][]string, id string) int {
	t.Helper()
	at := slices.IndexFunc(records, func(record []string) bool { return record[0] == id })
	if at < 0 {
		t.Fatalf("the sample of factors.csv has no row %s", id)
	}
	return at
}

// set is the change of one column.
func set(t *testing.T, column, value string) func([]string) {
	t.Helper()
	at := slices.Index(factorColumns(), column)
	if at < 0 {
		t.Fatalf("no column %s", column)
	}
	return func(record []string) { record[at] = value }
}

// add appends a copy of the row of that id with some columns changed.
func add(t *testing.T, records [][]string, id string, changes ...func([]string)) [][]string {
	t.Helper()
	copied := slices.Clone(records[indexOf(t, records, id)])
	for _, change := range changes {
		change(copied)
	}
	return append(records, copied)
}

func write(t *testing.T, records [][]string) []byte {
	t.Helper()
	var file bytes.Buffer
	writer := csv.NewWriter(&file)
	if err := writer.WriteAll(records); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestSampleIsSound: the traps below must be found because of the corruption, not because of the
// sample.
func TestSampleIsSound(t *testing.T) {
	if _, err := Parse(write(t, sample(t)), gwpCSV); err != nil {
		t.Errorf("Parse(sample) = %v, want nil", err)
	}
}

// TestParseCatchesTraps corrupts one row at a time; each corruption is one that public factor data
// really shows.
func TestParseCatchesTraps(t *testing.T) {
	const (
		gas     = "epa24.stat.natural_gas.mmbtu"
		landed  = "epa24.waste.mixed_msw.landfilled"
		cayman  = "ember.ky.2023.kwh"
		grossID = "desnz25.fuel.natural_gas.kwh_gross"
	)
	for _, test := range []struct {
		name, id, column, value string
		wantColumn, want        string
	}{
		{"negative factor", gas, "co2e_kg", "-53.1145", "co2e_kg", "must not be negative"},
		{"negative gas", gas, "ch4_kg", "-0.001", "ch4_kg", "must not be negative"},
		{"NA is not zero", landed, "co2e_kg", "NA", "co2e_kg", `decimal "NA"`},
		{"empty is not zero", landed, "co2e_kg", "", "co2e_kg", "not a decimal"},
		{"NA in a gas", gas, "n2o_kg", "NA", "n2o_kg", `decimal "NA"`},
		{"NaN", gas, "co2e_kg", "NaN", "co2e_kg", "not a decimal"},
		{"decimal comma", gas, "co2e_kg", "53,1145", "co2e_kg", "not a decimal"},
		{"treatment NA", landed, "activity", "Mixed MSW, NA", "activity", "names no treatment"},
		{"no activity", landed, "activity", " ", "activity", "names no treatment"},
		{"split that does not add up", gas, "co2e_kg", "53.2145", "co2e_kg", "the gases give 53.1145 in AR5"},
		{"split in another set", gas, "gwp_set", "AR4", "co2e_kg", "the gases give 53.1148 in AR4"},
		{"part exceeds the whole", "egrid2023.us.kwh", "co2e_kg", "0.3", "co2e_kg", "a part of the gases"},
		{"unit in another spelling", gas, "unit", "mmbtu", "unit", "unknown"},
		{"unit without basis", grossID, "unit", "kWh_hhv", "unit", "unknown"},
		{"gwp set unknown", gas, "gwp_set", "AR3", "gwp_set", "must be AR4, AR5 or AR6"},
		{"category unknown", gas, "category", "stationary", "category", "unknown"},
		{"scope unknown", gas, "scope", "4", "scope", "unknown"},
		{"region with three letters", gas, "region", "USA", "region", "ISO 3166"},
		{"no region", gas, "region", "", "region", "ISO 3166"},
		{"year", gas, "year", "24", "year", "must be 1990 to 2100"},
		{"Cayman Islands as Cyprus", cayman, "region", "CY", "region", "the id says KY"},
		{"subregion moved", "egrid2023.camx.kwh", "region", "US-EGRID-ERCT", "region", "the id says US-EGRID-CAMX"},
		{"life cycle as scope 2", "ember.fr.2024.kwh", "scope", "2", "scope", "life-cycle"},
		{"scope 2 as life cycle", "desnz25.electricity.generated.kwh", "scope", "2+3.3", "scope", "life-cycle"},
		{"biogenic CO2 in scope 1", "epa24.stat.peat.mmbtu.biogenic", "scope", "1", "scope", "biogenic"},
		{
			"km and mile mixed up", "desnz25.passenger_vehicle.average_car.plug_in_hybrid_electric_vehicle.km", "co2e_kg",
			"0.2", "co2e_kg", "per mile",
		},
		{"gross and net swapped", grossID, "co2e_kg", "0.2028", "co2e_kg", "gross and net are swapped"},
		{
			"forcing below none", "desnz24.flight.long_haul_uk.first_class.rf.passenger_km", "co2e_kg", "0.1", "co2e_kg",
			"with radiative forcing",
		},
		{
			"altered DEFRA petrol", "desnz24.fuel.petrol_average_biofuel_blend.litre", "co2e_kg", "2.1527", "co2e_kg",
			"the publication says 2.0844",
		},
		{"blend that is not its composition", "epa24.gwp.r_404a", "co2e_kg", "3922", "co2e_kg", "composition of R-404A"},
		{"no source", gas, "source", "", "source", "must name a source"},
		{"proprietary source", gas, "source", "IEA Emissions Factors 2024", "source", "may be passed on"},
		{"no link", gas, "source_url", "gov.uk", "source_url", "https"},
		{"id with a space", gas, "id", "epa24.stat.natural gas", "id", "lower-case"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(edit(t, test.id, set(t, test.column, test.value)), gwpCSV)
			wantProblem(t, err, test.wantColumn, test.want)
		})
	}
}

// wantProblem wants err to hold a *RowError for the column whose reason contains text.
func wantProblem(t *testing.T, err error, column, text string) {
	t.Helper()
	row, ok := errors.AsType[*RowError](err)
	if !ok {
		t.Fatalf("Parse = %v, want a *RowError", err)
	}
	if row.Column != column || !strings.Contains(row.Reason, text) || row.Line == 0 {
		t.Errorf("Parse = %v, want column %q and %q", err, column, text)
	}
}

func TestParseCatchesDoubledRows(t *testing.T) {
	const gas = "epa24.stat.natural_gas.mmbtu"
	_, err := Parse(write(t, add(t, sample(t), gas)), gwpCSV)
	wantProblem(t, err, "id", "already on line")
	_, err = Parse(write(t, add(t, sample(t), gas, set(t, "id", "epa24.stat.natural_gas_2.mmbtu"))),
		gwpCSV)
	wantProblem(t, err, "", "same activity, unit, region and year")
}

func TestParseCatchesForcingOnUpstream(t *testing.T) {
	const flight = "desnz25.wtt.flight.long_haul_uk.first_class.passenger_km"
	copyAs := func(records [][]string, id, co2e string) [][]string {
		return add(t, records, flight,
			set(t, "id", "desnz25.wtt.flight."+id), set(t, "activity", id), set(t, "co2e_kg", co2e))
	}
	equal := copyAs(copyAs(sample(t), "x.rf.km", "0.04"), "x.norf.km", "0.04")
	if _, err := Parse(write(t, equal), gwpCSV); err != nil {
		t.Errorf("Parse with equal upstream rows = %v, want nil", err)
	}
	_, err := Parse(write(t, copyAs(copyAs(sample(t), "x.rf.km", "0.068"), "x.norf.km", "0.04")), gwpCSV)
	wantProblem(t, err, "co2e_kg", "upstream rows")
}

// TestParseCatchesAllZeroGases: EPA prints motorcycles of 1996 to 2005 as all zero.
func TestParseCatchesAllZeroGases(t *testing.T) {
	file := edit(t, "epa24.stat.natural_gas.mmbtu", func(record []string) {
		for _, column := range []string{"co2_kg", "ch4_kg", "n2o_kg", "co2e_kg"} {
			set(t, column, "0")(record)
		}
	})
	_, err := Parse(file, gwpCSV)
	wantProblem(t, err, "co2e_kg", "every gas is zero")
}

func TestParseRefusesForeignFiles(t *testing.T) {
	good := string(write(t, sample(t)))
	for name, file := range map[string]string{
		"empty":         "",
		"other header":  "id,name\n1,coal\n",
		"only a header": strings.Join(factorColumns(), ",") + "\n",
		"ragged row":    good + "one,two\n",
		"open quote":    good + "\"one,two\n",
	} {
		if _, err := Parse([]byte(file), gwpCSV); err == nil {
			t.Errorf("Parse(%s) = nil, want an error", name)
		} else if _, ok := errors.AsType[*RowError](err); !ok {
			t.Errorf("Parse(%s) = %v, want a *RowError", name, err)
		}
	}
	// A file in which every row is wrong is reported in a bounded message.
	_, err := Parse([]byte(strings.ReplaceAll(good, ",AR5,", ",AR3,")), gwpCSV)
	if err == nil || len(err.Error()) > 20_000 || !strings.Contains(err.Error(), "more") {
		t.Errorf("Parse with AR3 everywhere: message of %d bytes, want at most 20000 and a count of the rest",
			len(err.Error()))
	}
}

func TestParseReportsEveryMistake(t *testing.T) {
	file := edit(t, "epa24.stat.natural_gas.mmbtu", func(record []string) {
		set(t, "unit", "mmbtu")(record)
		set(t, "year", "x")(record)
		set(t, "co2e_kg", "NA")(record)
	})
	_, err := Parse(file, gwpCSV)
	for _, want := range []string{"unit", "year", "co2e_kg"} {
		if err == nil || !strings.Contains(err.Error(), want+": ") {
			t.Errorf("Parse = %v, want it to name %s too", err, want)
		}
	}
}

func TestParseChecksGWPTable(t *testing.T) {
	factors := write(t, sample(t))
	for _, test := range []struct{ name, old, changed string }{
		{"methane of the plain AR6 table", "CH4_non_fossil_and_combustion,,,,28,27.0", "CH4_non_fossil_and_combustion,,,,28,27.9"},
		{"other AR5 methane", "CH4,,21,25,28,27.9", "CH4,,21,25,30,27.9"},
		{"other N2O", "N2O,,310,298,265,273", "N2O,,310,298,298,273"},
		{"no N2O", "gas_kyoto,N2O,,310,298,265,273,S9\n", ""},
		{"not a number", "SF6,,23900,22800", "SF6,,23900,NA"},
		{"negative", "SF6,,23900,22800", "SF6,,23900,-22800"},
		{"one blend under two names", "blend_kyoto_part,R-410B,", "blend_kyoto_part,R410A,"},
		{"header", "kind,name", "name,kind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := bytes.Replace(gwpCSV, []byte(test.old), []byte(test.changed), 1)
			if bytes.Equal(changed, gwpCSV) {
				t.Fatalf("gwp.csv does not contain %q", test.old)
			}
			_, err := Parse(factors, changed)
			if row, ok := errors.AsType[*RowError](err); !ok || row.File != gwpFileName {
				t.Errorf("Parse = %v, want a *RowError in %s", err, gwpFileName)
			}
		})
	}
	if got, ok := load(t).GWP("CH4_fossil_fugitive"); !ok ||
		!got.Values[carbon.AR6].Equal(carbon.FossilFugitiveCH4()) {
		t.Errorf("GWP(CH4_fossil_fugitive) = %v, want %s in AR6", got.Values, carbon.FossilFugitiveCH4())
	}
}

func TestWarnings(t *testing.T) {
	catalogue := load(t)
	count := make(map[string]int)
	for _, w := range catalogue.Warnings() {
		count[w.Kind]++
		if len(w.IDs) == 0 || w.Detail == "" {
			t.Errorf("Warnings: %+v names nothing", w)
		}
		for _, id := range w.IDs {
			if _, ok := catalogue.Get(id); !ok {
				t.Errorf("Warnings: %s names %s, which is not in the set", w.Kind, id)
			}
		}
	}
	for kind, want := range map[string]int{
		WarnMixedGWPSets: 2, // epa24 (waste) and oefdb
		WarnTwoNames:     25, WarnPeat: 2, WarnZero: 8, WarnLifeCycle: 2,
	} {
		if count[kind] != want {
			t.Errorf("Warnings: %d of %s, want %d", count[kind], kind, want)
		}
	}
	mixed := slices.IndexFunc(catalogue.Warnings(),
		func(w Warning) bool { return w.Kind == WarnMixedGWPSets })
	if got := catalogue.Warnings()[mixed].Detail; got != "epa24 uses [AR4 AR5]" {
		t.Errorf("Warnings: %q, want epa24's two sets", got)
	}
	uniform, err := Parse(bytes.ReplaceAll(factorsCSV, []byte(",AR4,"), []byte(",AR5,")), gwpCSV)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(uniform.Warnings(),
		func(w Warning) bool { return w.Kind == WarnMixedGWPSets }) {
		t.Error("Warnings of a set in AR5 only report mixed sets")
	}
	if uniform.Version() == catalogue.Version() {
		t.Error("Version is the same for another content")
	}
}

// TestAnchorsExist: an anchor whose row is gone would check nothing.
func TestAnchorsExist(t *testing.T) {
	catalogue := load(t)
	for _, anchor := range anchors() {
		if _, ok := catalogue.Get(anchor.id); !ok {
			t.Errorf("anchor %s is not in the set", anchor.id)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(); err != nil {
			b.Fatal(err)
		}
	}
}
