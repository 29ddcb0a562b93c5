package verdict

import (
	"fmt"
	"math"
	"squall/chaos"
	"squall/loadgen"
	"time"
)

// starvedGap is the longest gap in the prober's own schedule that leaves its figures trustworthy:
// in a longer one the target may have come back unseen.
const starvedGap = time.Second

// standstill is a gap of the prober that hides what an objective is measured from.
type standstill struct {
	loadgen.Gap
	fault string // that was being timed
}

func (s standstill) String() string {
	return fmt.Sprintf("the host stood still: no probe was sent for %s at %s, while %s was being timed",
		figure(s.For.Seconds(), "s"), figure(s.At.Seconds(), "s"), s.fault)
}

func (s standstill) span() span { return span{s.At, s.At + s.For} }

func (s standstill) blame() blame { return blame{s.span(), s.String()} }

// intolerable is the shortest gap that is a standstill.
func (c *court) intolerable() time.Duration { return max(starvedGap, 2*c.in.Recording.ProbeEvery) }

// standstills are those of all objectives that are timed, each once.
func (c *court) standstills() []standstill {
	var all []standstill
	seen := map[standstill]bool{}
	for _, o := range c.in.Objectives {
		if familyOf(o.Metric) != failoverFamily {
			continue
		}
		for n, i := range c.in.Injections {
			if fault := o.Fault(); fault != "" && fault != i.Fault || !tookEffect(i) || !i.Felt {
				continue
			}
			if s, found := c.standstill(o, i, c.failover[n]); found && !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// standstill is the longest one in the time that the objective is measured from.
func (c *court) standstill(o Objective, i chaos.Injection, f Failover) (longest standstill, found bool) {
	timed := c.timed(o, i, f)
	for _, g := range c.in.Recording.Health.ProbeGaps {
		s := standstill{g, i.Fault}
		if g.For > c.intolerable() && s.span().overlaps(timed) && g.For > longest.For {
			longest, found = s, true
		}
	}
	return longest, found
}

// timed is the time that a figure is read from: from the fault's effect until what was looked for has
// been seen, else to the end of the fault's phase. What the prober missed later changes nothing.
func (c *court) timed(o Objective, i chaos.Injection, f Failover) span {
	s := faultSpan(i)
	switch o.Metric {
	case "detection":
		if f.Detection != nil {
			s.end = i.Effective + inSeconds(*f.Detection)
		}
	case "rto":
		g := c.probes.passage(o.Of, i)
		switch {
		case g.rto != nil && g.interrupted: // the window that proves the recovery belongs to it
			s.end = i.Effective + inSeconds(*g.rto) + lastingWindow
		case g.rto != nil:
			s.end = max(s.end, i.Effective+lastingWindow)
		default:
			s.end = math.MaxInt64
		}
	}
	return s
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// overlaps says whether the spans have an instant in common.
func (s span) overlaps(other span) bool { return s.start < other.end && other.start < s.end }

// unseen says that a gap is known to be there but not where, as recordings had it before they kept
// the instants of the gaps.
func (c *court) unseen() bool {
	h := c.in.Recording.Health
	return len(h.ProbeGaps) == 0 && h.ProbeGapMax > c.intolerable()
}

// blamedOn is the stretch that the host spoilt in a phase: what is bad in it may be the host's doing.
func (c *court) blamedOn(w window) (blame, bool) {
	for _, b := range c.blames {
		for at := max(w.start, int(b.start/time.Second)); at < w.end && b.touches(at); at++ {
			if w.has(at) {
				return b, true
			}
		}
	}
	return blame{}, false
}
