package verdict

import (
	"math"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"time"
)

// peakShare is the share of the highest planned rate from which a second belongs to the peak.
const peakShare = 0.8

// Phases cuts the run into before, peak, "during <fault>" for every fault, after, outside faults and
// throughout, and sums up what each request class saw in each. The warm-up belongs to none. A second that a
// fault only touches belongs to the fault, not to before, after, peak or outside faults. Peak is
// left out without a plan; after and outside faults without a fault.
//
//	|warm-up|      before      |  gap  | during a, a.Settle |  gap  | during b, b.Settle |  after  |
//	        start              first disturbance                             last Ended+Settle   end of the schedule
func Phases(in Input) []Phase {
	windows := cut(in)
	phases := make([]Phase, 0, len(windows))
	for _, w := range windows {
		phases = append(phases, w.export())
	}
	return phases
}

// window is a phase with its undigested counts.
type window struct {
	name       string
	start, end int // judged seconds: start <= s < end; equal when there are none
	seconds    int
	judged     []bool // judged[s-start]: the second belongs to it
	tallies    map[string]*tally
}

// tally is what one class saw in one window.
type tally struct {
	counts   loadgen.Counts
	units    uint64
	response loadgen.Histogram
}

// span is a stretch of the run; it holds start, not end.
type span struct{ start, end time.Duration }

// touches says whether the span covers any part of the second.
func (s span) touches(second int) bool {
	at := time.Duration(second) * time.Second
	return s.start < at+time.Second && at < s.end
}

// cut makes the windows in the order in which reports show them.
func cut(in Input) []window {
	if in.Recording == nil {
		return nil
	}
	last := scheduleEnd(in)
	warm := int(math.Ceil(in.Recording.WarmUp.Seconds()))
	disturbed := make([]span, 0, len(in.Injections))
	first, over := time.Duration(math.MaxInt64), time.Duration(0)
	for _, i := range in.Injections {
		d := disturbance(i)
		disturbed = append(disturbed, d)
		first, over = min(first, d.start), max(over, d.end)
	}
	highest := 0.0
	planned := make(map[int]float64, len(in.Planned))
	for _, p := range in.Planned {
		planned[p.At] += p.Rate
	}
	for _, rate := range planned {
		highest = max(highest, rate)
	}

	second := func(s int) time.Duration { return time.Duration(s) * time.Second }
	undisturbed := func(s int) bool {
		return !slices.ContainsFunc(disturbed, func(d span) bool { return d.touches(s) })
	}
	windows := []window{in.window(PhaseBefore, warm, last, func(s int) bool { return second(s+1) <= first })}
	if highest > 0 {
		windows = append(windows, in.window(PhasePeak, warm, last, func(s int) bool {
			return planned[s] >= peakShare*highest && undisturbed(s)
		}))
	}
	for _, fault := range faultNames(in.Injections) {
		windows = append(windows, in.window(duringPrefix+fault, warm, last, func(s int) bool {
			return slices.ContainsFunc(in.Injections, func(i chaos.Injection) bool {
				return i.Fault == fault && faultSpan(i).touches(s)
			})
		}))
	}
	if len(in.Injections) > 0 {
		windows = append(windows, in.window(PhaseAfter, warm, last, func(s int) bool { return second(s) >= over }),
			in.window(PhaseOutside, warm, last, undisturbed))
	}
	return append(windows, in.window(PhaseThroughout, warm, last, func(int) bool { return true }))
}

// faultSpan is the fault's own phase: effective until ended and settled. It is empty for a fault
// that never took effect and has no end for one that never ended.
func faultSpan(i chaos.Injection) span {
	switch {
	case !tookEffect(i):
		return span{}
	case i.Ended < i.Effective:
		return span{i.Effective, math.MaxInt64}
	}
	return span{i.Effective, i.Ended + i.Settle}
}

// disturbance is all the time that a fault may have coloured: it begins when the injection began,
// before all targets were hit.
func disturbance(i chaos.Injection) span {
	d := span{i.Requested, max(i.Requested, i.Ended) + i.Settle}
	if tookEffect(i) {
		d = span{min(i.Requested, i.Effective), faultSpan(i).end}
	}
	return d
}

// tookEffect is false for an injection that never hit all its targets.
func tookEffect(i chaos.Injection) bool { return i.Effective > 0 || i.Felt }

// faultNames are the names of the injected faults, each once, in the order of injection.
func faultNames(injections []chaos.Injection) []string {
	var names []string
	for _, i := range injections {
		if !slices.Contains(names, i.Fault) {
			names = append(names, i.Fault)
		}
	}
	return names
}

// scheduleEnd is the first second behind the schedule. An interrupted run ends at its last full
// second: what was planned behind it was never due.
func scheduleEnd(in Input) int {
	end := 0
	for _, p := range in.Planned {
		end = max(end, p.At+1)
	}
	for _, s := range in.Recording.Seconds {
		end = max(end, s.At+1)
	}
	if in.Recording.Aborted {
		end = min(end, int(in.Recording.AbortedAt/time.Second))
	}
	return end
}

// window sums up the seconds from first to last that belong to it.
func (in Input) window(name string, first, last int, belongs func(second int) bool) window {
	w := window{name: name, tallies: map[string]*tally{}}
	for s := first; s < last; s++ {
		if !belongs(s) {
			continue
		}
		if w.seconds == 0 {
			w.start = s
		}
		w.end = s + 1
		w.seconds++
		w.judged = append(w.judged, make([]bool, w.end-w.start-len(w.judged))...)
		w.judged[s-w.start] = true
	}
	for _, c := range in.Recording.Classes {
		if c.Name != probeClass {
			w.tallies[c.Name] = &tally{}
		}
	}
	for _, s := range in.Recording.Seconds {
		if s.Class == probeClass || s.At < first || s.At >= last || !belongs(s.At) {
			continue
		}
		t := w.tallies[s.Class]
		if t == nil {
			t = &tally{}
			w.tallies[s.Class] = t
		}
		t.add(s.Counts, s.Units, s.Response)
	}
	return w
}

func (t *tally) add(c loadgen.Counts, units uint64, response loadgen.Histogram) {
	t.counts.Planned += c.Planned
	t.counts.Sent += c.Sent
	t.counts.Unsent += c.Unsent
	t.counts.OK += c.OK
	t.counts.HTTPError += c.HTTPError
	t.counts.Rejected += c.Rejected
	t.counts.Timeout += c.Timeout
	t.counts.Transport += c.Transport
	t.units += units
	t.response.Merge(response)
}

// of is one class of the window, or all of them together for "".
func (w window) of(class string) tally {
	if class != "" {
		if t := w.tallies[class]; t != nil {
			return *t
		}
		return tally{}
	}
	var all tally
	for _, t := range w.tallies {
		all.add(t.counts, t.units, t.response)
	}
	return all
}

// planned is the number of requests that the class owed. It is never below what is accounted for,
// so that a request counted twice by mistake cannot improve a ratio.
func (t tally) planned() uint64 {
	return max(t.counts.Planned, t.counts.OK+t.counts.Failed()+t.counts.Unsent)
}

// good is the number of requests that succeeded within limit, counted from the due time. Response
// holds timeouts too, so the smaller of the two counts is taken; it is exact while limit is below
// the request timeout.
func (t tally) good(limit time.Duration) uint64 {
	within := t.response.Count() - t.response.Above(limit)
	return min(t.counts.OK, within)
}

// answered is the number of requests that have a latency. Response holds timeouts too, as the longest.
func (t tally) answered() uint64 { return min(t.counts.OK, t.response.Count()) }

// has says whether the second was judged in the window.
func (w window) has(second int) bool {
	return second >= w.start && second < w.end && w.judged[second-w.start]
}

func (w window) export() Phase {
	p := Phase{
		Name: w.name, Start: float64(w.start), End: float64(w.end), Seconds: w.seconds,
		Classes: make(map[string]ClassPhase, len(w.tallies)),
	}
	for name, t := range w.tallies {
		p.Classes[name] = t.export(w.seconds)
	}
	return p
}

func (t tally) export(seconds int) ClassPhase {
	c := ClassPhase{
		Planned: t.planned(), OK: t.counts.OK, Failed: t.counts.Failed(), Unsent: t.counts.Unsent, Units: t.units,
	}
	if t.answered() > 0 {
		quantile := func(q float64) *float64 { return new(inMs(t.response.Quantile(q))) }
		c.P50, c.P90, c.P95, c.P99, c.P999 = quantile(.5), quantile(.9), quantile(.95), quantile(.99), quantile(.999)
		c.Max, c.Mean = new(inMs(t.response.Max())), new(inMs(t.response.Mean()))
	}
	if seconds > 0 {
		c.Rate = float64(t.units) / float64(seconds)
	}
	if c.Planned > 0 {
		c.ErrorRatio = float64(c.Planned-c.OK) / float64(c.Planned)
	}
	return c
}

func inMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
