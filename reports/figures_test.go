package reports

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"squall/loadgen"
	"squall/reports/verdict"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestValueAndBoundDiffer(t *testing.T) {
	for _, test := range []struct {
		unit, op     string
		value, bound float64
		want, beside string
	}{
		{"ms", "<=", 134.217, 134, "134.2 ms", "≤ 134 ms"},
		{"ms", "<=", 133.998, 134, "133.998 ms", "≤ 134 ms"},
		{"ms", "<=", 134, 134, "134 ms", "≤ 134 ms"},
		{"ms", "<=", 9999.6, 10000, "9.9996 s", "≤ 10 s"},
		{"ms", "<=", 10001, 10000, "10.001 s", "≤ 10 s"},
		{"ms", "<=", 1.5, 20000, "1.5 ms", "≤ 20 s"},
		{"s", "<=", 4.0004, 4, "4.0004 s", "≤ 4 s"},
		{"/s", ">=", 41.66, 150000. / 3600, "41.66/s (149,976/h)", "≥ 41.67/s (150,000/h)"},
		{"ratio", "<=", .00500004, .005, "0.500004 %", "≤ 0.5 %"},
		{"", "==", 1, 0, "1", "= 0"},
	} {
		run := Run{
			Objectives: []verdict.Objective{{Text: "o", Op: test.op}},
			Verdict: verdict.Verdict{Objectives: []verdict.Result{{
				Text: "o", Outcome: verdict.Missed, Value: &test.value, Bound: test.bound, Unit: test.unit,
			}}},
		}
		value, bound := New(run).Objectives[0].texts()
		if value != test.want || bound != test.beside {
			t.Errorf("texts() of %v %s %v %s = %q, %q, want %q, %q", test.value, test.op, test.bound, test.unit,
				value, bound, test.want, test.beside)
		}
		for name, view := range textViews() {
			if text := render(t, view, run); !strings.Contains(text, test.want) {
				t.Errorf("%s does not say %q", name, test.want)
			}
		}
	}
}

// TestRoundingHidesNoDifference holds that result.json, which other programs compare, never rounds a
// value onto its bound.
func TestRoundingHidesNoDifference(t *testing.T) {
	value := 41.6666665
	got := New(Run{Verdict: verdict.Verdict{Objectives: []verdict.Result{{Value: &value, Bound: 150000. / 3600}}}}).Objectives[0]
	if *got.Value >= got.Bound {
		t.Errorf("value, bound = %v, %v, want the value below", *got.Value, got.Bound)
	}
}

// textViews are the views that print a value beside its bound.
func textViews() map[string]func(io.Writer, *Record) error {
	return map[string]func(io.Writer, *Record) error{
		"Terminal": plainTerminal, "Markdown": Markdown, "JUnit": JUnit, "HTML": HTML,
	}
}

// scenarioCase is what these tests use of a scenario in testdata.
type scenarioCase struct {
	source string
	Load   struct {
		Mix []struct {
			Class string `yaml:"class"`
		} `yaml:"mix"`
	} `yaml:"load"`
	Objectives []verdict.Objective `yaml:"objectives"`
}

func loadCase(t *testing.T, name string) scenarioCase {
	t.Helper()
	source, err := os.ReadFile("testdata/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := scenarioCase{source: string(source)}
	if err := yaml.Unmarshal(source, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// failingRun is testdata/e-everything-fails.yaml as it was played: every request was answered with an
// error, or with nothing at all.
func failingRun(t *testing.T, counts loadgen.Counts) Run {
	t.Helper()
	c := loadCase(t, "e-everything-fails")
	run := Run{
		Scenario: "e-everything-fails", ScenarioYAML: c.source, Objectives: c.Objectives, Seed: 2, Duration: time.Minute,
		Recording: &loadgen.Recording{
			Duration: 40 * time.Second, WarmUp: 4 * time.Second, ProbeEvery: 200 * time.Millisecond,
			Health: loadgen.Health{Valid: true, LagP99: time.Millisecond, ProbeGapMax: 210 * time.Millisecond},
		},
	}
	total := loadgen.ClassTotal{Name: "gone"}
	for at := range 40 {
		s := loadgen.Second{At: at, Class: "gone", Counts: counts}
		for range counts.Timeout {
			s.Response.Record(5 * time.Second)
		}
		total.Counts = sum(total.Counts, s.Counts)
		total.Response.Merge(s.Response)
		run.Recording.Seconds = append(run.Recording.Seconds, s)
		run.Planned = append(run.Planned, verdict.PlannedSecond{At: at, Rate: 20})
	}
	run.Recording.Classes = []loadgen.ClassTotal{total}
	run.Judge()
	return run
}

func TestNoFigureWhereNothingWasAnswered(t *testing.T) {
	for name, counts := range map[string]loadgen.Counts{
		"404":      {Planned: 20, Sent: 20, HTTPError: 20},
		"timeouts": {Planned: 20, Sent: 20, Timeout: 20},
		"unsent":   {Planned: 20, Unsent: 20},
	} {
		t.Run(name, func(t *testing.T) {
			run := failingRun(t, counts)
			rec := New(run)
			if rec.ExitCode != verdict.ExitMissed || len(rec.Objectives) != 3 {
				t.Fatalf("exit code %d of %d objectives, want 1 of 3: %q", rec.ExitCode, len(rec.Objectives), rec.Reasons)
			}
			for n, want := range []string{"no answer", "no answer", "0/s (0/h)"} {
				o := rec.Objectives[n]
				if value, _ := o.texts(); value != want || o.Outcome != verdict.Missed || (o.Value == nil) != (n < 2) {
					t.Errorf("%s: %s, %s, want missed, %s", o.Text, o.Outcome, value, want)
				}
			}
			for view, show := range textViews() {
				text := render(t, show, run)
				if n := strings.Count(text, "no answer"); n < 2 {
					t.Errorf("%s says %d times that there was no answer, want at least twice", view, n)
				}
				for _, wrong := range []string{"p99 0 ms", "max 0 s", "5,000 ms", "300 ms, bound", ">0 ms<"} {
					if strings.Contains(text, wrong) {
						t.Errorf("%s says %q where nothing was answered", view, wrong)
					}
				}
			}
			if text := render(t, OpenMetrics, run); strings.Contains(text, "squall_response_seconds") ||
				strings.Contains(text, `squall_objective_value{objective="p99`) {
				t.Errorf("OpenMetrics has a latency where nothing was answered:\n%s", text)
			}
			for _, line := range rec.Series.csv()[1:] {
				if latencies := line[len(line)-4:]; !slices.Equal(latencies, []string{"", "", "", ""}) {
					t.Fatalf("series.csv has the latencies %q, want none", latencies)
				}
			}
			checkNulls(t, render(t, resultJSON, run))
		})
	}
}

// checkNulls wants every latency of result.json to be null.
func checkNulls(t *testing.T, text string) {
	t.Helper()
	var result struct {
		Load struct {
			Classes map[string]map[string]any `json:"classes"`
		} `json:"load"`
		Phases []struct {
			Classes map[string]map[string]any `json:"classes"`
		} `json:"phases"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	maps := []map[string]any{result.Load.Classes["gone"]}
	for _, p := range result.Phases {
		maps = append(maps, p.Classes["gone"])
	}
	for _, m := range maps {
		for _, field := range []string{"p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"} {
			if v, found := m[field]; !found || v != nil {
				t.Errorf("%s = %v, %v, want null", field, v, found)
			}
		}
	}
}

func TestOpenMetricsTellsMissedFromInconclusive(t *testing.T) {
	text := render(t, OpenMetrics, fixtureRun(150))
	for _, want := range []string{
		`squall_objective_outcome{objective="rto(write) <= 4s during primary-killed",outcome="missed"} 1.0`,
		`squall_objective_outcome{objective="rto(write) <= 4s during primary-killed",outcome="inconclusive"} 0.0`,
		`squall_objective_outcome{objective="p999(batch) <= 400ms after",outcome="missed"} 0.0`,
		`squall_objective_outcome{objective="p999(batch) <= 400ms after",outcome="inconclusive"} 1.0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("OpenMetrics() has no %s", want)
		}
	}
}

func TestLiveSaysNoAnswer(t *testing.T) {
	var b strings.Builder
	l := NewLive(&b, false, time.Minute, 0)
	l.Tick(loadgen.Tick{Elapsed: time.Second, Offered: 20, Failed: 20})
	if !strings.Contains(b.String(), "p99 no answer") || strings.Contains(b.String(), "0.0 ms") {
		t.Errorf("Tick() without an answer prints %q", b.String())
	}
}

// TestMissingRecoveryTimeSaysWhy: what nobody looked at is not called 'not recovered'.
func TestMissingRecoveryTimeSaysWhy(t *testing.T) {
	zero, four := 0.0, 4.0
	for _, c := range []struct {
		s       *float64
		through verdict.Passage
		want    string
		tile    string
	}{
		{&zero, verdict.Uninterrupted, "not interrupted", "0 s"},
		{&four, verdict.Recovered, "4 s", "4 s"},
		{nil, verdict.Down, "not recovered", "never"},
		{nil, verdict.Relapsed, "relapsed, not recovered", "never"},
		{nil, verdict.NotProbed, "not probed", "–"},
		{nil, verdict.NotInjected, "not injected", "–"},
		{nil, verdict.NotCovered, "not seen to the end", "–"},
		{nil, "", "not recovered", "never"}, // a record from before
	} {
		if got := rto(c.s, c.through); got != c.want {
			t.Errorf("rto(%q) = %q, want %q", c.through, got, c.want)
		}
		f := Failover{Injection: "crash", Write: c.through, RTOWrite: c.s, Read: verdict.NotProbed}
		if got := rtoTile(&Record{Failover: []Failover{f}}).Value; got != c.tile {
			t.Errorf("tile of %q: %q, want %q", c.through, got, c.tile)
		}
	}
}
