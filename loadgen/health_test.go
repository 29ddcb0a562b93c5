package loadgen

import (
	"context"
	"math"
	runtimemetrics "runtime/metrics"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRunStarvedGenerator: a generator that keeps its own due times badly is found out, and one
// that keeps them is not.
func TestRunStarvedGenerator(t *testing.T) {
	table := []struct {
		name   string
		delay  time.Duration // by which every wait in Pace oversleeps
		maxLag time.Duration
		bad    int // seconds
		reason string
	}{
		{"in time", 0, patience, 0, ""},
		{"late", 250 * time.Millisecond, patience, 4, "generator late"},
		{"too late to send", 250 * time.Millisecond, 100 * time.Millisecond, 4, "generator starved"},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := steady(20, 4*time.Second, Class{Name: requestCalculate, Weight: 1})
				spec.MaxLag = row.maxLag
				l := fakeLoad(t.Context(), t, mustSchedule(t, spec), Options{}, newEcoTrack())
				for _, c := range l.classes {
					c.pacer.wait = func(ctx context.Context, at time.Time) bool {
						return waitFor(ctx, at.Add(row.delay))
					}
				}
				r, err := l.run(t.Context(), func(Tick) { burn(l.monitor) })
				if err != nil {
					t.Fatalf("run() error: %v", err)
				}
				h := r.Health
				if h.Valid != (row.reason == "") || !strings.Contains(strings.Join(h.Reasons, "\n"), row.reason) {
					t.Errorf("health %+v: want invalid only because %q", h, row.reason)
				}
				if len(h.BadSeconds) != row.bad {
					t.Errorf("bad seconds %v, want %d of 4", h.BadSeconds, row.bad)
				}
				if h.CPU <= 0 || h.CPUMax <= 0 || h.Cores < 0.01 || h.ProbeGapMax != 200*time.Millisecond {
					t.Errorf("cpu %v of %v cores, at most %v, probe gap %v: want them measured", h.CPU, h.Cores, h.CPUMax, h.ProbeGapMax)
				}
			})
		})
	}
}

// burn uses the processor until the monitor can see it, which takes as long as the machine needs.
func burn(m *monitor) {
	for before := m.processCPU(); m.processCPU() <= before; {
	}
}

// TestMonitorSample: shares are of all cores, and a sliver of a second sets no maximum.
func TestMonitorSample(t *testing.T) {
	l, err := newLoad(t.Context(), mustSchedule(t, steady(1, 4*time.Second, get("a"))), Options{BaseURL: fakeURL})
	if err != nil {
		t.Fatalf("newLoad() error: %v", err)
	}
	l.monitor.cores = 2
	l.monitor.sample(500*time.Millisecond, time.Second, 3*time.Millisecond)
	l.monitor.sample(1500*time.Millisecond, time.Second, time.Millisecond)
	l.monitor.sample(640*time.Millisecond, 400*time.Millisecond, 2*time.Millisecond)
	h := l.health(4)
	if math.Abs(h.CPU-0.55) > 1e-9 || h.CPUMax != 0.75 || h.Cores != 2 || h.SchedP99Max != 3*time.Millisecond {
		t.Errorf("health() = %v, at most %v, of %v cores, waits %v: want 0.55, 0.75, 2 and 3ms",
			h.CPU, h.CPUMax, h.Cores, h.SchedP99Max)
	}
}

func TestHealthJudge(t *testing.T) {
	seconds := func(n int, bad ...int) []ownLag {
		list := make([]ownLag, n)
		for i := range list {
			list[i].sent = 1000
		}
		for _, at := range bad {
			list[at].late = 11 // of 1000: p99 is late
		}
		return list
	}
	starved := seconds(10)
	starved[2].starved, starved[2].sent = 101, 899
	table := []struct {
		name   string
		health Health
		own    []ownLag
		want   string // in the reasons; empty: valid
	}{
		{"good", Health{}, seconds(60), ""},
		{"two bad seconds of ten", Health{}, seconds(10, 1, 2), ""},
		{"three bad seconds of sixty", Health{}, seconds(60, 1, 2, 3), ""},
		{"three bad seconds of ten", Health{}, seconds(10, 1, 2, 3), "3 of 10 seconds (first: second 1"},
		{"four bad seconds of sixty", Health{}, seconds(60, 9, 2, 3, 4), "4 of 60 seconds (first: second 2"},
		{"starved", Health{}, starved, "101 of 10000 planned"},
		{"descriptors", Health{Descriptors: 1}, seconds(60), "ulimit -n"},
		{"ports", Health{Ports: 1}, seconds(60), "ip_local_port_range"},
		{"busy and late prober only warn", Health{CPUMax: 0.95, ProbeGapMax: time.Minute}, seconds(60), ""},
		{"nothing sent", Health{}, make([]ownLag, 10), ""},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			h := row.health
			h.judge(row.own, uint64(1000*len(row.own)), 200*time.Millisecond)
			reasons := strings.Join(h.Reasons, "\n")
			if h.Valid != (row.want == "") || !strings.Contains(reasons, row.want) {
				t.Errorf("judge() = valid %v, %q, want %q", h.Valid, reasons, row.want)
			}
			if busy := row.health.CPUMax > 0; busy != (len(h.Warnings) == 2) {
				t.Errorf("warnings %q", h.Warnings)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20")
	if err != nil || got != 2*time.Second {
		t.Errorf("parseStat() = %v, %v, want 2s", got, err)
	}
	for _, text := range []string{"", "42 (x) S", "42 (x) S 1 2 3 4 5 6 7 8 9 10 a b"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("parseStat(%q): no error, want one", text)
		}
	}
}

func TestWaitP99(t *testing.T) {
	edges := []float64{math.Inf(-1), 0, 0.001, 0.1, math.Inf(1)}
	h := func(counts ...uint64) *runtimemetrics.Float64Histogram {
		return &runtimemetrics.Float64Histogram{Counts: counts, Buckets: edges}
	}
	table := []struct {
		name          string
		before, after *runtimemetrics.Float64Histogram
		want          time.Duration
	}{
		{"nothing", h(0, 5, 0, 0), h(0, 5, 0, 0), 0},
		{"all short", h(0, 5, 0, 3), h(0, 105, 0, 3), 0},
		{"two of a hundred long", h(0, 0, 0, 0), h(0, 98, 0, 2), 100 * time.Millisecond},
		{"two of a hundred middling", h(0, 0, 0, 0), h(0, 98, 2, 0), time.Millisecond},
	}
	for _, row := range table {
		if got := waitP99(row.before, row.after); got != row.want {
			t.Errorf("%s: waitP99() = %v, want %v", row.name, got, row.want)
		}
	}
}
