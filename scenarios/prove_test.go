package scenarios_test

import (
	"slices"
	"strconv"
	"testing"
)

// figure is one that README states, of several runs.
type figure struct {
	name   string
	unit   string
	bound  float64
	atMost bool // or: at least
	values []float64
}

// check prints the figure's median and range beside its bound, and fails when a run falls short.
func (f figure) check(t *testing.T) {
	t.Helper()
	if len(f.values) == 0 {
		t.Errorf("FIGURE %-62s was not measured", f.name)
		return
	}
	v := slices.Sorted(slices.Values(f.values))
	sign, short := ">=", v[0] < f.bound
	if f.atMost {
		sign, short = "<=", v[len(v)-1] > f.bound
	}
	word := "holds"
	if short {
		word = "FALLS SHORT"
		t.Fail()
	}
	t.Logf("FIGURE %-62s %10.6g (%.6g-%.6g) %s %s %g: %s", f.name, v[len(v)/2], v[0], v[len(v)-1], f.unit, sign, f.bound, word)
}

// TestProveQuarterlyPeak: README's section "Measured". Each of three runs must be met; its objectives are the bounds.
func TestProveQuarterlyPeak(t *testing.T) {
	const runs = 3
	figures := map[string]*figure{}
	var names []string
	note := func(name, unit string, bound float64, atMost bool, value *float64) {
		if figures[name] == nil {
			figures[name] = &figure{name: name, unit: unit, bound: bound, atMost: atMost}
			names = append(names, name)
		}
		if value != nil {
			figures[name].values = append(figures[name].values, *value)
		}
	}
	s := own(t, "quarterly-peak")
	for seed := range runs {
		code, res := s.play(t, "--seed", strconv.Itoa(seed+1))
		if code != 0 {
			t.Errorf("run %d: exit %d, outcome %s, want 0 and met: %q", seed+1, code, res.Outcome, res.Reasons)
		}
		for _, o := range res.Objectives {
			note(o.Text, o.Unit, o.Bound, o.Op == "<=" || o.Op == "<" || o.Op == "==", o.Value)
		}
		for _, f := range res.Failover {
			if f.Injection == "primary-crash" {
				note("longest gap between two acknowledged writes, primary killed", "s", 10, true, f.Outage)
			}
		}
	}
	for _, name := range names {
		figures[name].check(t)
		if got := len(figures[name].values); got != runs {
			t.Errorf("%s: measured in %d of %d runs", name, got, runs)
		}
	}
}
