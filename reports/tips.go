package reports

import (
	"fmt"
	"math"
	"squall/loadgen"
	"strconv"
)

// tips is what the page's script shows beside the pointer; the charts themselves need none of it.
type tips struct {
	Step   int                  `json:"step"`
	Faults []tipFault           `json:"faults"`
	Charts map[string][]tipLine `json:"charts"`
}

type tipFault struct {
	Name  string  `json:"name"`
	Start float64 `json:"start"`
	End   float64 `json:"end"`
}

// tipLine is one figure over time, one value a point; null where there is none.
type tipLine struct {
	Name   string     `json:"name"`
	Unit   string     `json:"unit"`
	Values []*float64 `json:"values"`
}

func newTips(rec *Record) tips {
	t := tips{Step: max(rec.Series.Step, 1), Faults: []tipFault{}, Charts: map[string][]tipLine{}}
	for _, w := range windows(rec) {
		t.Faults = append(t.Faults, tipFault{fmt.Sprintf("%d %s", w.number, Visible(w.name)), w.start, w.end})
	}
	points := rec.Series.Points
	if len(points) == 0 {
		return t
	}
	add := func(chart, name, unit string, figure func(Point) float64) {
		values := make([]*float64, len(points))
		for i, p := range points {
			values[i] = three(figure(p))
		}
		t.Charts[chart] = append(t.Charts[chart], tipLine{name, unit, values})
	}
	add("rate", "offered", "/s", func(p Point) float64 { return p.Planned })
	add("rate", "sent", "/s", func(p Point) float64 { return p.Sent })
	add("rate", "achieved", "/s", func(p Point) float64 { return p.OK })
	add("latency", "p99", " ms", func(p Point) float64 { return p.P99 })
	add("latency", "p90", " ms", func(p Point) float64 { return p.P90 })
	add("latency", "p50", " ms", func(p Point) float64 { return p.P50 })
	for _, k := range errorKinds() {
		if highest(column(points, k.rate)) > 0 {
			add("errors", k.label, "/s", k.rate)
		}
	}
	for n := range rec.Series.Classes {
		add("class-"+strconv.Itoa(n), "p99", " ms", func(p Point) float64 { return p.ClassP99[n] })
	}
	for _, s := range rec.Series.Probes {
		t.Charts["probes"] = append(t.Charts["probes"], probeTip(s, rec.Series))
	}
	return t
}

// probeTip counts the failed probes of each point.
func probeTip(s ProbeSeries, series Series) tipLine {
	l := tipLine{Visible(s.Name), " failed", make([]*float64, len(series.Points))}
	for _, p := range s.Probes {
		if i := pointOf(p, series); i >= 0 && i < len(l.Values) {
			if l.Values[i] == nil {
				l.Values[i] = new(0.0)
			}
			if !p.OK {
				*l.Values[i]++
			}
		}
	}
	return l
}

func pointOf(p loadgen.Probe, series Series) int {
	return int(math.Floor(p.Due.Seconds() / float64(series.Step)))
}

// three keeps three significant digits: a tooltip needs no more, and the page stays small.
func three(v float64) *float64 {
	if !finite(v) {
		return nil
	}
	if v == 0 {
		return new(0.0)
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	if scale < 1 {
		scale = 1
	}
	return new(math.Round(v*scale) / scale)
}
