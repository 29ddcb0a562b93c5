package reports

import (
	"fmt"
	"math"
	"slices"
	"squall/loadgen"
	"strconv"
	"strings"
)

// latencyChart shows percentiles of all classes together, with the objectives' bounds.
func latencyChart(rec *Record) chart {
	ch := chart{
		ID: "latency", Title: "Response time from the due time (logarithmic)",
		Note:   "All classes together; successes and timeouts. A gap means that nothing was answered.",
		Legend: []legend{{"l-p99", "p99"}, {"l-p90", "p90"}, {"l-p50", "p50"}},
	}
	points := rec.Series.Points
	p50 := column(points, func(p Point) float64 { return p.P50 })
	p90 := column(points, func(p Point) float64 { return p.P90 })
	p99 := column(points, func(p Point) float64 { return p.P99 })
	if highest(p99) == 0 {
		ch.Empty = "No answer was recorded, so there is no response time to show."
		return ch
	}
	bounds := latencyBounds(rec, "")
	if len(bounds) > 0 {
		ch.Legend = append(ch.Legend, legend{"l-bound", "bound of an objective"})
	}
	for _, c := range canvases() {
		d, x := frame(rec, c, ch.ID, ch.Title)
		at := middle(rec.Series, x)
		y := d.latencyAxis(bounds, p50, p99)
		d.Paths = []path{{"l-p50", line(p50, at, y)}, {"l-p90", line(p90, at, y)}, {"l-p99", line(p99, at, y)}}
		d.addBounds(bounds, x, y)
		ch.Drawings = append(ch.Drawings, d)
	}
	return ch
}

// classCharts are the p99 of each class, small and side by side.
func classCharts(rec *Record) []chart {
	var out []chart
	for n, class := range rec.Series.Classes {
		ch := chart{ID: "class-" + strconv.Itoa(n), Title: Visible(class)}
		p99 := column(rec.Series.Points, func(p Point) float64 { return p.ClassP99[n] })
		if highest(p99) == 0 {
			ch.Empty = "No answer of this class was recorded."
			out = append(out, ch)
			continue
		}
		bounds := latencyBounds(rec, class)
		d, x := frame(rec, canvas{"small", 360, 120, 4}, ch.ID, "p99 of "+ch.Title)
		y := d.latencyAxis(bounds, p99)
		d.Paths = []path{{"l-p99", line(p99, middle(rec.Series, x), y)}}
		d.addBounds(bounds, x, y)
		ch.Drawings = []drawing{d}
		out = append(out, ch)
	}
	return out
}

// latencyAxis sets the vertical axis so that every value and every bound is on it.
func (d *drawing) latencyAxis(bounds []latencyBound, columns ...[]float64) scale {
	low, high := lowest(columns...), highest(columns...)
	for _, b := range bounds {
		low, high = min(low, b.ms), max(high, b.ms)
	}
	y, ticks := latencyScale(low, high, d.Y1, d.Y0)
	d.YTicks = ticks
	return y
}

// latencyBound is the bound of one objective, or of several that ask the same in other phases.
type latencyBound struct {
	text   string // "p99 ≤ 300 ms"
	of     string // the class, where the chart shows several
	ms     float64
	phases []span // seconds
}

// latencyBounds are the bounds on percentiles of class, or of every class where it is empty. Equal
// bounds on the same figure have one label.
func latencyBounds(rec *Record, class string) []latencyBound {
	var out []latencyBound
	for _, o := range rec.Objectives {
		isLatency := (o.Unit == "ms" || o.Unit == "s") && (strings.HasPrefix(o.Metric, "p") || o.Metric == "max")
		if !isLatency || class != "" && o.Of != class && o.Of != "" {
			continue
		}
		b := latencyBound{ms: o.Bound}
		if o.Unit == "s" {
			b.ms *= 1000
		}
		phase := span{0, rec.Series.End}
		for _, p := range rec.Phases {
			if p.Name == o.Phase {
				phase = span{p.Start, min(p.End, rec.Series.End)}
			}
		}
		b.phases = []span{phase}
		b.text = o.Metric + " " + sign(o.Op) + " " + timeMs(b.ms)
		if class == "" {
			b.of = Visible(o.Of)
		}
		same := slices.IndexFunc(out, func(other latencyBound) bool {
			return other.text == b.text && other.of == b.of
		})
		if same >= 0 {
			out[same].phases = append(out[same].phases, phase)
			continue
		}
		out = append(out, b)
	}
	return out
}

// addBounds draws the bounds, each with a label near its line that meets no other label: just above
// it where there is room, else the nearest free place above or below.
func (d *drawing) addBounds(bounds []latencyBound, x, y scale) {
	var placed []label
	for _, b := range bounds {
		text := b.text
		if b.of != "" && d.X1-d.X0 > 400 { // on a phone the class would hide the curve
			text = strings.Replace(text, " ", "("+b.of+") ", 1)
		}
		l := boundLine{X0: x.at(b.phases[0].from), X1: x.at(b.phases[0].to), Y: y.at(b.ms), Label: text}
		width := boldWidth(text)
		l.LabelX = max(min(l.X0+4, d.X1-width-2), d.X0+4)
		for _, offset := range []float64{-5, -20, 15, -35, 30, -50, 45, -65, 60} {
			l.LabelY = min(max(l.Y+offset, d.Y0+12), d.Y1-3)
			if !collides(l, width, placed) {
				break
			}
		}
		placed = append(placed, label{l.LabelX, l.LabelY, text})
		d.Bounds = append(d.Bounds, l)
		for _, more := range b.phases[1:] {
			d.Bounds = append(d.Bounds, boundLine{X0: x.at(more.from), X1: x.at(more.to), Y: l.Y})
		}
	}
}

func collides(l boundLine, width float64, placed []label) bool {
	for _, p := range placed {
		if math.Abs(p.Y-l.LabelY) < 15 && l.LabelX < p.X+boldWidth(p.Text)+4 && p.X < l.LabelX+width+4 {
			return true
		}
	}
	return false
}

// probeChart is a strip for each series of probes: low and calm where they succeed, high where they
// fail, so that it reads without colour too.
func probeChart(rec *Record) chart {
	ch := chart{ID: "probes", Title: "Probes", Legend: []legend{{"p-ok", "answered (low)"}, {"p-bad", "failed (tall)"}}}
	if len(rec.Series.Probes) == 0 {
		ch.Empty = "No probe was recorded, so no outage or failover time can be shown."
		return ch
	}
	ch.Note = fmt.Sprintf("One probe of each series every %s, apart from the load: "+
		"the outage and failover times come from here.", timeS(rec.Series.Every))
	for _, c := range canvases() {
		c.height = float64(len(rec.Series.Probes)) * 38
		d, x := frame(rec, c, ch.ID, ch.Title)
		for n, s := range rec.Series.Probes {
			top := d.Y0 + float64(n)*38
			failed := 0
			for _, p := range s.Probes {
				if !p.OK {
					failed++
				}
			}
			d.Texts = append(d.Texts, label{
				d.X0 + 2, top + 14,
				fmt.Sprintf("%s: %s of %s failed", Visible(s.Name), count(failed), count(len(s.Probes))),
			})
			ok, bad := strip(s.Probes, rec.Series.Every, x, top+36)
			d.Paths = append(d.Paths, path{"p-ok", ok}, path{"p-bad", bad})
		}
		ch.Drawings = append(ch.Drawings, d)
	}
	return ch
}

// strip draws a series of probes as two paths of bars that stand on bottom. A pixel in which any
// probe failed shows the failure.
func strip(probes []loadgen.Probe, every float64, x scale, bottom float64) (ok, bad string) {
	first := int(x.from)
	columns := make([]byte, int(x.to)-first+1)
	for _, p := range probes {
		due := p.Due.Seconds()
		if due < x.min || due > x.max {
			continue
		}
		state := byte('o')
		if !p.OK {
			state = 'x'
		}
		from, to := int(x.at(due))-first, int(math.Ceil(x.at(due+every)))-first
		for i := from; i < max(to, from+1) && i < len(columns); i++ {
			if columns[i] != 'x' {
				columns[i] = state
			}
		}
	}
	var good, failed strings.Builder
	for i := 0; i < len(columns); {
		j := i
		for j < len(columns) && columns[j] == columns[i] {
			j++
		}
		switch columns[i] {
		case 'o':
			fmt.Fprintf(&good, "M%d %sh%dv-5h-%dZ", first+i, coordinate(bottom), j-i, j-i)
		case 'x':
			fmt.Fprintf(&failed, "M%d %sh%dv-15h-%dZ", first+i, coordinate(bottom), j-i, j-i)
		}
		i = j
	}
	return good.String(), failed.String()
}
