package reports

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"squall/reports/verdict"
	"strings"
)

//go:embed templates
var templates embed.FS

// HTML writes report.html: one file that needs nothing else, no network and no script to be read.
// Everything that a run names is escaped by html/template and htmlPage.
func HTML(w io.Writer, rec *Record) error {
	functions := template.FuncMap{
		"mark": mark, "upper": strings.ToUpper, "sentence": sentence, "timeS": timeS, "timeMs": timeMs, "latency": latency,
		"badShare": badShare,
		"timeOr":   timeOr, "rto": rto, "percent": percent, "brief": brief, "whole": whole,
		"px": coordinate, "join": strings.Join, "inc": func(i int) int { return i + 1 },
		"gib": func(b int64) string { return number(float64(b)/(1<<30), 1) + " GiB" },
	}
	t, err := template.New("report.html").Funcs(functions).ParseFS(templates, "templates/*")
	if err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "report.html", newPage(rec)); err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	_, err = w.Write(htmlPage(b.Bytes()))
	return err
}

// whole prints a count of either kind of integer that the template meets.
func whole(n any) string {
	switch n := n.(type) {
	case int:
		return count(n)
	case uint64:
		return count(n)
	default:
		return fmt.Sprint(n)
	}
}

// page is what the template shows.
type page struct {
	*Record
	Word       string   // of the outcome, for the badge
	Top, More  []string // reasons for the outcome: the first ones, and those that are folded
	Covers     string   // how long one point of a line is
	Tiles      []tile
	Charts     []chart
	Classes    []chart
	Objectives []objectiveView
	Faults     []faultView
	PhaseRows  []phaseRow
	ClassRows  []classRow
	AuditCells []auditCell
	Tips       tips
}

func newPage(rec *Record) page {
	why := rec.why()
	top := min(len(why), 5)
	return page{
		Record: rec, Word: string(rec.Outcome), Top: why[:top], More: why[top:],
		Covers: plural(max(rec.Series.Step, 1), "second"), Tiles: newTiles(rec),
		Charts: []chart{
			phaseChart(rec), rateChart(rec), latencyChart(rec), errorChart(rec),
			probeChart(rec),
		},
		Classes: classCharts(rec), Objectives: newObjectiveViews(rec), Faults: newFaultViews(rec),
		PhaseRows: newPhaseRows(rec), ClassRows: newClassRows(rec),
		AuditCells: newAuditCells(rec.Audit), Tips: newTips(rec),
	}
}

// tile is one key figure.
type tile struct {
	Title, Value, Note string
	Bad                bool
}

func newTiles(rec *Record) []tile {
	return []tile{
		throughputTile(rec), p99Tile(rec), rtoTile(rec), lostTile(rec),
		{
			Title: "Requests", Value: count(rec.Load.Sent),
			Note: fmt.Sprintf("sent of %s planned; %s never sent", count(rec.Load.Planned), count(rec.Load.Unsent)),
		},
		{
			Title: "Bad requests", Value: badShare(rec.Load.Planned, rec.Load.ErrorRatio()),
			Note: fmt.Sprintf("%s failed and %s unsent, whole run", count(rec.Load.Failed), count(rec.Load.Unsent)),
		},
	}
}

// throughputTile shows the throughput that the scenario asks for, or all units of work together
// where it asks for none.
func throughputTile(rec *Record) tile {
	for _, o := range rec.Objectives {
		if o.Metric == "throughput" && o.Value != nil {
			what := cmp.Or(o.Of, "all classes") + " " + cmp.Or(map[string]string{"peak": "at peak"}[o.Phase], o.Phase)
			return tile{
				Title: "Throughput", Value: number(*o.Value*3600, 0) + "/h",
				Note: fmt.Sprintf("%s, acknowledged: %s/s", what, brief(*o.Value)),
			}
		}
	}
	t := tile{Title: "Peak throughput", Value: "–", Note: "no load was recorded"}
	if perSecond, used := rec.Series.peakUnits(10); used > 0 {
		t.Value = number(perSecond*3600, 0) + "/h"
		t.Note = fmt.Sprintf("units of work acknowledged, best %s: %s/s", plural(used, "second"), brief(perSecond))
	}
	return t
}

// p99Tile shows the calm before the first fault, or the whole run where there is no such phase.
func p99Tile(rec *Record) tile {
	t := tile{Title: "p99, whole run", Value: latency(rec.Load.P99), Note: "all classes, from the due time"}
	for _, p := range rec.Phases {
		if p.Name == "before" {
			t.Title, t.Value = "p99 before faults", latency(rec.Series.windowP99(p.Start, p.End))
		}
	}
	switch {
	case rec.Load.Sent == 0:
		t.Value, t.Note = "–", "no request was sent"
	case rec.Load.OK == 0:
		t.Value, t.Note = "–", "no request was answered"
	}
	return t
}

func rtoTile(rec *Record) tile {
	t := tile{Title: "Worst recovery (RTO)", Value: "–", Note: "no fault was judged"}
	worst := -1.0
	for _, f := range rec.Failover {
		for name, s := range map[string]struct {
			rto     *float64
			through verdict.Passage
		}{"writes": {f.RTOWrite, f.Write}, "reads": {f.RTORead, f.Read}} {
			v := math.Inf(1)
			switch s.through {
			case verdict.NotInjected, verdict.NotProbed, verdict.NotCovered:
				continue // nothing was seen
			case verdict.Uninterrupted, verdict.Recovered, verdict.Relapsed, verdict.Down:
			}
			if s.rto != nil {
				v = *s.rto
			}
			// On a tie writes are named, whatever the order of the map.
			if v > worst || v == worst && name == "writes" {
				worst = v
				t.Note = name + ", " + Visible(f.Injection)
			}
		}
	}
	for _, o := range rec.Objectives {
		t.Bad = t.Bad || o.Metric == "rto" && o.Outcome == verdict.Missed
	}
	switch {
	case math.IsInf(worst, 1):
		t.Value, t.Bad = "never", true
	case worst == 0:
		t.Value, t.Note = "0 s", "no fault interrupted reads or writes"
	case worst > 0:
		t.Value = timeS(worst)
	}
	return t
}

func lostTile(rec *Record) tile {
	a := rec.Audit
	switch {
	case len(a.CheckedNodes) == 0:
		return tile{"Lost writes", "unknown", "the ledger was not read back", false}
	case !a.Complete:
		return tile{
			"Lost writes", "≥ " + count(a.Lost),
			"of " + count(a.Acknowledged) + " acknowledged; the audit is incomplete", a.Lost > 0,
		}
	default:
		return tile{"Lost writes", count(a.Lost), "of " + count(a.Acknowledged) + " acknowledged", a.Lost > 0}
	}
}

// objectiveView is an objective with the bar that compares value and bound.
type objectiveView struct {
	Objective
	ValueText, BoundText string
	HasBar               bool
	Bar                  float64 // length of the bar in px; the bound stands at 80
}

func newObjectiveViews(rec *Record) []objectiveView {
	var out []objectiveView
	for _, o := range rec.Objectives {
		v := objectiveView{Objective: o}
		v.ValueText, v.BoundText = o.texts()
		if o.Value != nil && o.Bound > 0 {
			v.HasBar, v.Bar = true, min(max(*o.Value/o.Bound*80, 1), 120)
		}
		out = append(out, v)
	}
	return out
}

// faultView is an injection with its figures as sorted lines.
type faultView struct {
	Injection
	Late            string
	Asked, Measured []string
}

func newFaultViews(rec *Record) []faultView {
	var out []faultView
	for _, i := range rec.Injections {
		v := faultView{Injection: i, Asked: figures(i.Effect.Asked), Measured: figures(i.Effect.Measured)}
		for _, k := range slices.Sorted(maps.Keys(i.Effect.Details)) {
			v.Measured = append(v.Measured, k+" = "+i.Effect.Details[k])
		}
		if i.Effective != nil {
			v.Late = fmt.Sprintf("%+.3f s", *i.Effective-i.Requested)
		}
		out = append(out, v)
	}
	return out
}

func figures(in map[string]float64) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(in)) {
		out = append(out, k+" = "+number(in[k], 3))
	}
	return out
}

// phaseRow is one class in one phase; Rows is set on the first row of a phase.
type phaseRow struct {
	Phase string
	Rows  int
	Time  string
	Class string
	verdict.ClassPhase
}

func newPhaseRows(rec *Record) []phaseRow {
	var out []phaseRow
	for _, p := range rec.Phases {
		for n, class := range slices.Sorted(maps.Keys(p.Classes)) {
			row := phaseRow{Phase: p.Name, Class: class, ClassPhase: p.Classes[class]}
			if n == 0 {
				row.Rows = len(p.Classes)
			}
			row.Time = fmt.Sprintf("%s to %s", timeS(p.Start), timeS(p.End))
			out = append(out, row)
		}
	}
	return out
}

// classRow is one class over the whole run.
type classRow struct {
	Class string
	Totals
}

func newClassRows(rec *Record) []classRow {
	var out []classRow
	for _, name := range slices.Sorted(maps.Keys(rec.Load.Classes)) {
		out = append(out, classRow{name, rec.Load.Classes[name]})
	}
	return append(out, classRow{"all", rec.Load.Totals})
}

// auditCell is one figure of the audit. Harm is set on those that must be zero; Mark tells how they
// stand: a zero of an audit that was not finished proves nothing.
type auditCell struct {
	Name, Meaning string
	Number        int
	Harm          bool
	Mark          string
}

func newAuditCells(a verdict.Audit) []auditCell {
	cells := []auditCell{
		{Name: "acknowledged", Meaning: "answered 2xx with a receipt: must exist exactly once", Number: a.Acknowledged},
		{Name: "unknown", Meaning: "timeout, reset or 5xx: may exist", Number: a.Unknown},
		{Name: "recovered", Meaning: "unknown to the client, found in the ledger", Number: a.Recovered},
		{Name: "refused", Meaning: "provably not executed: must not exist", Number: a.Refused},
		{Name: "lost", Meaning: "acknowledged, absent from the primary", Number: a.Lost, Harm: true},
		{Name: "duplicate", Meaning: "one key more than once", Number: a.Duplicate, Harm: true},
		{Name: "phantom", Meaning: "in the ledger, never asked for or refused", Number: a.Phantom, Harm: true},
		{Name: "altered", Meaning: "differs from its receipt", Number: a.Altered, Harm: true},
		{Name: "wrong", Meaning: "value differs from the generator's own computation", Number: a.Wrong, Harm: true},
		{Name: "diverged", Meaning: "rows of a standby that differ from the primary", Number: a.Diverged, Harm: true},
	}
	for i := range cells {
		switch c := &cells[i]; {
		case !c.Harm:
		case c.Number > 0:
			c.Mark = mark(verdict.Missed)
		case a.Complete:
			c.Mark = mark(verdict.Met)
		default:
			c.Mark = mark(verdict.Inconclusive)
		}
	}
	return cells
}
