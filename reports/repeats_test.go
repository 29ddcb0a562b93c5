package reports

import (
	"bytes"
	"squall/reports/verdict"
	"strings"
	"testing"
)

func TestRepeats(t *testing.T) {
	run := func(o verdict.Outcome, rto *float64) Run {
		return Run{Verdict: verdict.Verdict{
			Outcome:  o,
			Failover: []verdict.Failover{{Injection: "crash", RTOWrite: rto}},
		}}
	}
	of := func(v float64) *float64 { return &v }
	var out bytes.Buffer
	err := Repeats(&out, []Run{
		run(verdict.Met, of(5)), run(verdict.Missed, nil), run(verdict.Met, of(4)),
		run(verdict.Met, of(9)), run(verdict.Met, of(6)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 runs: 4 met 1 missed", "crash rto(write)  4.00  5.50    9.00  4 of 5"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Repeats =\n%s\nwant %q in it", &out, want)
		}
	}
}

func TestThisEnvironment(t *testing.T) {
	e := ThisEnvironment("v1")
	if e.Cores < 1 || e.MemoryBytes < 1<<20 || e.Kernel == "" || e.SquallVersion != "v1" {
		t.Errorf("ThisEnvironment = %+v, want cores, memory, kernel and version", e)
	}
}
