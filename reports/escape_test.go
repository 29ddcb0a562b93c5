package reports

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain – text ≤ ü 漢": "plain – text ≤ ü 漢", "a\u202eb\u2066c": `a\u202eb\u2066c`,
		"\x1b[2J\x07\x7f\u0085": `\u001b[2J\u0007\u007f\u0085`, "a\nb\tc\rd": `a\nb\tc\rd`, "\xff\x00": `\xff\u0000`,
		"\u200b\ufeff\u00a0\u2028\ufffe": `\u200b\ufeff\u00a0\u2028\ufffe`, "\U000e0041": `\U000e0041`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("Visible(%q) = %s, want %s", text, got, want)
		}
	}
}

// hostile are texts that some output language would obey.
func hostile(t *testing.T) []string {
	t.Helper()
	c := loadCase(t, "e-markup")
	first, _, _ := strings.Cut(strings.TrimPrefix(c.source, "# "), "\n")
	texts := []string{
		first, "user\u202eexe.\u2066x\u2069\u202a", "a\x1b[2J\x07b\x7fc\u0085d", "two\nlines\r\n\tof text", "+1", "-2+3", "@SUM(A1)", "\t=1",
		"\r=1", " =1", "``` a", `back\|slash`, "1. one", "- two", "# three", "<!-- c", "--> d", "]]>", "\xff\xfe", "\x00", "\ufffe",
		"https://evil.example/", `"quo'te\`, "{{.}}", "$x$", "=1,2\"",
	}
	for _, m := range c.Load.Mix {
		texts = append(texts, m.Class)
	}
	if len(texts) < 30 {
		t.Fatalf("%d texts, want the classes of e-markup.yaml among them", len(texts))
	}
	return texts
}

// namedRun is a run in which everything that has a name is named evil.
func namedRun(evil string) Run {
	run := fixtureRun(5)
	run.Scenario, run.Question, run.ScenarioYAML, run.Command, run.Error = evil, evil, evil, evil, evil
	v := &run.Verdict
	v.Reasons, v.Audit.Examples, v.Audit.CheckedNodes = []string{evil}, []string{evil}, []string{evil}
	for i := range v.Objectives {
		v.Objectives[i].Text, v.Objectives[i].Why, v.Objectives[i].Phase, v.Objectives[i].Unit = evil, evil, evil, "s"
		run.Objectives[i].Text, run.Objectives[i].Of = evil, evil
	}
	for i := range v.Phases {
		v.Phases[i].Name, v.Phases[i].Classes[evil] = evil, verdict.ClassPhase{Planned: 1}
	}
	for i := range v.Failover {
		v.Failover[i].Injection, v.Unplanned[i%2].Text, v.Unplanned[i%2].Why = evil, evil, evil
	}
	for i := range run.Injections {
		f := &run.Injections[i]
		f.Fault, f.Kind, f.Targets, f.Error, f.Effect.Summary = evil, evil, []string{evil}, evil, evil
		f.Effect.Details, f.Effect.Asked = map[string]string{evil: evil}, map[string]float64{evil: 1}
	}
	old := run.Recording.Classes[0].Name
	run.Recording.Classes[0].Name = evil
	for i := range run.Recording.Seconds {
		if run.Recording.Seconds[i].Class == old {
			run.Recording.Seconds[i].Class = evil
		}
	}
	run.Recording.Probes[0].Series, run.Recording.Health.Reasons = evil, []string{evil}
	run.Environment.Docker, run.Environment.Kernel, run.Environment.SquallVersion = evil, evil, evil
	run.Environment.Images = map[string]string{evil: evil}
	run.Nodes, run.Events = []Node{{evil, evil, evil, evil}}, []Event{{0, evil, evil}}
	return run
}

// TestEveryOutputShowsAndObeysNothing names everything after each of the hostile texts.
func TestEveryOutputShowsAndObeysNothing(t *testing.T) {
	views := textViews()
	views["OpenMetrics"], views["result.json"] = OpenMetrics, resultJSON
	views["series.csv"] = func(w io.Writer, rec *Record) error { return csv.NewWriter(w).WriteAll(rec.Series.csv()) }
	for _, evil := range hostile(t) {
		run := namedRun(evil)
		views["Repeats"] = func(w io.Writer, _ *Record) error { return Repeats(w, []Run{run, run}) }
		views["Live"] = func(w io.Writer, _ *Record) error { playNamed(w, evil); return nil }
		for name, view := range views {
			text := render(t, view, run)
			for _, r := range text {
				if r != '\n' && (r != '\t' || name != "HTML") && !unicode.IsPrint(r) {
					t.Errorf("%s lets %U of %q through", name, r, evil)
					break
				}
			}
			if hidden := Visible(evil); hidden != evil && utf8.ValidString(evil) && !strings.ContainsAny(evil, "\n<|\"\ufffe\x00") && name != "Repeats" {
				escapes := regexp.MustCompile(`u[0-9a-f]{4}`).FindAllString(hidden, -1)
				for _, e := range escapes {
					if !strings.Contains(text, e) {
						t.Errorf("%s does not show %s of %q", name, e, evil)
					}
				}
			}
		}
		checkHTML(t, evil, render(t, HTML, run))
		checkTables(t, evil, render(t, Markdown, run))
		checkCSV(t, evil, render(t, views["series.csv"], run))
		checkMetrics(t, evil, render(t, OpenMetrics, run))
		if err := xml.Unmarshal([]byte(render(t, JUnit, run)), new(junitFile)); err != nil {
			t.Errorf("junit.xml of %q: %v", evil, err)
		}
		var result struct{ Scenario string }
		if err := json.Unmarshal([]byte(render(t, resultJSON, run)), &result); err != nil || result.Scenario != strings.ToValidUTF8(evil, "\ufffd") && evil != "\xff\xfe" {
			t.Errorf("result.json keeps %q as %q (%v)", evil, result.Scenario, err)
		}
	}
}

// playNamed shows a run as it goes, with steps and faults named evil.
func playNamed(w io.Writer, evil string) {
	l := NewLive(w, false, time.Minute, 0)
	l.Step(evil, true, time.Second)
	l.Event(chaos.Event{Fault: evil, Phase: chaos.PhaseEffective, Text: evil})
	l.Tick(loadgen.Tick{Elapsed: time.Second})
	l.Close()
}

// checkHTML wants no element that the page does not have of its own.
func checkHTML(t *testing.T, evil, page string) {
	t.Helper()
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("HTML of %q has %d script elements, want its own two", evil, n)
	}
	if found := regexp.MustCompile(`<svg on|<b>markup|<userId|<!--`).FindString(page); found != "" {
		t.Errorf("HTML of %q has the markup %q", evil, found)
	}
}

// checkTables wants every row of a table to have as many cells as its head, and no HTML outside of code.
func checkTables(t *testing.T, evil, text string) {
	t.Helper()
	cells := func(line string) int { return strings.Count(line, "|") - 1 }
	want := 0
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "    "): // the command, a block of code
		case !strings.HasPrefix(line, "|"):
			want = 0
		case want == 0:
			want = cells(line)
		case cells(line) != want:
			t.Errorf("summary.md of %q has a row of %d cells, want %d: %s", evil, cells(line), want, line)
		}
		outside := regexp.MustCompile("`[^`\n]*`|</?code>").ReplaceAllString(line, "")
		if !strings.HasPrefix(line, "    ") && regexp.MustCompile(`[<\x60]|://|[^\\!]\[`).MatchString(outside) {
			t.Errorf("summary.md of %q has markup in: %s", evil, line)
		}
	}
}

func checkCSV(t *testing.T, evil, text string) {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Errorf("series.csv of %q: %v", evil, err)
	}
	for _, line := range lines {
		for _, cell := range line {
			if strings.IndexAny(strings.TrimSpace(cell), "=+-@") == 0 || strings.ContainsAny(cell, "\t\r\n") {
				t.Errorf("series.csv of %q has the formula %q", evil, cell)
			}
		}
	}
}

// checkMetrics reads metrics.txt as Prometheus does.
func checkMetrics(t *testing.T, evil, text string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("metrics.txt of %q: %v", evil, err)
	}
	if n := len(families["squall_fault_felt"].GetMetric()); n != 3 {
		t.Errorf("metrics.txt of %q has %d faults of one name, want all 3", evil, n)
	}
	if n := len(families["squall_objective_met"].GetMetric()); n != 9 {
		t.Errorf("metrics.txt of %q has %d objectives of one name, want all 9", evil, n)
	}
}
