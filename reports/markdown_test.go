package reports

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"squall/chaos"
	"squall/reports/verdict"
	"strconv"
	"strings"
	"testing"
)

func TestMarkdownShowsMissesFirst(t *testing.T) {
	run := fixtureRun(10)
	run.Verdict.Objectives = nil
	for i := range 120 {
		run.Verdict.Objectives = append(run.Verdict.Objectives, verdict.Result{Text: fmt.Sprintf("met-%d", i), Outcome: verdict.Met})
	}
	late := []verdict.Result{
		{Text: "late-inconclusive", Outcome: verdict.Inconclusive},
		{Text: "late-miss", Outcome: verdict.Missed},
	}
	run.Verdict.Objectives = append(run.Verdict.Objectives, late...)
	text := render(t, Markdown, run)
	order := []string{"`late-miss`", "`late-inconclusive`", "`met-0`", "`met-1`", "Left out: 22 met."}
	at := 0
	for _, want := range order {
		i := strings.Index(text, want)
		if i < at {
			t.Errorf("%q stands at %d, want it after %d, in the order %q", want, i, at, order)
		}
		at = i
	}
}

// TestMarkdownLeavesNoMissOutInSilence counts rows and what is said to be left out, whatever it is
// that fills the summary: many rows or long ones.
func TestMarkdownLeavesNoMissOutInSilence(t *testing.T) {
	for name, why := range map[string]string{"short": "", "long": strings.Repeat("|", 400), "wide": strings.Repeat("漢", 400)} {
		run := fixtureRun(10)
		run.Verdict.Objectives, run.Injections = nil, nil
		for i := range 300 {
			outcome := []verdict.Outcome{verdict.Met, verdict.Missed, verdict.Inconclusive}[i%3]
			run.Verdict.Objectives = append(run.Verdict.Objectives, verdict.Result{Text: "o" + strconv.Itoa(i), Outcome: outcome, Phase: why, Why: why})
			run.Injections = append(run.Injections, chaos.Injection{Fault: "f" + why, Undone: i%2 == 0, Felt: true, Error: why})
			run.Verdict.Reasons = append(run.Verdict.Reasons, "reason "+why)
			run.Verdict.Audit.Examples = append(run.Verdict.Audit.Examples, "example "+why)
			run.Verdict.Failover = append(run.Verdict.Failover, verdict.Failover{Injection: "f" + why})
			run.Verdict.Unplanned = append(run.Verdict.Unplanned, verdict.Unplanned{Text: why, Why: why})
		}
		run.Scenario, run.Question, run.Command = why, why, why+why+why
		text := render(t, Markdown, run)
		if len(text) >= maxMarkdown || strings.Contains(text, "_Cut here") {
			t.Errorf("%s: %d bytes, cut: %v; want all parts within %d", name, len(text), strings.Contains(text, "_Cut here"), maxMarkdown)
		}
		for _, outcome := range []string{"missed", "inconclusive", "met"} {
			shown := strings.Count(text, " "+outcome+" | `o")
			part, _, _ := strings.Cut(text, "### Faults")
			left := 0
			if found := regexp.MustCompile(`(\d+) ` + outcome + `[,.]`).FindStringSubmatch(part[strings.Index(part, "Left out"):]); found != nil {
				left, _ = strconv.Atoi(found[1])
			}
			if shown+left != 100 {
				t.Errorf("%s: %d %s shown and %d said to be left out, want 100 together", name, shown, outcome, left)
			}
		}
		for _, want := range []string{"more in report.html", " error, ", "### Repeat"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: summary.md does not say %q", name, want)
			}
		}
	}
}

// TestSeedSurvivesDoubles reads result.json as JavaScript does, whose numbers are doubles.
func TestSeedSurvivesDoubles(t *testing.T) {
	run := fixtureRun(5)
	run.Seed = math.MaxUint64 - 5
	var result map[string]any
	if err := json.Unmarshal([]byte(render(t, resultJSON, run)), &result); err != nil {
		t.Fatal(err)
	}
	if result["seed_text"] != "18446744073709551610" {
		t.Errorf("seed_text = %v, want 18446744073709551610", result["seed_text"])
	}
}
