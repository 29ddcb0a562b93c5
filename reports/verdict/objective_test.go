package verdict

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func TestParseObjective(t *testing.T) {
	for _, test := range []struct {
		text string
		want Objective
	}{
		{"p99(calculate) <= 300ms before", Objective{Metric: "p99", Of: "calculate", Op: "<=", Bound: 300, Unit: "ms", Phase: "before"}},
		{"p999(calculate)<=1.5s", Objective{Metric: "p999", Of: "calculate", Op: "<=", Bound: 1.5, Unit: "s", Phase: "throughout"}},
		{"p50 < 20 ms at peak", Objective{Metric: "p50", Op: "<", Bound: 20, Unit: "ms", Phase: "peak"}},
		{"max( read ) <= 2s during kill primary", Objective{Metric: "max", Of: "read", Op: "<=", Bound: 2, Unit: "s", Phase: "during kill primary"}},
		{"mean(read) > 80ms during\tslow", Objective{Metric: "mean", Of: "read", Op: ">", Bound: 80, Unit: "ms", Phase: "during slow"}},
		{"throughput(calculate) >= 180000/h", Objective{Metric: "throughput", Of: "calculate", Op: ">=", Bound: 50, Unit: "/s", Phase: "throughout"}},
		{"throughput >= 600/m at peak", Objective{Metric: "throughput", Op: ">=", Bound: 10, Unit: "/s", Phase: "peak"}},
		{"error_ratio(calculate) <= 0.5% after", Objective{Metric: "error_ratio", Of: "calculate", Op: "<=", Bound: .005, Unit: "ratio", Phase: "after"}},
		{"error_ratio <= 0.01", Objective{Metric: "error_ratio", Op: "<=", Bound: .01, Unit: "ratio", Phase: "throughout"}},
		{"error_ratio == 0 before", Objective{Metric: "error_ratio", Op: "==", Unit: "ratio", Phase: "before"}},
		{"failed(calculate) == 0 during one-engine-gone", Objective{Metric: "failed", Of: "calculate", Op: "==", Phase: "during one-engine-gone"}},
		{"unsent <= 3", Objective{Metric: "unsent", Op: "<=", Bound: 3, Phase: "throughout"}},
		{"rto(write) <= 5s", Objective{Metric: "rto", Of: "write", Op: "<=", Bound: 5, Unit: "s"}},
		{"rto(read) <= 500ms during failover", Objective{Metric: "rto", Of: "read", Op: "<=", Bound: 500, Unit: "ms", Phase: "during failover"}},
		{"outage <= 8s", Objective{Metric: "outage", Of: "write", Op: "<=", Bound: 8, Unit: "s"}},
		{"detection <= 2s during failover", Objective{Metric: "detection", Op: "<=", Bound: 2, Unit: "s", Phase: "during failover"}},
		{"lost_writes == 0", Objective{Metric: "lost_writes", Op: "=="}},
		{"acknowledged_writes >= 1000", Objective{Metric: "acknowledged_writes", Op: ">=", Bound: 1000}},
	} {
		t.Run(test.text, func(t *testing.T) {
			test.want.Text = test.text
			got, err := ParseObjective(test.text)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Fatalf("ParseObjective(%q) = %+v, %v; -want +got:\n%s", test.text, got, err, diff)
			}
			again, err := ParseObjective(got.String())
			again.Text = got.Text
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("ParseObjective(%q), its canonical form: %v; -want +got:\n%s", got.String(), err, diff)
			}
		})
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("golden file: %v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs, -want +got:\n%s", file, diff)
	}
}

// TestObjectiveMistakes holds the message of every mistake that a person can make.
func TestObjectiveMistakes(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{
		"", "   ", "<= 300ms", "p98(calculate) <= 300ms", "P99 <= 1s", "lost_write == 0", "p99.9 <= 1s",
		"latency <= 300ms", "p99(calculate <= 300ms", "p99() <= 300ms", "p99(calculate)", "p99 300ms",
		"p99 = 300ms", "p99 == 300ms", "p99 =< 300ms", "p99 ≤ 300ms", "p99 <= ", "p99 <= 300",
		"p99 <= 300us", "p99 <= -5ms", "p99 <= .5s", "p99 <= 5.s", "p99 <= 0ms", "p99 <= 1e3ms",
		"p99 <= 86401s", "p99 <= 300ms befor", "p99 <= 300ms peak", "p99 <= 300ms during", "p99 <= 300ms all",
		"throughput >= 200", "throughput >= 200/d", "throughput >= 0/s", "throughput == 5/s",
		"error_ratio <= 101%", "error_ratio <= 1.5", "error_ratio <= 5ms", "error_ratio == 1%",
		"failed <= 1%", "failed == 0.5", "failed == zero", "rto <= 5s", "rto(writes) <= 5s",
		"rto(write) <= 5s after", "rto(write) == 5s", "outage(read) <= 5s", "detection(write) <= 1s",
		"lost_writes(calculate) == 0", "lost_writes == 0 during failover", "lost_writes == 0%",
		"failed >= 0", "unsent(calculate) >= 0 before", "failed < 0", "lost_writes >= 0", "acknowledged_writes >= 0",
		"diverged_rows < 0", "error_ratio >= 0%", "error_ratio < 0", "error_ratio <= 100%", "error_ratio < 100%",
		"error_ratio <= 1", "error_ratio > 100%", "rto(write) >= 0s", "rto(read) < 0ms", "outage(write) >= 0s", "detection < 0s",
		"p99 <= 99999999999999999999999999999999999999999999999999" + strings.Repeat("9", 300) + "s",
	} {
		got, err := ParseObjective(text)
		if err == nil {
			t.Errorf("ParseObjective(%q) = %+v, want an error", text, got)
			continue
		}
		if got != (Objective{}) {
			t.Errorf("ParseObjective(%q) = %+v with its error, want the zero value", text, got)
		}
		fmt.Fprintln(&b, err)
	}
	golden(t, "objective_mistakes.txt", b.String())
}

func TestObjectiveCheck(t *testing.T) {
	named := func(faults ...FaultSetting) Setting {
		return Setting{Classes: []string{"calculate", "batch"}, Faults: faults, Writes: true, Reads: true, Timeout: 5 * time.Second}
	}
	one := named(FaultSetting{"failover", 30 * time.Second})
	two := named(one.Faults[0], FaultSetting{"slow-network", 10 * time.Second})
	none, reads := named(), Setting{Classes: []string{"page"}, Faults: one.Faults, Reads: true, Timeout: time.Minute}
	posts := Setting{Classes: []string{"form"}, Faults: one.Faults}
	var b strings.Builder
	for _, test := range []struct {
		text    string
		setting Setting
		ok      bool
	}{
		{"p99(calculate) <= 300ms", none, true},
		{"p99 <= 300ms before", none, true},
		{"p99(batch) <= 300ms during failover", two, true},
		{"rto(write) <= 5s", one, true},
		{"rto(write) <= 5s during failover", two, true},
		{"lost_writes == 0", Setting{Writes: true}, true},
		{"p99(probe) <= 300ms", Setting{Classes: []string{"probe"}}, true},
		{"p99(calculat) <= 300ms", none, false},
		{"p99(calculate) <= 300ms", Setting{Writes: true}, false},
		{"p99(probe) <= 300ms", none, false},
		{"p99(calculate) <= 300ms during failovr", two, false},
		{"p99(x) <= 300ms during y", two, false},
		{"p99(calculate) <= 300ms during failover", none, false},
		{"p99(calculate) <= 300ms after", none, false},
		{"rto(write) <= 5s", none, false},
		{"rto(write) <= 5s", two, false},
		// Nothing is written, so nothing can be read back, and the prober only reads.
		{"rto(write) <= 5s", reads, false},
		{"outage(write) <= 5s", reads, false},
		{"lost_writes == 0", reads, false},
		{"acknowledged_writes >= 300", reads, false},
		{"rto(read) <= 5s", reads, true},
		{"detection <= 5s", reads, true},
		{"throughput(batch) >= 1/s", Setting{Classes: []string{"batch"}, Queued: []string{"batch"}}, false},
		{"throughput >= 1/s", Setting{Classes: []string{"batch"}, Queued: []string{"batch"}}, true},
		{"rto(read) <= 5s", posts, false},
		{"detection <= 5s", posts, false},
		{"failed(form) == 0 during failover", posts, true},
		// No answer takes longer than the timeout.
		{"p99(calculate) <= 4999ms", none, true},
		{"p99(calculate) <= 5s", none, false},
		{"max <= 6s during failover", two, false},
		{"max >= 6s", none, true},
		{"p99(page) <= 20s", reads, true},
		// A recovery behind the end of the load is not seen.
		{"rto(write) <= 29.9s", one, true},
		{"rto(write) <= 30s", one, false},
		{"outage(write) <= 29s during failover", two, true},
		{"outage(write) <= 29s during slow-network", two, false},
		{"detection <= 10s during slow-network", two, false},
	} {
		o, err := ParseObjective(test.text)
		if err != nil {
			t.Fatal(err)
		}
		err = o.Check(test.setting)
		if (err == nil) != test.ok {
			t.Errorf("(%q).Check(%+v) = %v, want ok %v", test.text, test.setting, err, test.ok)
		}
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	if err := (Objective{Text: "x", Metric: "p42"}).Check(Setting{}); err == nil {
		t.Error("Check of an objective with an unknown metric = nil, want an error")
	}
	golden(t, "check_mistakes.txt", b.String())
}

func TestObjectiveUnmarshalYAML(t *testing.T) {
	var good []Objective
	if err := yaml.Unmarshal([]byte("- p99(calculate) <= 300ms\n- lost_writes == 0\n"), &good); err != nil || len(good) != 2 {
		t.Fatalf("Unmarshal = %v, %v, want two objectives", good, err)
	}
	var bad []Objective
	err := yaml.Unmarshal([]byte("- p98 <= 300ms\n- lost_writes == 0\n-   rto <= 5s\n- {p99: 300ms}\n- [x]\n"), &bad)
	var typeErr *yaml.TypeError
	if !errors.As(err, &typeErr) || len(typeErr.Errors) != 4 {
		t.Fatalf("Unmarshal = %v, want a *yaml.TypeError with four mistakes", err)
	}
	golden(t, "yaml_mistakes.txt", strings.Join(typeErr.Errors, "\n")+"\n")
}

func TestSamplesNeeded(t *testing.T) {
	for text, want := range map[string]uint64{
		"p50 <= 1s": 5, "p90 <= 1s": 29, "p95 <= 1s": 59, "p99 <= 1s": 299, "p999 <= 1s": 2995, "max <= 1s": 0,
		"error_ratio <= 1%": 299, "error_ratio == 0": 0, "throughput >= 1/s": 0, "lost_writes == 0": 0,
	} {
		o, err := ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.SamplesNeeded(); got != want {
			t.Errorf("(%q).SamplesNeeded() = %d, want %d", text, got, want)
		}
	}
}

func FuzzParseObjective(f *testing.F) {
	for _, seed := range []string{
		"p99(calculate) <= 300ms during failover", "throughput >= 200000/h at peak", "lost_writes == 0",
		"error_ratio <= 0.1% after", "rto(write)<=5s", "p99 <= 1e9s", "max(x) > 0.0001ms",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseObjective(text)
		if err != nil {
			if o != (Objective{}) {
				t.Fatalf("ParseObjective(%q) = %+v with error %v, want the zero value", text, o, err)
			}
			return
		}
		if o.Text != text || familyOf(o.Metric) == 0 || math.IsInf(o.Bound, 0) || math.IsNaN(o.Bound) || o.Bound < 0 {
			t.Fatalf("ParseObjective(%q) = %+v, want its text, a known metric and a finite bound", text, o)
		}
		again, err := ParseObjective(o.String())
		again.Text = o.Text
		if err != nil || again != o {
			t.Fatalf("ParseObjective(%q) = %+v, %v; want %+v", o.String(), again, err, o)
		}
	})
}

func TestObjectiveRepeats(t *testing.T) {
	setting := Setting{Faults: []FaultSetting{{Name: "crash"}}}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"p99(calculate) <= 300ms", "p99( calculate ) <= 0.3s", true},
		{"p99 <= 300ms", "p99 <= 300ms throughout", true},
		{"throughput >= 60/m", "throughput >= 1/s", true},
		{"error_ratio <= 1%", "error_ratio <= 0.01", true},
		{"rto(write) <= 5s", "rto(write) <= 5000ms during crash", true},
		{"outage <= 5s", "outage(write) <= 5s", true},
		{"lost_writes == 0", "lost_writes  ==  0", true},
		{"p99 <= 300ms", "p99 < 300ms", false},
		{"p99 <= 300ms", "p99 <= 301ms", false},
		{"p99 <= 300ms", "p99(calculate) <= 300ms", false},
		{"p99 <= 300ms before", "p99 <= 300ms after", false},
		{"failed == 0", "unsent == 0", false},
	} {
		a, errA := ParseObjective(test.a)
		b, errB := ParseObjective(test.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := a.Repeats(b, setting); got != test.want || b.Repeats(a, setting) != got {
			t.Errorf("%q repeats %q: %v, want %v both ways", test.a, test.b, got, test.want)
		}
	}
}
