package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"squall/loadgen"
	"squall/reports/verdict"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWriteLoadRoundTrip(t *testing.T) {
	aborted := fixtureRun(20)
	aborted.Error, aborted.Verdict.Outcome, aborted.Verdict.ExitCode = "interrupted: SIGINT", verdict.Aborted, 130
	for _, test := range []struct {
		name string
		run  Run
	}{
		{"full", fixtureRun(60)},
		{"aborted", aborted},
		{"before the load", Run{Scenario: "s", Error: "system up: no docker"}},
		{"empty recording", Run{Scenario: "s", Recording: &loadgen.Recording{}}},
		{"one second", fixtureRun(1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "results", "run")
			if err := Write(dir, test.run); err != nil {
				t.Fatal(err)
			}
			got, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			want := test.run
			want.Verdict = storable(want.Verdict)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(loadgen.Histogram{}), cmp.Comparer(sameHistogram)); diff != "" {
				t.Errorf("Load(Write(run)) differs (-want +got):\n%s", diff)
			}
			// What was read back gives the same files, byte for byte.
			again := filepath.Join(t.TempDir(), "again")
			if err := Write(again, got); err != nil {
				t.Fatal(err)
			}
			for _, f := range append(rawFiles(got), viewFiles(New(got))...) {
				first, err1 := os.ReadFile(filepath.Join(dir, f.name))
				second, err2 := os.ReadFile(filepath.Join(again, f.name))
				if err := errors.Join(err1, err2); err != nil || !bytes.Equal(first, second) {
					t.Errorf("%s differs when written again (%v)", f.name, err)
				}
			}
		})
	}
}

func sameHistogram(a, b loadgen.Histogram) bool {
	first, _ := json.Marshal(a)
	second, _ := json.Marshal(b)
	return bytes.Equal(first, second)
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "engine-1.log"), []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second Write replaces the first
		if err := Write(dir, fixtureRun(5)); err != nil {
			t.Fatal(err)
		}
	}
	if names := listDir(t, parent); !slices.Equal(names, []string{"run"}) {
		t.Errorf("Write() left %v beside the folder, want only run", names)
	}
	want := []string{
		"engine-1.log", "junit.xml", "metrics.txt", "raw", "report.html", "result.json",
		"scenario.yaml", "series.csv", "summary.md",
	}
	if names := listDir(t, dir); !slices.Equal(names, want) {
		t.Errorf("Write() made %v, want %v", names, want)
	}
}

func TestWriteSurvivesFiguresThatJSONCannotHold(t *testing.T) {
	run := fixtureRun(5)
	nan, infinite := math.NaN(), math.Inf(1)
	run.Injections[0].Effect.Measured = map[string]float64{"delay_ms": infinite, "packets": 7}
	run.Verdict.Objectives[0].Value = &nan
	run.Verdict.Phases[0].Classes["batch"] = verdict.ClassPhase{P99: &nan, Rate: infinite}
	run.Verdict.Failover[0].RTOWrite = &infinite
	dir := filepath.Join(t.TempDir(), "run")
	if err := Write(dir, run); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	rec := New(loaded)
	if rec.Objectives[0].Value != nil || rec.Failover[0].RTOWrite != nil {
		t.Errorf("value, rto = %v, %v after Load(), want none", rec.Objectives[0].Value, rec.Failover[0].RTOWrite)
	}
	if diff := cmp.Diff(map[string]float64{"packets": 7}, rec.Injections[0].Effect.Measured); diff != "" {
		t.Errorf("measured effect after Load() (-want +got):\n%s", diff)
	}
}

func TestWriteFailsWhole(t *testing.T) {
	run := fixtureRun(5)
	run.StartedAt = time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON cannot hold it
	dir := filepath.Join(t.TempDir(), "run")
	err := Write(dir, run)
	if err == nil || !strings.Contains(err.Error(), "raw/run.json.gz") {
		t.Errorf("Write() = %v, want an error that names the file", err)
	}
	if names := listDir(t, dir); len(names) != 0 {
		t.Errorf("a failed Write() published %v, want nothing", names)
	}
}

// TestLoadedRunIsJudgedTheSame judges with the real rules before Write and again after Load.
func TestLoadedRunIsJudgedTheSame(t *testing.T) {
	run := fixtureRun(150)
	run.Objectives = nil
	for _, text := range []string{
		"p99(calculate) <= 300ms before", "rto(write) <= 4s during primary-killed",
		"lost_writes == 0", "throughput(calculate) >= 150000/h",
	} {
		o, err := verdict.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		run.Objectives = append(run.Objectives, o)
	}
	run.Judge()
	dir := filepath.Join(t.TempDir(), "run")
	if err := Write(dir, run); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded.Judge()
	if diff := cmp.Diff(storable(run.Verdict), storable(loaded.Verdict), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the loaded run is judged differently (-want +got):\n%s", diff)
	}
	if list := loaded.Verdict.Unplanned; len(list) != 1 || list[0].Node != "engine-3" {
		t.Errorf("unplanned %+v, want the ejection of engine-3 that was seen between two faults", list)
	}
	if rec := New(loaded); len(rec.Objectives) < 4 || rec.Outcome != verdict.Missed {
		t.Errorf("outcome %s of %d objectives, want missed of at least 4", rec.Outcome, len(rec.Objectives))
	}
}

func listDir(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(dir string) error
		is    error
		want  string
	}{
		{"not a result folder", func(dir string) error { return os.Remove(filepath.Join(dir, "result.json")) }, ErrNotResult, "has no result.json"},
		{"another program's result.json", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "result.json"), []byte(`{"schema":"k6/1"}`), 0o644)
		}, ErrNotResult, `"k6/1"`},
		{"truncated result.json", func(dir string) error { return os.Truncate(filepath.Join(dir, "result.json"), 100) }, nil, "result.json: truncated"},
		{"newer schema", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "result.json"), []byte(`{"schema":"squall/result/2"}`), 0o644)
		}, ErrNewerSchema, `reads up to "squall/result/1"`},
		{"truncated recording", func(dir string) error { return os.Truncate(filepath.Join(dir, "raw/recording.json.gz"), 2000) }, io.ErrUnexpectedEOF, "recording.json.gz: truncated"},
		{"empty ledger file", func(dir string) error { return os.Truncate(filepath.Join(dir, "raw/ledger.json.gz"), 0) }, io.EOF, "ledger.json.gz: truncated"},
		{"checksum cut off", func(dir string) error {
			path := filepath.Join(dir, "raw/planned.json.gz")
			info, err := os.Stat(path)
			return errors.Join(err, os.Truncate(path, info.Size()-4))
		}, io.ErrUnexpectedEOF, "planned.json.gz: truncated"},
		{"missing raw file", func(dir string) error { return os.Remove(filepath.Join(dir, "raw/verdict.json.gz")) }, os.ErrNotExist, "verdict.json.gz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, fixtureRun(10)); err != nil {
				t.Fatal(err)
			}
			if err := test.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load() = %v, want an error with %q", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("Load() = %v, want one that is %v", err, test.is)
			}
		})
	}
}
