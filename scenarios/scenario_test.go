package scenarios

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func updateGolden() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files")
	flag.Parse()
	m.Run()
}

// golden compares got with a file in testdata, or rewrites the file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if updateGolden() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestShipped(t *testing.T) {
	list := List()
	names := map[string]bool{}
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			names[s.Name] = true
			sc, err := Load(s.Name)
			if err != nil {
				t.Fatalf("Load(%q):\n%v", s.Name, err)
			}
			if !strings.HasSuffix(sc.Question, "?") || sc.Question != s.Question {
				t.Errorf("question = %q, want the first comment's question", sc.Question)
			}
			if sc.Seed == 0 {
				t.Error("seed = 0, want a fixed one: a shipped scenario is repeatable")
			}
			control := strings.HasPrefix(s.Name, "controls/")
			if says := strings.Contains(string(sc.Source), "must come out MISSED"); says != control {
				t.Errorf("says that it must come out missed: %t, want %t", says, control)
			}
		})
	}
	for _, want := range []string{
		"quarterly-peak", "baseline", "engine-crash", "database-failover",
		"slow-network", "controls/async-replication", "controls/no-health-checks",
	} {
		if !names[want] {
			t.Errorf("List() lacks %s", want)
		}
	}
}

// TestBad reads every file that is broken on purpose. The messages that it must give lie beside it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 14 {
		t.Fatalf("Glob = %d files, %v; want at least 14", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".bad.yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(name+".yaml", data, nil)
			if _, ok := errors.AsType[*InvalidError](err); !ok {
				t.Fatalf("Parse(%s) = %v, want an *InvalidError", file, err)
			}
			golden(t, name+".want", err.Error()+"\n")
		})
	}
}

func TestLoadFile(t *testing.T) {
	valid, err := shipped.ReadFile("baseline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	text := strings.Replace(string(valid), "name: baseline", "name: mine", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	sc, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if sc.File != file || string(sc.Source) != text || sc.Name != "mine" {
		t.Errorf("Load(%q) = file %q, name %q, want %q, mine, and the file's bytes", file, sc.File, sc.Name, file)
	}

	for _, test := range []struct{ name, load, want string }{
		{"misspelt", "quartely-peak", "did you mean quarterly-peak?"},
		{"unknown", "xyz", "neither a file nor a shipped scenario (baseline, database-failover,"},
		{"missing file", "no/such.yaml", "no such file"},
		{"folder", dir, "is a folder"},
		{"control without its folder", "async-replication", "did you mean controls/async-replication?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Load(test.load); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load(%q) = %v, want an error with %q", test.load, err, test.want)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	tests := []struct {
		name string
		set  []string
		got  func(Scenario) any
		want any
	}{
		{"duration", []string{"load.profile.for=120s"}, func(s Scenario) any { return s.Load.Profile.For }, 2 * time.Minute},
		{"list entry", []string{"faults[0].at=10s"}, func(s Scenario) any { return s.Faults[0].At }, 10 * time.Second},
		{
			"new mappings",
			[]string{"target.nodes.engine.count=2"},
			func(s Scenario) any { return s.Target.Nodes["engine"].Count }, 2,
		},
		{"last wins", []string{"seed=7", "seed=8"}, func(s Scenario) any { return s.Seed }, uint64(8)},
		{
			"objective",
			[]string{"objectives[0]=p50(read) < 5ms before"},
			func(s Scenario) any { return s.Objectives[0].Metric }, "p50",
		},
		{"whole block", []string{
			"load.mix=[{class: read, weight: 1}]",
			"objectives=[error_ratio <= 1%]",
		}, func(s Scenario) any { return s.Load.Mix[0].Name }, "read"},
		{
			"below another override",
			[]string{"load.probe={every: 1s}", "load.probe.timeout=3s"},
			func(s Scenario) any { return s.Load.Probe.Every + s.Load.Probe.Timeout }, 4 * time.Second,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Load("engine-crash", WithSet(test.set))
			if err != nil {
				t.Fatalf("Load(engine-crash, %q):\n%v", test.set, err)
			}
			if got := test.got(s); got != test.want {
				t.Errorf("Load(engine-crash, %q) = %v, want %v", test.set, got, test.want)
			}
			if diff := cmp.Diff(Overrides(test.set), s.Overrides); diff != "" {
				t.Errorf("Overrides (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadOverrides(t *testing.T) {
	tests := []struct{ name, set, want string }{
		{"no value", "seed", `engine-crash.yaml: --set seed: want path=value, such as load.profile.for=30s, got "seed"`},
		{"empty value", "seed=", `engine-crash.yaml: --set seed=: seed: want a whole number of zero or more, got nothing`},
		{
			"wrong type", "load.profile.for=30",
			`engine-crash.yaml: --set load.profile.for=30: load.profile.for: want a duration with its unit, such as 30s or 1m30s, got "30"`,
		},
		{
			"unknown field", "load.profile.foor=30s",
			`engine-crash.yaml: --set load.profile.foor=30s: load.profile.foor: unknown field, did you mean for?`,
		},
		{
			"meaning", "faults[0].at=50s",
			`engine-crash.yaml: --set faults[0].at=50s: faults[0].at: want the fault and its settling to end before the load does, at 1m; got 50s + 15s + 5s = 1m10s`,
		},
		{"index", "faults[3].at=5s", `engine-crash.yaml: --set faults[3].at=5s: faults[3].at: want an index below 1, got [3]`},
		{"index on a mapping", "load[0]=5s", `engine-crash.yaml: --set load[0]=5s: load[0]: want a field name, got the index [0] on what is no list`},
		{"field on a list", "faults.at=5s", `engine-crash.yaml: --set faults.at=5s: faults.at: want an index such as [0] into the list, got "at"`},
		{"below a plain value", "seed.x=5", `engine-crash.yaml: --set seed.x=5: seed.x: want a path to a field, got "x" below the plain value "2"`},
		{"broken index", "faults[x].at=5s", `engine-crash.yaml: --set faults[x].at=5s: want an index such as [0], got "[x]"`},
		{"empty step", "load..for=5s", `engine-crash.yaml: --set load..for=5s: want a path such as load.profile.for or faults[0].at, got "load..for"`},
		{"not YAML", "load.mix=[", `engine-crash.yaml: --set load.mix=[: load.mix: want a YAML value, got "[": yaml: line 1: did not find expected node content`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load("engine-crash", WithSet([]string{test.set}))
			if err == nil || err.Error() != test.want {
				t.Errorf("Load(engine-crash, %q) =\n%v\nwant\n%s", test.set, err, test.want)
			}
		})
	}
}

// TestOverrideKeepsAliases changes a value that is reached through an alias: its other users keep
// what they had.
func TestOverrideKeepsAliases(t *testing.T) {
	const text = `
name: alias
load:
  profile: {kind: steady, rate: 10/s, for: 60s}
  mix: [{class: read, weight: 1}]
faults:
  - &crash {name: one, kind: kill, at: 5s, for: 5s, select: &engines {role: engine, zone: a}}
  - {<<: *crash, name: two, at: 20s}
  - {name: three, kind: latency, at: 40s, for: 5s, delay: 1ms, select: *engines}
objectives: [error_ratio <= 1%]
`
	s, err := Parse("alias.yaml", []byte(text), Overrides{"faults[2].select.zone=b", "faults[1].select.zone=c"})
	if err != nil {
		t.Fatal(err)
	}
	var zones []string
	for _, f := range s.Faults {
		zones = append(zones, f.Select.Zone)
	}
	if diff := cmp.Diff([]string{"a", "c", "b"}, zones); diff != "" {
		t.Errorf("zones (-want +got):\n%s", diff)
	}
}

func TestQuestion(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"one line", "# Does it hold?\nname: x\n", "Does it hold?"},
		{"two lines", "# Does it\n# hold? More words.\n", "Does it hold?"},
		{"editor line first", "# yaml-language-server: $schema=x\n# Does it hold?\n", "Does it hold?"},
		{"no question", "# It holds.\nname: x\n", ""},
		{"question below", "name: x\n# Does it hold?\n", ""},
		{"empty", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := question([]byte(test.text)); got != test.want {
				t.Errorf("question(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestSimilar(t *testing.T) {
	known := []string{"profile", "arrivals", "mix", "for"}
	for word, want := range map[string]string{
		"profle": "profile", "arrival": "arrivals", "mxi": "mix", "foor": "for",
		"xyz": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := similar(word, known); got != want {
			t.Errorf("similar(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestOverrideReportsOnce breaks a value that an override copied along: one place, one report a field.
func TestOverrideReportsOnce(t *testing.T) {
	_, err := Load("engine-crash", WithSet([]string{"load.mix[0].weight=x", "load.mix[0].request=read", "seed=1"}))
	const want = `engine-crash.yaml: --set load.mix[0].weight=x: load.mix[0].weight: want a number, got "x"`
	if err == nil || err.Error() != want {
		t.Errorf("Load =\n%v\nwant\n%s", err, want)
	}
}

// FuzzOverride applies any setting: a mistake is an error that names it, never a panic.
func FuzzOverride(f *testing.F) {
	for _, setting := range []string{
		"seed=1", "faults[0].at=5s", "load.mix=[{class: read}]", "a[0][1].b=", "=x",
		"target.nodes.engine.count=2", "load.profile=&a {b: *a}", "faults[0]=*x", "load=<<: 1", "faults[65535]=1",
	} {
		f.Add(setting)
	}
	f.Fuzz(func(t *testing.T, setting string) {
		_, err := Load("engine-crash", WithSet([]string{setting}))
		if err != nil && !strings.Contains(err.Error(), "--set ") && !strings.Contains(err.Error(), ".yaml:") {
			t.Errorf("Load(engine-crash, %q) = %v, want an error that says where", setting, err)
		}
	})
}

// FuzzLoad reads any bytes: a mistake is an error with a place, never a panic.
func FuzzLoad(f *testing.F) {
	for _, s := range List() {
		data, err := shipped.ReadFile(s.Name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data, nil)
		if err == nil {
			if s.Name != "fuzz" {
				t.Errorf("Parse gave the name %q, want fuzz", s.Name)
			}
			return
		}
		invalid, ok := errors.AsType[*InvalidError](err)
		if !ok || len(invalid.Problems) == 0 {
			t.Fatalf("Parse = %v, want an *InvalidError with problems", err)
		}
		for _, p := range invalid.Problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("problem %+v, want a place and a text", p)
			}
		}
	})
}

// TestManyAliases reads files whose aliases multiply: they are refused or read, but in no time.
func TestManyAliases(t *testing.T) {
	var laughs, merges strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	merges.WriteString("m0: &m0 {seed: x}\n")
	for i := range 30 {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i)
		fmt.Fprintf(&merges, "m%d: &m%d {<<: [*m%d, *m%d]}\n", i+1, i+1, i, i)
	}
	for name, text := range map[string]string{
		"lists":         laughs.String() + "faults: *a30\n",
		"merges":        merges.String() + "<<: *m30\n",
		"unused":        laughs.String() + "name: x\n",
		"a merged list": "name: x\nfaults: &f [{<<: {name: a}}]\nload: {mix: [<<: *f]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("many.yaml", []byte(text), Overrides{"load.timeout=3s"})
			if _, ok := errors.AsType[*InvalidError](err); !ok {
				t.Errorf("Parse = %v, want an *InvalidError", err)
			}
		})
	}
}
