package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, or rewrites it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s differs; go test -update rewrites it (-want +got):\n%s", path, diff)
	}
}

// render is one view of a run as text.
func render(t *testing.T, view func(io.Writer, *Record) error, run Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := view(&b, New(run)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func plainTerminal(w io.Writer, rec *Record) error { return Terminal(w, rec, false) }
func resultJSON(w io.Writer, rec *Record) error    { return writeJSON(w, rec) }

func TestViewsMatchGoldenFiles(t *testing.T) {
	for name, view := range map[string]func(io.Writer, *Record) error{
		"summary.md": Markdown, "junit.xml": JUnit, "result.json": resultJSON, "report.html": HTML,
		"metrics.txt": OpenMetrics, "terminal.txt": plainTerminal,
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, []byte(render(t, view, fixtureRun(150)))) })
	}
}

// TestResultJSONKeepsItsContract names every field that other programs rely on.
func TestResultJSONKeepsItsContract(t *testing.T) {
	var result map[string]any
	if err := json.Unmarshal([]byte(render(t, resultJSON, fixtureRun(150))), &result); err != nil {
		t.Fatal(err)
	}
	for path, fields := range map[string]string{
		"":                       "schema scenario seed seed_text started_at duration_s outcome exit_code load phases injections failover audit objectives environment",
		"load":                   "planned sent unsent ok failed classes send_lag_p99_ms",
		"load.classes.batch":     "planned sent unsent ok failed p50_ms p90_ms p99_ms p999_ms max_ms",
		"phases.0":               "name start_s end_s classes",
		"phases.0.classes.batch": "rate error_ratio p50_ms p99_ms",
		"injections.0":           "fault kind target requested_s effective_s ended_s effect felt undone",
		"failover.0":             "injection detection_s rto_write_s rto_read_s outage_s resolution_s",
		"audit":                  "acknowledged unknown lost duplicate phantom altered wrong checked_nodes",
		"objectives.0":           "text outcome value bound samples phase",
		"environment":            "cores memory_bytes kernel docker squall_version images",
	} {
		at := any(result)
		for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' }) {
			if list, isList := at.([]any); isList {
				at = list[0]
				continue
			}
			at = at.(map[string]any)[step]
		}
		object, _ := at.(map[string]any)
		for field := range strings.FieldsSeq(fields) {
			if _, found := object[field]; !found {
				t.Errorf("result.json has no %q in %q", field, path)
			}
		}
	}
	if result["schema"] != Schema || result["outcome"] != "missed" {
		t.Errorf("schema, outcome = %v, %v, want %v, missed", result["schema"], result["outcome"], Schema)
	}
}

func TestNewSumsUpTheLoad(t *testing.T) {
	rec := New(fixtureRun(150))
	var planned uint64
	for _, c := range rec.Load.Classes {
		planned += c.Planned
		if c.Planned != c.Sent+c.Unsent || c.Sent != c.OK+c.Failed {
			t.Errorf("class totals do not add up: %+v", c)
		}
	}
	if rec.Load.Planned != planned || planned == 0 {
		t.Errorf("load.planned = %d, want the sum of the classes, %d", rec.Load.Planned, planned)
	}
	if units := rec.Load.Classes["batch"].Units; units != 25*rec.Load.Classes["batch"].OK {
		t.Errorf("units of batch = %d, want 25 for each of %d", units, rec.Load.Classes["batch"].OK)
	}
}

func TestNewNeverPassesWithoutVerdict(t *testing.T) {
	for _, test := range []struct {
		name string
		run  Run
		want verdict.Outcome
		code int
	}{
		{"nothing at all", Run{}, verdict.Inconclusive, 4},
		{"ended early", Run{Error: "system up: no docker"}, verdict.Error, 5},
		{"aborted keeps its verdict", Run{Error: "interrupted", Verdict: verdict.Verdict{Outcome: verdict.Aborted, ExitCode: 130}}, verdict.Aborted, 130},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := New(test.run)
			if rec.Outcome != test.want || rec.ExitCode != test.code {
				t.Errorf("New() = %s, exit %d, want %s, exit %d", rec.Outcome, rec.ExitCode, test.want, test.code)
			}
			if xml := render(t, JUnit, test.run); !strings.Contains(xml, "<error ") {
				t.Errorf("JUnit() shows no error for %s:\n%s", test.want, xml)
			}
		})
	}
}

func TestJudgeNeverPassesARunThatEndedEarly(t *testing.T) {
	run := fixtureRun(150)
	run.Objectives, run.Error = nil, "load: connection refused"
	run.Judge()
	if run.Verdict.Outcome != verdict.Error || run.Verdict.ExitCode != 5 {
		t.Errorf("Judge() = %s, exit %d, want error, exit 5", run.Verdict.Outcome, run.Verdict.ExitCode)
	}
	run.Warnings = []string{"the reaper ended"}
	run.Judge()
	if why := New(run).why(); why[len(why)-1] != "warning: the reaper ended" {
		t.Errorf("why() = %q, want the run's warning at its end", why)
	}
	if n := strings.Count(strings.Join(New(run).why(), "|"), run.Error); n != 1 {
		t.Errorf("why() tells the error %d times, want once: %q", n, New(run).why())
	}
}

func TestUnmeasuredIsNotZero(t *testing.T) {
	run := Run{Verdict: verdict.Verdict{Objectives: []verdict.Result{
		{Text: "p99(c) <= 5ms", Outcome: verdict.Inconclusive, Bound: 5, Unit: "ms"},
		{Text: "audit: lost_writes == 0", Outcome: verdict.Met, Value: new(0.)},
	}}}
	got := New(run).Objectives
	if got[0].Value != nil || got[1].Value == nil {
		t.Errorf("values = %v, %v, want none for the inconclusive one and 0 for the other", got[0].Value, got[1].Value)
	}
	if got[1].Metric != "lost_writes" || got[1].Op != "==" {
		t.Errorf("metric, op = %q, %q, want lost_writes, ==", got[1].Metric, got[1].Op)
	}
}

func TestNewMarksWhatNeverHappened(t *testing.T) {
	run := Run{Injections: []chaos.Injection{{Fault: "f", Kind: "kill", Requested: time.Second, Error: "no such node"}}}
	i := New(run).Injections[0]
	if i.Effective != nil || i.Ended != nil || i.Felt || i.Undone {
		t.Errorf("New() injection = %+v, want no effective and no ended time", i)
	}
	if page := render(t, HTML, run); !strings.Contains(page, ">never<") || !strings.Contains(page, "no such node") {
		t.Error("HTML() does not say that the fault was never felt, or why")
	}
}

// junitFile is what a reader of JUnit files looks at.
type junitFile struct {
	Suite struct {
		Name      string  `xml:"name,attr"`
		Tests     int     `xml:"tests,attr"`
		Failures  int     `xml:"failures,attr"`
		Errors    int     `xml:"errors,attr"`
		Time      float64 `xml:"time,attr"`
		Timestamp string  `xml:"timestamp,attr"`
		Cases     []struct {
			Name      string  `xml:"name,attr"`
			ClassName string  `xml:"classname,attr"`
			Time      float64 `xml:"time,attr"`
			Failure   *struct {
				Type string `xml:"type,attr"`
			} `xml:"failure"`
			Error *struct {
				Type string `xml:"type,attr"`
			} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestJUnitCountsWhatItShows(t *testing.T) {
	invalid := fixtureRun(10)
	invalid.Verdict.Outcome = verdict.Invalid
	invalid.Recording.Health = loadgen.Health{Reasons: []string{"send lag over 50 ms in 12 seconds"}}
	broken := fixtureRun(10)
	broken.Injections[1].Felt, broken.Injections[2].Undone = false, false
	unread := fixtureRun(10)
	unread.Verdict.Audit.Complete = false
	for _, test := range []struct {
		name string
		run  Run
		want map[string]string // type of the failure or error by case
	}{
		{"missed and inconclusive", fixtureRun(150), map[string]string{
			"rto(write) <= 4s during primary-killed": "missed", "p999(batch) <= 400ms after": "inconclusive",
		}},
		{"generator invalid", invalid, map[string]string{"generator and host trustworthy": "invalid"}},
		{"fault neither felt nor undone", broken, map[string]string{
			"slow-replication: was felt": "inconclusive", "primary-killed: was undone": "error",
		}},
		{"ledger not read to its end", unread, map[string]string{"the ledger was read back and compared": "inconclusive"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var file junitFile
			if err := xml.Unmarshal([]byte(render(t, JUnit, test.run)), &file); err != nil {
				t.Fatal(err)
			}
			types, failures, problems := map[string]string{}, 0, 0
			for _, c := range file.Suite.Cases {
				if c.Skipped != nil {
					t.Errorf("case %q is skipped: it would look green", c.Name)
				}
				if c.Failure != nil {
					failures++
					types[c.Name] = c.Failure.Type
				}
				if c.Error != nil {
					problems++
					types[c.Name] = c.Error.Type
				}
			}
			for name, want := range test.want {
				if types[name] != want {
					t.Errorf("case %q has the problem %q, want %q", name, types[name], want)
				}
			}
			s := file.Suite
			if s.Tests != len(s.Cases) || s.Failures != failures || s.Errors != problems {
				t.Errorf("counts tests=%d failures=%d errors=%d, want %d, %d, %d", s.Tests, s.Failures,
					s.Errors, len(s.Cases), failures, problems)
			}
			if _, err := time.Parse("2006-01-02T15:04:05", s.Timestamp); err != nil || s.Time <= 0 || s.Name == "" {
				t.Errorf("suite attributes name=%q time=%v timestamp=%q", s.Name, s.Time, s.Timestamp)
			}
		})
	}
}

func TestWhatARunNamesIsEscaped(t *testing.T) {
	const evil = `<script>alert("x")</script>|*_[a](javascript:x)` + "\x1b[2J`"
	run := fixtureRun(10)
	run.Scenario, run.Question, run.ScenarioYAML, run.Command, run.Error = evil, evil, evil, evil, evil
	run.Verdict.Reasons = []string{evil}
	run.Verdict.Phases[1].Name, run.Verdict.Objectives[0].Text, run.Verdict.Objectives[0].Why = evil, evil, evil
	run.Verdict.Audit.Examples = []string{evil}
	run.Injections[0].Fault, run.Injections[0].Effect.Summary = evil, evil
	run.Recording.Classes[0].Name, run.Recording.Probes[0].Series = evil, evil
	page := render(t, HTML, run)
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("HTML() has %d script elements, want its own two", n)
	}
	summary := render(t, Markdown, run)
	if outside := regexp.MustCompile("`[^`\n]*`").ReplaceAllString(summary, ""); strings.Contains(
		regexp.MustCompile(`(?m)^    .*$`).ReplaceAllString(outside, ""), "<script") {
		t.Errorf("Markdown() lets HTML through:\n%s", summary)
	}
	for line := range strings.Lines(summary) {
		if cells := len(regexp.MustCompile(`[^\\]\|`).FindAllString(line, -1)); strings.HasPrefix(line, "| ✓ met") && cells != 7 {
			t.Errorf("Markdown() row has %d cells, want 7: %s", cells, line)
		}
	}
	if strings.Contains(render(t, plainTerminal, run), "\x1b") {
		t.Error("Terminal() lets an escape sequence through")
	}
	for name, view := range map[string]func(io.Writer, *Record) error{"JUnit": JUnit, "HTML": HTML} {
		if strings.Contains(render(t, view, run), "\x1b") {
			t.Errorf("%s() lets an escape character through", name)
		}
	}
	if err := xml.Unmarshal([]byte(render(t, JUnit, run)), new(junitFile)); err != nil {
		t.Errorf("JUnit() is not XML: %v", err)
	}
	if text := render(t, OpenMetrics, run); strings.Contains(text, "\x1b[2J`\n") {
		t.Error("OpenMetrics() breaks a line")
	}
}

func TestMarkdownStaysSmall(t *testing.T) {
	run := fixtureRun(10)
	for i := range 5000 {
		run.Verdict.Objectives = append(run.Verdict.Objectives, verdict.Result{Text: "p99(c) <= " + strconv.Itoa(i) + "ms", Outcome: verdict.Met, Why: strings.Repeat("evidence ", 400)})
		run.Injections = append(run.Injections, chaos.Injection{Fault: strings.Repeat("f", 4000), Error: strings.Repeat("e", 4000)})
		run.Verdict.Reasons = append(run.Verdict.Reasons, strings.Repeat("<", 1000))
	}
	if n := len(render(t, Markdown, run)); n >= maxMarkdown {
		t.Errorf("Markdown() is %d bytes, want less than %d", n, maxMarkdown)
	}
}

func TestNamesThatAreNoTextDoNotPanic(t *testing.T) {
	run := fixtureRun(5)
	run.Recording.Classes[0].Name, run.Injections[0].Fault = "\xff", "\xfe|\x00"
	run.Verdict.Objectives[0].Text = "\xff"
	for name, view := range map[string]func(io.Writer, *Record) error{
		"OpenMetrics": OpenMetrics, "JUnit": JUnit,
		"HTML": HTML, "Markdown": Markdown, "result.json": resultJSON,
	} {
		if text := render(t, view, run); len(text) == 0 {
			t.Errorf("%s() wrote nothing", name)
		}
	}
}

func TestOpenMetricsEndsWithEOF(t *testing.T) {
	for _, run := range []Run{{}, fixtureRun(10)} {
		text := render(t, OpenMetrics, run)
		if !strings.HasSuffix(text, "\n# EOF\n") || strings.Count(text, "# EOF") != 1 {
			t.Errorf("OpenMetrics() ends %q, want one # EOF", text[max(len(text)-40, 0):])
		}
	}
	text := render(t, OpenMetrics, fixtureRun(150))
	for _, want := range []string{
		`squall_run_outcome{outcome="missed"} 1.0`, `squall_run_outcome{outcome="met"} 0.0`,
		`squall_objective_met{objective="lost_writes == 0"} 1.0`, `squall_failover_seconds{figure="rto_write",injection="primary-killed"} 4.4`,
		`squall_audit_writes{state="lost"} 0.0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("OpenMetrics() has no %s", want)
		}
	}
}

func TestTerminalColoursOnlyWhenAsked(t *testing.T) {
	var colored bytes.Buffer
	if err := Terminal(&colored, New(fixtureRun(10)), true); err != nil {
		t.Fatal(err)
	}
	plain := render(t, plainTerminal, fixtureRun(10))
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored.String(), ""); got != plain {
		t.Errorf("Terminal(color) without its colours differs from Terminal():\n%s", cmp.Diff(plain, got))
	}
	if colored.String() == plain {
		t.Error("Terminal(color) has no colours")
	}
}
