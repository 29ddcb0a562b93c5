package reports

import (
	"math"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"strconv"
	"time"
)

// maxPoints bounds the points of a chart: more than about one per pixel of a wide screen cannot be
// seen, and an hour of seconds would make the page megabytes large.
const maxPoints = 900

// Series is the run over time, as the charts and series.csv need it.
type Series struct {
	End     float64  // seconds; the right end of the time axis
	Step    int      // seconds that one point covers, at least 1
	Points  []Point  // gapless from second zero to the last due request
	Classes []string // in the order of Point.ClassP99
	Rows    []Row    // every second and class, not thinned
	Probes  []ProbeSeries
	Every   float64 // seconds between two probes of one series

	classSeconds []loadgen.Second
}

// Point is all classes together over Step seconds: rates in requests per second, latencies in ms,
// NaN where nothing was answered.
type Point struct {
	At                                              float64
	Planned, Sent, OK                               float64
	HTTPError, Rejected, Timeout, Transport, Unsent float64
	P50, P90, P99                                   float64
	ClassP99                                        []float64
}

// Errors is the rate of everything that went wrong.
func (p Point) Errors() float64 {
	return p.HTTPError + p.Rejected + p.Timeout + p.Transport + p.Unsent
}

// Row is one line of series.csv: one class in one second of due times.
type Row struct {
	At    int
	Class string
	loadgen.Counts
	Units              uint64
	P50, P90, P99, Max *float64 // ms; nil where nothing was answered
}

// ProbeSeries is one series of the prober.
type ProbeSeries struct {
	Name   string
	Probes []loadgen.Probe // by due time
}

// axisEnd is where the common time axis ends: the load, its last answer and every fault fit.
func axisEnd(recording *loadgen.Recording, injections []chaos.Injection) time.Duration {
	end := recording.Duration
	for _, s := range recording.Seconds {
		end = max(end, time.Duration(s.At+1)*time.Second)
	}
	for _, i := range injections {
		end = max(end, i.Requested, i.Effective, i.Ended)
	}
	return max(end, time.Second)
}

func newSeries(recording *loadgen.Recording, planned []verdict.PlannedSecond, end time.Duration) Series {
	due := dueSeconds(recording.Seconds, planned)
	s := Series{
		End: end.Seconds(), Step: max((due+maxPoints-1)/maxPoints, 1),
		Every: recording.ProbeEvery.Seconds(),
	}
	for _, c := range recording.Classes {
		s.Classes = append(s.Classes, c.Name)
	}
	for _, second := range recording.Seconds {
		if !slices.Contains(s.Classes, second.Class) {
			s.Classes = append(s.Classes, second.Class)
		}
		s.Rows = append(s.Rows, newRow(second))
	}
	s.classSeconds = recording.Seconds
	if due > 0 {
		s.Points = newPoints(recording.Seconds, planned, s.Classes, due, s.Step)
	}
	s.Probes = newProbeSeries(recording.Probes)
	return s
}

// dueSeconds is how many seconds have due requests or a planned rate: after them come only answers,
// and a line that falls to zero there would look like an outage.
func dueSeconds(seconds []loadgen.Second, planned []verdict.PlannedSecond) int {
	n := 0
	for _, s := range seconds {
		n = max(n, s.At+1)
	}
	if n > 0 {
		return n
	}
	for _, p := range planned {
		n = max(n, p.At+1)
	}
	return n
}

func newRow(s loadgen.Second) Row {
	a := answers{s.OK, s.Response}
	return Row{
		s.At, s.Class, s.Counts, s.Units,
		rounded(a.quantile(.5)), rounded(a.quantile(.9)), rounded(a.quantile(.99)), rounded(a.max()),
	}
}

// bin is what falls into one point.
type bin struct {
	counts  loadgen.Counts
	planned float64
	all     answers
	classes []answers
}

func newPoints(seconds []loadgen.Second, planned []verdict.PlannedSecond, classes []string,
	count, step int,
) []Point {
	bins := make([]bin, (count+step-1)/step)
	for i := range bins {
		bins[i].classes = make([]answers, len(classes))
	}
	for _, s := range seconds {
		if s.At < 0 || s.At/step >= len(bins) {
			continue
		}
		b := &bins[s.At/step]
		b.counts = sum(b.counts, s.Counts)
		b.all.add(s)
		b.classes[slices.Index(classes, s.Class)].add(s)
	}
	for _, p := range planned {
		if p.At >= 0 && p.At/step < len(bins) {
			bins[p.At/step].planned += p.Rate
		}
	}
	points := make([]Point, len(bins))
	for i := range bins {
		if len(planned) == 0 {
			bins[i].planned = float64(bins[i].counts.Planned)
		}
		width := min(step, count-i*step) // the last point may cover less
		points[i] = newPoint(bins[i], float64(i*step), float64(width))
	}
	return points
}

func newPoint(b bin, at, width float64) Point {
	rate := func(n uint64) float64 { return float64(n) / width }
	c := b.counts
	p := Point{
		At: at, Planned: b.planned / width, Sent: rate(c.Sent), OK: rate(c.OK),
		HTTPError: rate(c.HTTPError), Rejected: rate(c.Rejected), Timeout: rate(c.Timeout),
		Transport: rate(c.Transport), Unsent: rate(c.Unsent),
		P50: orNaN(b.all.quantile(.5)), P90: orNaN(b.all.quantile(.9)), P99: orNaN(b.all.quantile(.99)),
	}
	for _, a := range b.classes {
		p.ClassP99 = append(p.ClassP99, orNaN(a.quantile(.99)))
	}
	return p
}

// orNaN makes what is not there a gap in a line.
func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return round3(*v)
}

// answers are the response times of some requests, and how many of them were answered. Timeouts have
// a response time too, but where there is nothing else it is nobody's latency.
type answers struct {
	ok       uint64
	response loadgen.Histogram
}

func (a *answers) add(s loadgen.Second) {
	a.ok += s.OK
	a.response.Merge(s.Response)
}

// quantile is in ms; nil where nothing was answered.
func (a answers) quantile(q float64) *float64 { return a.figure(a.response.Quantile(q)) }

// max is in ms; nil where nothing was answered.
func (a answers) max() *float64 { return a.figure(a.response.Max()) }

func (a answers) figure(d time.Duration) *float64 {
	if a.ok == 0 || a.response.Count() == 0 {
		return nil
	}
	return new(millis(d))
}

func newProbeSeries(probes []loadgen.Probe) []ProbeSeries {
	var out []ProbeSeries
	for _, p := range probes {
		i := slices.IndexFunc(out, func(s ProbeSeries) bool { return s.Name == p.Series })
		if i < 0 {
			i = len(out)
			out = append(out, ProbeSeries{Name: p.Series})
		}
		out[i].Probes = append(out[i].Probes, p)
	}
	// Writes first: they are what an outage is judged by.
	slices.SortFunc(out, func(a, b ProbeSeries) int {
		return -slices.Compare([]string{a.Name}, []string{b.Name})
	})
	for _, s := range out {
		slices.SortStableFunc(s.Probes, func(a, b loadgen.Probe) int { return int(a.Due - b.Due) })
	}
	return out
}

// windowP99 is the p99 in ms of all classes over the seconds from start to end; nil without answers.
func (s Series) windowP99(start, end float64) *float64 {
	var all answers
	for _, second := range s.classSeconds {
		if float64(second.At) >= start && float64(second.At) < end {
			all.add(second)
		}
	}
	return all.quantile(.99)
}

// peakUnits is the highest mean of acknowledged units per second over window seconds in a row, and
// the window really used: the whole recording where that is shorter.
func (s Series) peakUnits(window int) (perSecond float64, used int) {
	last := -1
	for _, r := range s.Rows {
		last = max(last, r.At)
	}
	if last < 0 {
		return 0, 0
	}
	units := make([]uint64, last+1)
	for _, r := range s.Rows {
		if r.At >= 0 {
			units[r.At] += r.Units
		}
	}
	used = min(window, len(units))
	var running, best uint64
	for i, u := range units {
		running += u
		if i >= used {
			running -= units[i-used]
		}
		best = max(best, running)
	}
	return float64(best) / float64(used), used
}

// csv is series.csv: a header and a line for every second and class; a latency without an answer
// is empty.
func (s Series) csv() [][]string {
	lines := [][]string{{
		"second", "class", "planned", "sent", "unsent", "ok", "failed", "http_error",
		"rejected", "timeout", "transport", "units", "p50_ms", "p90_ms", "p99_ms", "max_ms",
	}}
	whole := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, r := range s.Rows {
		line := []string{strconv.Itoa(r.At), csvCell(r.Class)}
		for _, n := range []uint64{
			r.Planned, r.Sent, r.Unsent, r.OK, r.Failed(), r.HTTPError,
			r.Rejected, r.Timeout, r.Transport, r.Units,
		} {
			line = append(line, whole(n))
		}
		for _, ms := range []*float64{r.P50, r.P90, r.P99, r.Max} {
			cell := ""
			if ms != nil {
				cell = decimal(*ms)
			}
			line = append(line, cell)
		}
		lines = append(lines, line)
	}
	return lines
}
