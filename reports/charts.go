package reports

import (
	"fmt"
	"math"
	"slices"
	"squall/reports/verdict"
	"strconv"
	"strings"
)

// canvas is one size in which a chart is drawn. A drawing is never shrunk to less than 0.85 of its
// size, so that its 13 px labels stay readable: the page shows the one that fits.
type canvas struct {
	name   string // CSS class: wide, middle, narrow, small
	width  float64
	height float64 // of the plot area
	ticks  int     // labels on the time axis, at most
}

// canvases are the sizes of the charts over the whole width.
func canvases() []canvas {
	return []canvas{{"wide", 1120, 190, 15}, {"middle", 700, 180, 9}, {"narrow", 360, 160, 4}}
}

// Room around the plot area, and between the lines of labels above it, in px.
const (
	gutterLeft   = 56.0
	gutterRight  = 14.0
	gutterBottom = 24.0
	labelRow     = 18.0
	maxLabelRows = 3 // more rows of fault names: numbers only
)

// chart is one chart in all its sizes, or the reason why there is none.
type chart struct {
	ID, Title, Note string
	Empty           string // why there is nothing to see
	Legend          []legend
	Drawings        []drawing
}

type legend struct{ Class, Label string }

// drawing is one chart in one size, ready for the template. All coordinates are in px.
type drawing struct {
	Name, Chart, Title string
	W, H               float64
	X0, X1, Y0, Y1     float64 // the plot area
	End                float64 // seconds at X1
	Bands              []band
	XTicks, YTicks     []tick
	Paths              []path
	Bounds             []boundLine
	Blocks             []block
	Texts              []label
}

type (
	// band shades the time in which a fault was active, from its label down through the plot.
	band struct {
		X, W, SettleX, SettleW, Y, H, LabelX, LabelY float64
		Label, Title                                 string
	}
	path struct{ Class, D string }
	// boundLine is an objective's bound over its phase.
	boundLine struct {
		X0, X1, Y, LabelX, LabelY float64
		Label                     string
	}
	block struct {
		X, Y, W, H, LabelX, LabelY float64
		Class, Label, Title        string
	}
	label struct {
		X, Y float64
		Text string
	}
)

// window is the time a fault was active, on every chart.
type window struct {
	number           int
	name             string
	start, end, last float64 // last: end plus settle
}

// windows are the faults that took effect, in the order of the faults table.
func windows(rec *Record) []window {
	var out []window
	for n, i := range rec.Injections {
		if i.Effective == nil {
			continue
		}
		end := rec.Series.End
		if i.Ended != nil {
			end = *i.Ended
		}
		end = max(end, *i.Effective)
		out = append(out, window{
			n + 1, Visible(i.Fault), *i.Effective, end,
			min(end+i.Settle, rec.Series.End),
		})
	}
	return out
}

// frame starts a drawing: time axis, and the fault windows with labels that do not collide.
func frame(rec *Record, c canvas, id, title string) (drawing, scale) {
	d := drawing{
		Name: c.name, Chart: id, Title: title, W: c.width, X0: gutterLeft,
		X1: c.width - gutterRight, End: rec.Series.End,
	}
	x, ticks := timeScale(rec.Series.End, d.X0, d.X1, c.ticks)
	d.XTicks = ticks
	rows := d.addBands(windows(rec), x)
	d.Y0 = 8 + float64(rows)*labelRow
	d.Y1 = d.Y0 + c.height
	d.H = d.Y1 + gutterBottom
	for i := range d.Bands {
		d.Bands[i].H = d.Y1 - d.Bands[i].Y
	}
	return d, x
}

// addBands places the fault windows and returns how many rows their labels need: names where they
// fit, numbers of the faults table where names would pile up.
func (d *drawing) addBands(faults []window, x scale) int {
	longest := int((d.X1 - d.X0) / 9)
	named := func(w window) string { return clip(fmt.Sprintf("%d %s", w.number, w.name), longest) }
	numbered := func(w window) string { return strconv.Itoa(w.number) }
	spans, rows, n := d.placeLabels(faults, x, named)
	name := named
	if n > maxLabelRows {
		name = numbered
		spans, rows, n = d.placeLabels(faults, x, name)
	}
	for i, w := range faults {
		top := 4 + float64(rows[i])*labelRow
		b := band{X: x.at(w.start), Y: top, LabelX: spans[i].from + 3, LabelY: top + 13, Label: name(w)}
		b.W = max(x.at(w.end)-b.X, 2)
		b.SettleX = b.X + b.W
		b.SettleW = max(x.at(w.last)-b.SettleX, 0)
		b.Title = fmt.Sprintf("%d %s: %s to %s", w.number, w.name, timeS(w.start), timeS(w.end))
		d.Bands = append(d.Bands, b)
	}
	return n
}

func (d *drawing) placeLabels(faults []window, x scale, name func(window) string) ([]span, []int, int) {
	var spans []span
	for _, w := range faults {
		width := boldWidth(name(w)) + 6
		from := max(min(x.at(w.start), d.X1-width), d.X0)
		spans = append(spans, span{from, from + width})
	}
	rows, n := packRows(spans, 12)
	return spans, rows, n
}

// middle is the coordinate of the middle of each point of the series.
func middle(s Series, x scale) func(int) float64 {
	return func(i int) float64 {
		from := s.Points[i].At
		return x.at((from + min(from+float64(s.Step), s.End)) / 2)
	}
}

// column is one figure of every point.
func column(points []Point, figure func(Point) float64) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = figure(p)
	}
	return out
}

// highest is the largest finite value, or 0.
func highest(columns ...[]float64) float64 {
	top := 0.0
	for _, v := range slices.Concat(columns...) {
		if finite(v) {
			top = max(top, v)
		}
	}
	return top
}

// lowest is the smallest finite value above zero, or infinity.
func lowest(columns ...[]float64) float64 {
	bottom := math.Inf(1)
	for _, v := range slices.Concat(columns...) {
		if finite(v) && v > 0 {
			bottom = min(bottom, v)
		}
	}
	return bottom
}

// phaseChart shows the phases on the common time axis.
func phaseChart(rec *Record) chart {
	ch := chart{
		ID: "phases", Title: "Phases",
		Note: "The windows in which objectives are judged. A phase may lie inside another one.",
	}
	var shown []int
	for i, p := range rec.Phases {
		if p.End > p.Start {
			shown = append(shown, i)
		}
	}
	if len(shown) == 0 {
		ch.Empty = "The run has no phases of its own: objectives are judged over the whole run."
		return ch
	}
	for _, c := range canvases() {
		d := drawing{
			Name: c.name, Chart: ch.ID, Title: ch.Title, W: c.width, X0: gutterLeft,
			X1: c.width - gutterRight, Y0: 4, End: rec.Series.End,
		}
		x, ticks := timeScale(rec.Series.End, d.X0, d.X1, c.ticks)
		d.XTicks = ticks
		var spans []span
		for _, i := range shown {
			p := rec.Phases[i]
			b := block{
				X: x.at(p.Start), Class: phaseClass(p.Name), Label: clip(Visible(p.Name), int((d.X1-d.X0)/9)),
				Title: fmt.Sprintf("%s: %s to %s, %s judged", p.Name, timeS(p.Start), timeS(p.End), plural(p.Seconds, "second")),
			}
			b.W = max(x.at(p.End)-b.X, 2)
			width := max(b.W, textWidth(b.Label)+8)
			from := max(min(b.X, d.X1-width), d.X0)
			b.LabelX = from + 4
			spans = append(spans, span{min(from, b.X), max(from+width, b.X+b.W)})
			d.Blocks = append(d.Blocks, b)
		}
		rows, n := packRows(spans, 2)
		for i := range d.Blocks {
			d.Blocks[i].Y = d.Y0 + float64(rows[i])*24
			d.Blocks[i].H = 20
			d.Blocks[i].LabelY = d.Blocks[i].Y + 15
			if b := &d.Blocks[i]; outsideFaults(*b) { // its holes would hide a label under them
				d.Texts, b.Label = append(d.Texts, label{X: b.LabelX, Y: b.LabelY, Text: b.Label}), ""
			}
		}
		d.Blocks = append(d.Blocks, holes(rec, d.Blocks, x)...)
		d.Y1 = d.Y0 + float64(n)*24
		d.H = d.Y1 + gutterBottom
		ch.Drawings = append(ch.Drawings, d)
	}
	return ch
}

// holes cover what the faults take out of the phase outside them.
func holes(rec *Record, blocks []block, x scale) []block {
	var out []block
	for _, b := range blocks {
		if !outsideFaults(b) {
			continue
		}
		for _, p := range rec.Phases {
			if !strings.HasPrefix(p.Name, "during ") || p.End <= p.Start {
				continue
			}
			from, to := max(x.at(p.Start), b.X), min(x.at(p.End), b.X+b.W)
			if to > from {
				out = append(out, block{X: from, W: to - from, Y: b.Y, H: b.H, Class: "hole"})
			}
		}
	}
	return out
}

func outsideFaults(b block) bool { return strings.HasPrefix(b.Title, verdict.PhaseOutside+":") }

// phaseClass is one of a closed set of CSS classes.
func phaseClass(name string) string {
	switch {
	case strings.HasPrefix(name, "during"):
		return "during"
	case name == "peak":
		return "peak"
	default:
		return "calm"
	}
}

// rateChart shows the rate that was planned, sent and answered well.
func rateChart(rec *Record) chart {
	ch := chart{
		ID: "rate", Title: "Rate: offered, sent, achieved (requests per second)",
		Note:   "Counted by the second in which a request was due.",
		Legend: []legend{{"l-planned", "offered (planned)"}, {"l-sent", "sent"}, {"l-ok", "achieved (answered well)"}},
	}
	points := rec.Series.Points
	if len(points) == 0 {
		ch.Empty = "No load was recorded."
		return ch
	}
	planned := column(points, func(p Point) float64 { return p.Planned })
	sent := column(points, func(p Point) float64 { return p.Sent })
	ok := column(points, func(p Point) float64 { return p.OK })
	for _, c := range canvases() {
		d, x := frame(rec, c, ch.ID, ch.Title)
		y, ticks := rateScale(1.05*highest(planned, sent, ok), d.Y1, d.Y0, 5)
		d.YTicks = ticks
		at := middle(rec.Series, x)
		d.Paths = []path{
			{"l-sent", line(sent, at, y)},
			{"l-ok", line(ok, at, y)},
			{"l-planned", line(planned, at, y)},
		}
		ch.Drawings = append(ch.Drawings, d)
	}
	return ch
}

// errorKinds are the ways in which a request goes wrong, in the order of stacking.
func errorKinds() []struct {
	class, label string
	rate         func(Point) float64
} {
	return []struct {
		class, label string
		rate         func(Point) float64
	}{
		{"e-http", "HTTP error", func(p Point) float64 { return p.HTTPError }},
		{"e-rejected", "rejected (429, 503)", func(p Point) float64 { return p.Rejected }},
		{"e-timeout", "timeout", func(p Point) float64 { return p.Timeout }},
		{"e-transport", "transport (refused, reset)", func(p Point) float64 { return p.Transport }},
		{"e-unsent", "never sent", func(p Point) float64 { return p.Unsent }},
	}
}

// errorChart stacks everything that went wrong, by kind.
func errorChart(rec *Record) chart {
	ch := chart{ID: "errors", Title: "Errors by kind (requests per second, stacked)"}
	points := rec.Series.Points
	total := column(points, Point.Errors)
	top := highest(total)
	switch {
	case len(points) == 0:
		ch.Empty = "No load was recorded."
		return ch
	case top == 0:
		ch.Empty = fmt.Sprintf("No request failed and none stayed unsent, of %s planned.", count(rec.Load.Planned))
		return ch
	}
	for _, k := range errorKinds() {
		if highest(column(points, k.rate)) > 0 {
			ch.Legend = append(ch.Legend, legend{k.class, k.label})
		}
	}
	for _, c := range canvases() {
		d, x := frame(rec, c, ch.ID, ch.Title)
		y, ticks := rateScale(top, d.Y1, d.Y0, 4)
		d.YTicks = ticks
		floor := make([]float64, len(points))
		for _, k := range errorKinds() {
			if p := bars(rec.Series, x, y, floor, k.rate); p != "" {
				d.Paths = append(d.Paths, path{k.class, p})
			}
		}
		ch.Drawings = append(ch.Drawings, d)
	}
	return ch
}

// bars draws one kind on top of floor and raises floor by it.
func bars(s Series, x, y scale, floor []float64, rate func(Point) float64) string {
	var b strings.Builder
	for i, p := range s.Points {
		v := rate(p)
		if v == 0 {
			continue
		}
		left := x.at(p.At)
		width := max((x.at(p.At+float64(s.Step))-left)*0.92, 0.8)
		bottom, top := y.at(floor[i]), y.at(floor[i]+v)
		fmt.Fprintf(&b, "M%s %sH%sV%sH%sZ", coordinate(left), coordinate(bottom),
			coordinate(left+width), coordinate(min(top, bottom-0.8)), coordinate(left))
		floor[i] += v
	}
	return b.String()
}

// PlotHeight is the height of the plot area, for the template.
func (d drawing) PlotHeight() float64 { return d.Y1 - d.Y0 }

// LabelX is where the labels of the vertical axis end, for the template.
func (d drawing) LabelX() float64 { return d.X0 - 6 }
