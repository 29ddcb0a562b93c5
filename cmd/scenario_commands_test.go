package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// typed runs squall as if typed and returns what it printed.
func typed(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = Main(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestScenarioCommands(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("name: other\nloda: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		code   int
		out    string // is in stdout
		errOut string // is in stderr
	}{
		{"list", []string{"list"}, 0, "quarterly-peak\n    Does EcoTrack keep its promises", ""},
		{"check a shipped one", []string{"check", "baseline"}, 0, "baseline.yaml: ok: 4 classes, 0 faults, 8 objectives\n", ""},
		{"check with an override", []string{"check", "engine-crash", "--set", "faults[0].at=10s"}, 0, "ok", ""},
		{"plan", []string{"plan", "engine-crash", "--seed", "9"}, 0, "seed 9\nscenario engine-crash\n", ""},
		{"schema", []string{"schema"}, 0, `"$schema": "https://json-schema.org/draft/2020-12/schema"`, ""},

		{"check a broken one", []string{"check", broken}, 2, "", broken + `:2:1: loda: unknown field, did you mean load?`},
		{"check reports every mistake", []string{"check", broken}, 2, "", broken + `:1:7: name: want the base name of the file, broken, got "other"`},
		{"check counts the mistakes of all files", []string{"check", "baseline", empty, broken}, 2, "baseline.yaml: ok", "squall: check: 4 mistakes\n"},
		{"check nothing", []string{"check"}, 2, "", "requires at least 1 arg"},
		{"check with a broken override", []string{"check", "baseline", "--set", "seed=x"}, 2, "", "--set seed=x: seed: want a whole number"},
		{"plan an unknown one", []string{"plan", "quartely-peak"}, 2, "", "did you mean quarterly-peak?"},
		{"plan a broken one", []string{"plan", broken}, 2, "", "unknown field"},
		{"list with an argument", []string{"list", "x"}, 2, "", "unknown command"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, out, errOut := typed(test.args...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errOut, test.errOut) {
				t.Errorf("squall %s = %d\nstdout: %s\nstderr: %s\nwant %d, %q, %q", strings.Join(test.args, " "),
					code, out, errOut, test.code, test.out, test.errOut)
			}
		})
	}
}

func TestScenarioCommandsPrintJSON(t *testing.T) {
	for _, args := range [][]string{{"list", "--json"}, {"plan", "baseline", "--json"}, {"schema"}} {
		code, out, errOut := typed(args...)
		var value any
		if err := json.Unmarshal([]byte(out), &value); code != 0 || err != nil {
			t.Errorf("squall %s = %d, %v, %s, want JSON", strings.Join(args, " "), code, err, errOut)
		}
	}
}

// TestScenarioCommandsHelp holds the form of the help texts: two examples each.
func TestScenarioCommandsHelp(t *testing.T) {
	for _, name := range []string{"list", "check", "plan", "schema"} {
		code, out, _ := typed(name, "--help")
		_, examples, found := strings.Cut(out, "Examples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		if got := strings.Count(examples, "squall "+name); code != 0 || !found || got != 2 {
			t.Errorf("squall %s --help = %d with %d examples, want 0 with 2:\n%s", name, code, got, out)
		}
	}
}
