package verdict

import (
	"fmt"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"time"
)

// causedWithin is how long before a change of the target the host may have caused it: the lab
// profile's leader lock lapses after 5 s, and then come an election and the look that saw it. The
// balancer's checks give up within one.
const causedWithin = 10 * time.Second

// Unplanned is a change of the target that no fault asked for.
type Unplanned struct {
	At   float64 `json:"at_s"`
	What string  `json:"what"`
	Node string  `json:"node"`
	Text string  `json:"text"`
	// HostStoodStill says that the host withheld its cores right before, so that the change says
	// nothing about the target. False: it is the target's own doing.
	HostStoodStill bool   `json:"host_stood_still"`
	Why            string `json:"why"` // it was judged so
}

// blame is a stretch of the run that the host spoilt.
type blame struct {
	span
	why string // one sentence for people
}

// spontaneous sorts out the changes that no fault asked for, in their order, and says which stretches of
// the run the host spoilt by them.
func spontaneous(in Input) (list []Unplanned, blames []blame) {
	list = []Unplanned{}
	for _, c := range in.Changes {
		when := span{min(c.Since, c.At), c.At + 1}
		if aborted := in.Recording.Aborted && c.At > in.Recording.AbortedAt; aborted || asked(in, when) {
			continue
		}
		u := Unplanned{At: c.At.Seconds(), What: c.What, Node: c.Node, Text: c.Text}
		before := span{when.start - causedWithin, when.end}
		stall, stood := worstStall(in.Recording.Health, before)
		if stood {
			u.HostStoodStill, u.Why = true, "the host stood still: "+stall.why
			blames = append(blames, blame{
				span: span{stall.start, c.At + causedWithin},
				why: fmt.Sprintf("%s; %s at %s, which no fault asked for", u.Why, c.Text,
					figure(u.At, "s")),
			})
		} else {
			u.Why = fmt.Sprintf("no fault was under way, and the host was healthy for %v before", causedWithin)
		}
		list = append(list, u)
	}
	return list, blames
}

// warning says of a change that it is the target's own doing.
func (u Unplanned) warning() string {
	return fmt.Sprintf("warning: %s at %s, which no fault asked for; the host was healthy, so it is the "+
		"target's own doing", u.Text, figure(u.At, "s"))
}

// asked says whether a fault may have caused what happened then: from its injection until it was
// settled and its targets were verified healthy again.
func asked(in Input, when span) bool {
	return slices.ContainsFunc(in.Injections, func(i chaos.Injection) bool {
		d := disturbance(i)
		if i.Ended >= i.Effective {
			d.end = max(d.end, i.Ended+i.Resolution)
		}
		return d.overlaps(when)
	})
}

// worstStall is the clearest sign, in the given time, that the host stood still: a gap of the prober
// before anything else, and of several the longest.
func worstStall(h loadgen.Health, within span) (worst blame, found bool) {
	for _, g := range h.ProbeGaps {
		s := span{g.At, g.At + g.For}
		if s.overlaps(within) && (!found || g.For > worst.end-worst.start) {
			found = true
			worst = blame{s, fmt.Sprintf("no probe was sent for %s at %s",
				figure(g.For.Seconds(), "s"), figure(g.At.Seconds(), "s"))}
		}
	}
	if found {
		return worst, true
	}
	for _, stall := range h.Stalls {
		s := span{stall.At, stall.At + stall.For}
		if s.overlaps(within) && (!found || stall.For > worst.end-worst.start) {
			found, worst = true, blame{s, stallText(stall)}
		}
	}
	return worst, found
}

func stallText(s loadgen.Stall) string {
	return fmt.Sprintf("the second at %s took %s, %.0f %% of the cores were given to others, and ready work "+
		"waited %v for one (p99)", figure(s.At.Seconds(), "s"), figure(s.For.Seconds(), "s"), 100*s.Steal,
		s.SchedP99.Round(time.Millisecond))
}
