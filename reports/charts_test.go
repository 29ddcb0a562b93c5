package reports

import (
	"math"
	"squall/loadgen"
	"squall/reports/verdict"
	"strings"
	"testing"
	"time"
)

func TestPackRowsNeverOverlap(t *testing.T) {
	for _, test := range []struct {
		name  string
		spans []span
		rows  int
	}{
		{"none", nil, 0},
		{"apart", []span{{0, 10}, {30, 40}}, 1},
		{"overlapping", []span{{0, 10}, {5, 20}, {8, 30}}, 3},
		{"closer than the gap", []span{{0, 10}, {12, 20}}, 2},
		{"the first row is free again", []span{{0, 10}, {5, 20}, {16, 30}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, n := packRows(test.spans, 4)
			if n != test.rows {
				t.Errorf("packRows(%v) needs %d rows, want %d", test.spans, n, test.rows)
			}
			for i := range rows {
				for j := range i {
					a, b := test.spans[i], test.spans[j]
					if rows[i] == rows[j] && a.from < b.to+4 && b.from < a.to+4 {
						t.Errorf("packRows(%v) puts %v and %v on row %d", test.spans, a, b, rows[i])
					}
				}
			}
		})
	}
}

// TestLabelsStayInside draws runs with few and with many faults in every size.
func TestLabelsStayInside(t *testing.T) {
	for name, run := range map[string]Run{
		"three faults": fixtureRun(150), "fourteen faults": manyFaults(14),
		"an hour": fixtureRun(3600), "one second": fixtureRun(1),
	} {
		rec := New(run)
		for _, ch := range append(newPage(rec).Charts, classCharts(rec)...) {
			for _, d := range ch.Drawings {
				for i, b := range d.Bands {
					if b.LabelX < d.X0 || b.LabelX+boldWidth(b.Label) > d.W || b.X < d.X0 || b.X+b.W > d.W {
						t.Errorf("%s: %s %s: band %q leaves the drawing", name, ch.ID, d.Name, b.Label)
					}
					for _, other := range d.Bands[:i] {
						if other.LabelY == b.LabelY && b.LabelX < other.LabelX+boldWidth(other.Label) && other.LabelX < b.LabelX+boldWidth(b.Label) {
							t.Errorf("%s: %s %s: labels %q and %q overlap", name, ch.ID, d.Name, b.Label, other.Label)
						}
					}
				}
				for i, b := range d.Bounds {
					if b.LabelX+boldWidth(b.Label) > d.W || b.LabelY < d.Y0 || b.LabelY > d.Y1 {
						t.Errorf("%s: %s %s: bound %q leaves the plot", name, ch.ID, d.Name, b.Label)
					}
					for _, other := range d.Bounds[:i] {
						if math.Abs(other.LabelY-b.LabelY) < 12 && b.LabelX < other.LabelX+boldWidth(other.Label) && other.LabelX < b.LabelX+boldWidth(b.Label) {
							t.Errorf("%s: %s %s: bounds %q and %q overlap", name, ch.ID, d.Name, b.Label, other.Label)
						}
					}
				}
				for i := 1; i < len(d.YTicks); i++ {
					if gap := d.YTicks[i-1].Pos - d.YTicks[i].Pos; gap < 9 {
						t.Errorf("%s: %s %s: labels %q and %q are %.1f px apart", name, ch.ID, d.Name, d.YTicks[i-1].Label, d.YTicks[i].Label, gap)
					}
				}
			}
		}
	}
}

func TestScalesKeepValuesInside(t *testing.T) {
	for _, top := range []float64{0, 0.003, 1, 7.5, 80, 99, 100, 101, 55_000} {
		s, ticks := rateScale(top, 100, 0, 5)
		if s.max < top || len(ticks) < 2 || len(ticks) > 7 {
			t.Errorf("rateScale(%v) ends at %v with %d ticks", top, s.max, len(ticks))
		}
	}
	for _, r := range [][2]float64{{0.05, 0.06}, {1, 1}, {3, 9}, {10, 5000}, {0.5, 60_000}, {20, 21}} {
		s, ticks := latencyScale(r[0], r[1], 190, 0)
		if s.min > r[0] || s.max < r[1] || len(ticks) < 2 {
			t.Errorf("latencyScale(%v, %v) runs from %v to %v with %d ticks", r[0], r[1], s.min, s.max, len(ticks))
		}
	}
	for _, end := range []float64{1, 9, 150, 3600, 86_400, 2e6} {
		if _, ticks := timeScale(end, 0, 1000, 12); len(ticks) < 2 || len(ticks) > 13 {
			t.Errorf("timeScale(%v) has %d ticks, want 2 to 13", end, len(ticks))
		}
	}
}

func TestLineLeavesGaps(t *testing.T) {
	nan := math.NaN()
	x := func(i int) float64 { return float64(10 * i) }
	y := scale{0, 10, 100, 0, false}
	for _, test := range []struct {
		name   string
		values []float64
		want   string
	}{
		{"joined", []float64{0, 10, 5}, "M0 100L10 0L20 50"},
		{"a gap", []float64{0, 10, nan, 5, 5}, "M0 100L10 0M30 50L40 50"},
		{"alone", []float64{nan, 10, nan}, "M6 0h8"},
		{"nothing", []float64{nan}, ""},
	} {
		if got := line(test.values, x, y); got != test.want {
			t.Errorf("%s: line(%v) = %q, want %q", test.name, test.values, got, test.want)
		}
	}
}

func TestStripShowsAFailureBesideSuccesses(t *testing.T) {
	var probes []loadgen.Probe
	for i := range 36_000 { // two hours: many probes fall on one pixel
		probes = append(probes, loadgen.Probe{Due: time.Duration(i) * 200 * time.Millisecond, OK: i != 20_000})
	}
	x := scale{0, 7200, 0, 300, false}
	ok, bad := strip(probes, 0.2, x, 50)
	if strings.Count(bad, "M") != 1 {
		t.Errorf("strip() shows the failures %q, want one", bad)
	}
	if strings.Count(ok, "M") != 2 {
		t.Errorf("strip() shows the successes %q, want one before and one after", ok)
	}
}

// TestThinningKeepsCounts sums the points of a long run.
func TestThinningKeepsCounts(t *testing.T) {
	rec := New(fixtureRun(3601))
	if n := len(rec.Series.Points); n > maxPoints || rec.Series.Step < 2 {
		t.Fatalf("%d points of %d s, want at most %d", n, rec.Series.Step, maxPoints)
	}
	sent, failed := 0.0, 0.0
	for i, p := range rec.Series.Points {
		width := float64(min(rec.Series.Step, 3601-i*rec.Series.Step))
		sent += p.Sent * width
		failed += p.Errors() * width
	}
	if math.Round(sent) != float64(rec.Load.Sent) || math.Round(failed) != float64(rec.Load.Failed+rec.Load.Unsent) {
		t.Errorf("points sum up to %.1f sent and %.1f bad, want %d and %d", sent, failed, rec.Load.Sent, rec.Load.Failed+rec.Load.Unsent)
	}
}

func TestKeyFigures(t *testing.T) {
	seconds := func(v float64) *float64 { return &v }
	for _, test := range []struct {
		name     string
		failover []verdict.Failover
		want     string
	}{
		{"no fault", nil, "–"},
		{"nothing interrupted", []verdict.Failover{{RTOWrite: seconds(0), RTORead: seconds(0)}}, "0 s"},
		{"the worst of all", []verdict.Failover{{RTOWrite: seconds(2), RTORead: seconds(0)}, {RTOWrite: seconds(1), RTORead: seconds(3)}}, "3 s"},
		{"never recovered beats all", []verdict.Failover{{RTOWrite: seconds(2), RTORead: nil}}, "never"},
	} {
		if got := rtoTile(New(Run{Verdict: verdict.Verdict{Failover: test.failover}})).Value; got != test.want {
			t.Errorf("%s: worst RTO = %q, want %q", test.name, got, test.want)
		}
	}
	for _, test := range []struct {
		name  string
		audit verdict.Audit
		want  string
		bad   bool
	}{
		{"not read", verdict.Audit{Acknowledged: 5}, "unknown", false},
		{"incomplete", verdict.Audit{Acknowledged: 5, CheckedNodes: []string{"db-1"}}, "≥ 0", false},
		{"clean", verdict.Audit{CheckedNodes: []string{"db-1"}, Complete: true}, "0", false},
		{"lost", verdict.Audit{Lost: 3, CheckedNodes: []string{"db-1"}, Complete: true}, "3", true},
	} {
		got := lostTile(New(Run{Verdict: verdict.Verdict{Audit: test.audit}}))
		if got.Value != test.want || got.Bad != test.bad {
			t.Errorf("%s: lost writes = %q, bad %v, want %q, %v", test.name, got.Value, got.Bad, test.want, test.bad)
		}
	}
}

func TestAuditMarks(t *testing.T) {
	for _, test := range []struct {
		name  string
		audit verdict.Audit
		want  string
	}{
		{"clean", verdict.Audit{Complete: true}, "✓"},
		{"lost", verdict.Audit{Complete: true, Lost: 1}, "✗"},
		{"not finished", verdict.Audit{}, "?"},
		{"not finished, and lost already", verdict.Audit{Lost: 1}, "✗"},
	} {
		for _, c := range newAuditCells(test.audit) {
			if c.Name == "lost" && c.Mark != test.want {
				t.Errorf("%s: newAuditCells() marks lost with %q, want %q", test.name, c.Mark, test.want)
			}
		}
	}
}

func TestNumbersReadWell(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{number(1234567.5, 1), "1,234,567.5"},
		{number(-0.0001, 2), "0"},
		{number(999, 3), "999"},
		{number(-1234.5, 1), "-1,234.5"},
		{brief(0.1234), "0.123"},
		{brief(12.34), "12.3"},
		{timeMs(12_340), "12.3 s"},
		{timeMs(math.NaN()), "–"},
		{percent(0.00001), "< 0.01 %"},
		{quantity(55.5555, "/s", 0), "55.6/s (200,000/h)"},
		{quantity(0.001, "ratio", 0), "0.1 %"},
		{timeMs(math.Inf(1)), "–"},
		{plural(1, "fault"), "1 fault"},
		{plural(2000, "fault"), "2,000 faults"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
