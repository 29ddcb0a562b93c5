package reports

import (
	"encoding/xml"
	"path/filepath"
	"squall/reports/verdict"
	"testing"
	"time"
)

// TestJUnitTellsCasesApart holds that no reader can take two cases for one: neither the objectives,
// faults and texts of one run that have the same name, nor the repeats of a run.
func TestJUnitTellsCasesApart(t *testing.T) {
	suites, cases := map[string]bool{}, map[string]bool{}
	total := 0
	for seed := range uint64(3) { // as --repeat counts them up
		run := fixtureRun(10)
		run.Seed = 7 + seed
		same := run.Verdict.Objectives[5]
		twin, hidden := same, same
		twin.Text += " (2)"
		hidden.Text = same.Text + "\u202e"
		written := hidden
		written.Text = same.Text + `\u202e`
		run.Verdict.Objectives = append(run.Verdict.Objectives, same, twin, same, hidden, written)
		for _, o := range loadCase(t, "e-same-objective-twice").Objectives {
			run.Verdict.Objectives = append(run.Verdict.Objectives, verdict.Result{Text: o.Text, Outcome: verdict.Met})
		}
		run.Injections = append(run.Injections, run.Injections...)
		var file junitFile
		if err := xml.Unmarshal([]byte(render(t, JUnit, run)), &file); err != nil {
			t.Fatal(err)
		}
		if suites[file.Suite.Name] {
			t.Errorf("two suites are called %q", file.Suite.Name)
		}
		suites[file.Suite.Name] = true
		inSuite := map[string]bool{}
		for _, c := range file.Suite.Cases {
			if inSuite[c.Name] {
				t.Errorf("two cases of one suite are called %q", c.Name)
			}
			inSuite[c.Name] = true
			cases[c.ClassName+"\x00"+c.Name] = true
			total++
		}
	}
	if len(cases) != total {
		t.Errorf("%d cases in three repeats, but only %d pairs of class and name", total, len(cases))
	}
}

// TestJudgingAgainKeepsTheSignal holds that `squall report` on a run that SIGTERM ended says 143 too.
func TestJudgingAgainKeepsTheSignal(t *testing.T) {
	for _, code := range []int{130, 143} {
		run := fixtureRun(20)
		run.Recording.Aborted, run.Recording.AbortedAt = true, 12*time.Second
		run.Judge()
		run.Verdict.ExitCode = code // as the caller of Judge does
		if run.Verdict.Outcome != verdict.Aborted {
			t.Fatalf("Judge() = %s, want aborted", run.Verdict.Outcome)
		}
		dir := filepath.Join(t.TempDir(), "run")
		for range 2 {
			if err := Write(dir, run); err != nil {
				t.Fatal(err)
			}
			var err error
			if run, err = Load(dir); err != nil {
				t.Fatal(err)
			}
			run.Judge()
			if rec := New(run); rec.ExitCode != code {
				t.Errorf("exit code %d after judging again, want %d", rec.ExitCode, code)
			}
		}
		run.Injections[0].Undone = false // what was not known then is worse than an interruption
		run.Judge()
		if run.Verdict.ExitCode != verdict.ExitError {
			t.Errorf("exit code %d with a fault left behind, want %d", run.Verdict.ExitCode, verdict.ExitError)
		}
	}
}
