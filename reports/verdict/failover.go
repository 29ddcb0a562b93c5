package verdict

import (
	"cmp"
	"math"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"time"
)

const (
	// lastingWindow is how long probes must be good before the system counts as recovered (W in
	// the notes). CockroachDB's and our own measurements show shorter flickers during failover.
	lastingWindow = 3 * time.Second
	// lastingShare is the share of probes that must succeed in that window.
	lastingShare = 0.99
	// evidenceShare is the share of the scheduled probes that a window needs to count at all.
	evidenceShare = 0.5
)

// Failovers measures, injection by injection, how the system got through it as its clients saw it.
// Everything counts from Effective (T0) and comes from the prober, except the outage, which counts
// the acknowledged writes of the load too. Sources of the definitions: reference/chaos.md, 3.3.
func Failovers(in Input) []Failover {
	if in.Recording == nil {
		return nil
	}
	probes := newProbeLog(in.Recording)
	failovers := make([]Failover, 0, len(in.Injections))
	for _, i := range in.Injections {
		failovers = append(failovers, probes.failover(i))
	}
	return failovers
}

// probeLog is the recording in the order that failover times are read from it.
type probeLog struct {
	writes, reads []loadgen.Probe // by due time
	acknowledged  []time.Duration // when writes were acknowledged, sorted
	every         time.Duration
	asked         span // from the first write that was due to the end of the last one
}

func newProbeLog(r *loadgen.Recording) probeLog {
	p := probeLog{every: r.ProbeEvery, asked: span{start: math.MaxInt64}}
	ask := func(due, done time.Duration) {
		p.asked = span{min(p.asked.start, due), max(p.asked.end, done)}
	}
	for _, probe := range r.Probes {
		if strings.HasPrefix(probe.Series, "read") {
			p.reads = append(p.reads, probe)
			continue
		}
		p.writes = append(p.writes, probe)
		ask(probe.Due, probe.Done)
		if probe.OK {
			p.acknowledged = append(p.acknowledged, probe.Done)
		}
	}
	for _, w := range r.Writes {
		ask(w.Due, w.Done)
		// Lines of an import are acknowledged by the queue, without a receipt: they say nothing
		// about whether the database takes writes.
		if w.State == loadgen.WriteAcknowledged && w.ID != "" {
			p.acknowledged = append(p.acknowledged, w.Done)
		}
	}
	byDue := func(a, b loadgen.Probe) int { return cmp.Compare(a.Due, b.Due) }
	slices.SortStableFunc(p.writes, byDue)
	slices.SortStableFunc(p.reads, byDue)
	slices.Sort(p.acknowledged)
	return p
}

func (p probeLog) failover(i chaos.Injection) Failover {
	f := Failover{Injection: i.Fault, Precision: p.every.Seconds(), Write: NotInjected, Read: NotInjected}
	if !tookEffect(i) {
		return f
	}
	f.Detection = p.detection(i)
	write, read := p.passage("write", i), p.passage("read", i)
	f.Write, f.RTOWrite, f.Read, f.RTORead = write.state(), write.rto, read.state(), read.rto
	f.Outage = p.outage(i)
	if i.Undone && i.Ended >= i.Effective {
		f.Resolution = seconds(i.Ended + i.Resolution - i.Effective)
	}
	return f
}

// detection is T0 until the first failed probe that was due in the fault's phase had failed.
func (p probeLog) detection(i chaos.Injection) *float64 {
	var first *float64
	phase := faultSpan(i)
	for _, series := range [][]loadgen.Probe{p.writes, p.reads} {
		for _, probe := range series {
			if probe.OK || probe.Due < phase.start || probe.Due >= phase.end {
				continue
			}
			if at := seconds(probe.Done - i.Effective); first == nil || *at < *first {
				first = at
			}
		}
	}
	return first
}

// passage is how one kind of probe got through an injection.
type passage struct {
	rto         *float64 // until the answer with which it was back for good; nil: not within the recording
	probes      uint64   // due from T0 on
	interrupted bool
	relapses    int           // interruptions in the fault's phase after the first recovery
	covered     time.Duration // until when both series were recorded; 0 without probes
}

func (g passage) state() Passage {
	switch {
	case g.probes == 0:
		return NotProbed
	case g.rto != nil && g.interrupted:
		return Recovered
	case g.rto != nil:
		return Uninterrupted
	case g.relapses > 0:
		return Relapsed
	case g.interrupted:
		return Down
	}
	return NotCovered
}

// passage finds the last interruption in the fault's phase and the lasting recovery behind it: a relapse takes an earlier
// recovery back. A kind of probe is interrupted where a probe failed and the window that begins with it was not good.
func (p probeLog) passage(kind string, i chaos.Injection) passage {
	line := p.newLine(kind, i.Effective)
	g := passage{probes: uint64(len(line.probes)), covered: line.covered}
	if g.probes == 0 {
		return g
	}
	phase := faultSpan(i)
	for next := 0; ; {
		bad := line.interruption(next, phase.end)
		if bad < 0 {
			break
		}
		if g.interrupted {
			g.relapses++
		}
		g.interrupted, g.rto = true, nil
		back := line.recovery(bad)
		if back < 0 {
			break
		}
		g.rto = seconds(line.firstAnswer(back) - i.Effective)
		next = back + 1
	}
	whole := i.Ended >= i.Effective && line.covered >= max(i.Effective+lastingWindow, i.Ended)
	if !g.interrupted && whole && line.dense(i.Effective, max(i.Effective+lastingWindow, i.Ended)) {
		g.rto = new(float64)
	}
	return g
}

// firstAnswer is the first answer of a recovery: probes that were sent before it may all have waited for it.
func (l line) firstAnswer(back int) time.Duration {
	first := l.probes[back].Done
	for _, probe := range l.probes[back:] {
		if probe.Due >= first {
			break
		}
		if probe.OK {
			first = min(first, probe.Done)
		}
	}
	return first
}

// line is the probes of one kind from T0 on, with running counts.
type line struct {
	probes  []loadgen.Probe
	failed  []int            // failed[n]: failures among the first n probes
	series  map[string][]int // series[name][n]: probes of that series among the first n
	covered time.Duration    // the earliest end of a series
	every   time.Duration
}

func (p probeLog) newLine(kind string, from time.Duration) line {
	all := p.writes
	if kind == "read" {
		all = p.reads
	}
	l := line{every: p.every, failed: []int{0}, series: map[string][]int{}}
	ends := map[string]time.Duration{}
	for _, probe := range all {
		ends[probe.Series] = max(ends[probe.Series], probe.Due+p.every)
		if probe.Due >= from {
			l.probes = append(l.probes, probe)
		}
	}
	for name, end := range ends {
		l.series[name] = []int{0}
		if l.covered == 0 || end < l.covered {
			l.covered = end
		}
	}
	for n, probe := range l.probes {
		l.failed = append(l.failed, l.failed[n])
		if !probe.OK {
			l.failed[n+1]++
		}
		for name, counts := range l.series {
			c := counts[n]
			if name == probe.Series {
				c++
			}
			l.series[name] = append(counts, c)
		}
	}
	return l
}

// at is the index of the first probe due at or after the offset.
func (l line) at(offset time.Duration) int {
	n, _ := slices.BinarySearchFunc(l.probes, offset,
		func(p loadgen.Probe, at time.Duration) int { return cmp.Compare(p.Due, at) })
	return n
}

// interruption is the first probe from index n on, due before end, that failed and begins a window
// that is not good; -1 for none.
func (l line) interruption(n int, end time.Duration) int {
	for ; n < len(l.probes) && l.probes[n].Due < end; n++ {
		if !l.probes[n].OK && !l.goodShare(n) {
			return n
		}
	}
	return -1
}

// recovery is the first probe from index n on that succeeded and begins a good window which was
// recorded to its end; -1 for none.
func (l line) recovery(n int) int {
	for ; n < len(l.probes); n++ {
		start := l.probes[n].Due
		if start+lastingWindow > l.covered {
			return -1
		}
		if l.probes[n].OK && l.goodShare(n) && l.dense(start, start+lastingWindow) {
			return n
		}
	}
	return -1
}

func (l line) goodShare(n int) bool {
	end := l.at(l.probes[n].Due + lastingWindow)
	failed := l.failed[end] - l.failed[n]
	return float64(end-n-failed) >= lastingShare*float64(end-n)
}

// dense says whether every series has enough of its scheduled probes between the two offsets.
func (l line) dense(from, to time.Duration) bool {
	first, last := l.at(from), l.at(to)
	expected := 1.0
	if l.every > 0 {
		expected = max(1, evidenceShare*float64((to-from)/l.every))
	}
	for _, counts := range l.series {
		if float64(counts[last]-counts[first]) < expected {
			return false
		}
	}
	return true
}

// outage is the longest gap between two consecutive acknowledged writes that touches the fault's
// phase. A gap before the first acknowledgement or after the last counts as far as writes were asked
// for; nil when no write was ever acknowledged.
func (p probeLog) outage(i chaos.Injection) *float64 {
	if len(p.acknowledged) == 0 {
		return nil
	}
	phase := faultSpan(i)
	longest, last := time.Duration(0), p.asked.start
	for _, at := range append(slices.Clip(p.acknowledged), p.asked.end) {
		if at >= phase.start && last < phase.end {
			longest = max(longest, at-last)
		}
		last = at
	}
	return seconds(longest)
}

func seconds(d time.Duration) *float64 {
	s := max(d.Seconds(), 0)
	return &s
}
