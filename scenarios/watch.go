package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"squall/reports/verdict"
	"squall/target"
	"time"
)

const (
	// watchEvery is the resolution of what is seen. A look is four requests on the loopback, 1.3 ms of one
	// core with a fake at the other end: far below the percent that it may cost.
	watchEvery = time.Second
	// watchMost bounds the list: a target that flaps all the time is told by its first thousand changes.
	watchMost = 1000
)

// watched is what can be seen of a target that nobody is breaking; *target.System is the real one.
type watched interface {
	Primary(ctx context.Context) (target.Node, int, error)
	ServersUp(ctx context.Context) (map[string]bool, error)
}

var _ watched = (*target.System)(nil)

// watch sees which node leads and which servers the balancer has ejected, as long as a run lasts. Whether
// a fault asked for it is for the verdict to say. What is not answered is no change.
type watch struct {
	system watched
	start  time.Time // of the load
	notify func(verdict.Change)

	changes []verdict.Change

	leader     string // the last primary that was seen; empty: none yet
	timeline   int
	leaderSeen time.Duration // when that was
	promoting  bool          // it leads, and its timeline has yet to follow
	two        bool          // two said so at the last look
	up         map[string]bool
	upSeen     time.Duration
}

// run looks about once a second until ctx ends, and returns what changed.
func (w *watch) run(ctx context.Context) []verdict.Change {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		w.lookAtPrimary(ctx)
		w.lookAtServers(ctx)
		select {
		case <-ctx.Done():
			return w.changes
		case <-ticker.C:
		}
	}
}

func (w *watch) lookAtPrimary(ctx context.Context) {
	// A change may have come at any time since the last answer: the question's beginning counts.
	asked := time.Since(w.start)
	n, line, err := w.system.Primary(ctx)
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, target.ErrTwoPrimaries) {
		if !w.two {
			w.see(w.leaderSeen, verdict.ChangePrimaries, w.leader, err.Error())
		}
		w.two = true
		return
	}
	if err != nil {
		return
	}
	w.two = false
	switch {
	case w.leader == "": // the first look
	case n.Name != w.leader:
		w.see(w.leaderSeen, verdict.ChangePrimary, n.Name, fmt.Sprintf("%s is primary (timeline %d), it was %s (timeline %d)",
			n.Name, line, w.leader, w.timeline))
		w.promoting = line <= w.timeline
	case line > w.timeline && w.promoting: // the end of a promotion that was told already
		w.promoting = false
	case line > w.timeline && w.timeline > 0:
		w.see(w.leaderSeen, verdict.ChangeTimeline, n.Name, fmt.Sprintf("%s is primary on timeline %d, it was %d",
			n.Name, line, w.timeline))
	}
	w.leader, w.timeline, w.leaderSeen = n.Name, max(line, w.timeline), asked
}

func (w *watch) lookAtServers(ctx context.Context) {
	asked := time.Since(w.start)
	up, err := w.system.ServersUp(ctx)
	if err != nil || ctx.Err() != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.up)) {
		if !up[name] {
			w.see(w.upSeen, verdict.ChangeEjected, name, name+" was ejected by the balancer")
		}
	}
	w.up, w.upSeen = up, asked
}

// see records a change that came after since.
func (w *watch) see(since time.Duration, what, node, text string) {
	if len(w.changes) == watchMost {
		return
	}
	c := verdict.Change{At: time.Since(w.start), Since: since, What: what, Node: node, Text: text}
	w.changes = append(w.changes, c)
	w.notify(c)
}
