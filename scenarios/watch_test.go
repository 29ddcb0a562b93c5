package scenarios

import (
	"context"
	"errors"
	"squall/reports/verdict"
	"squall/target"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scene is what a fake target shows from an instant on.
type scene struct {
	from    time.Duration
	primary string // empty: no primary; "two": two of them
	line    int
	up      []string
	mute    bool // nothing is answered
}

type fakeWatched struct {
	start  time.Time
	scenes []scene
	looks  int
}

func (f *fakeWatched) now() scene {
	var s scene
	for _, next := range f.scenes {
		if time.Since(f.start) >= next.from {
			s = next
		}
	}
	return s
}

func (f *fakeWatched) Primary(context.Context) (target.Node, int, error) {
	f.looks++
	switch s := f.now(); {
	case s.mute || s.primary == "":
		return target.Node{}, 0, target.ErrNoPrimary
	case s.primary == "two":
		return target.Node{}, 0, target.ErrTwoPrimaries
	default:
		return target.Node{Name: s.primary}, s.line, nil
	}
}

func (f *fakeWatched) ServersUp(context.Context) (map[string]bool, error) {
	s := f.now()
	if s.mute {
		return nil, errors.New("connection refused")
	}
	up := map[string]bool{}
	for _, name := range s.up {
		up[name] = true
	}
	return up, nil
}

// TestWatch: every change is seen once, within a second, with the last instant at which it was not so;
// what is not answered is no change.
func TestWatch(t *testing.T) {
	both, one := []string{"engine-1", "engine-2"}, []string{"engine-1"}
	calm := scene{from: -time.Second, primary: "db-1", line: 1, up: both}
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	primary := verdict.Change{
		At: at(10500), Since: at(9500), What: "primary", Node: "db-2", Text: "db-2 is primary (timeline 2), it was db-1 (timeline 1)",
	}
	for _, test := range []struct {
		name   string
		scenes []scene
		want   []verdict.Change
	}{
		{"nothing happens", nil, nil},
		{"another primary", []scene{{from: at(10000), primary: "db-2", line: 2, up: both}}, []verdict.Change{primary}},
		{
			"nobody for a while, then another",
			[]scene{{from: at(5000), up: both}, {from: at(10000), primary: "db-2", line: 2, up: both}},
			[]verdict.Change{{At: primary.At, Since: at(4500), What: primary.What, Node: primary.Node, Text: primary.Text}},
		},
		{"nobody for a while, then the same", []scene{{from: at(5000), up: both}, {from: at(10000), primary: "db-1", line: 1, up: both}}, nil},
		{"the lock first, the timeline later", []scene{
			{from: at(10000), primary: "db-2", line: 1, up: both}, {from: at(11000), primary: "db-2", line: 2, up: both},
		}, []verdict.Change{{
			At: primary.At, Since: primary.Since, What: "primary", Node: "db-2", Text: "db-2 is primary (timeline 1), it was db-1 (timeline 1)",
		}}},
		{"the same on a new timeline", []scene{{from: at(10000), primary: "db-1", line: 2, up: both}}, []verdict.Change{{
			At: at(10500), Since: at(9500), What: "timeline", Node: "db-1", Text: "db-1 is primary on timeline 2, it was 1",
		}}},
		{"two at once", []scene{{from: at(10000), primary: "two", up: both}, {from: at(15000), primary: "db-1", line: 1, up: both}}, []verdict.Change{{
			At: at(10500), Since: at(9500), What: "primaries", Node: "db-1", Text: target.ErrTwoPrimaries.Error(),
		}}},
		{"an engine ejected, and taken back", []scene{{from: at(10000), primary: "db-1", line: 1, up: one}, {from: at(15000), primary: "db-1", line: 1, up: both}}, []verdict.Change{{
			At: at(10500), Since: at(9500), What: "ejected", Node: "engine-2", Text: "engine-2 was ejected by the balancer",
		}}},
		{"nothing answers", []scene{{from: at(5000), mute: true}, {from: at(10000), primary: "db-1", line: 1, up: both}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now().Add(500 * time.Millisecond) // looks come at -0.5 s, 0.5 s, 1.5 s and so on
				f := &fakeWatched{start: start, scenes: append([]scene{calm}, test.scenes...)}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(20*time.Second, cancel)
				told := 0
				w := watch{system: f, start: start, notify: func(verdict.Change) { told++ }}
				got := w.run(ctx)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				if told != len(got) || f.looks < 20 || f.looks > 21 {
					t.Errorf("told of %d of %d changes after %d looks, want all and a look a second", told, len(got), f.looks)
				}
			})
		})
	}
}

// TestWatchIsBounded: a target that flaps for ever does not fill the memory.
func TestWatchIsBounded(t *testing.T) {
	w := watch{start: time.Now(), notify: func(verdict.Change) {}}
	for range 2 * watchMost {
		w.see(0, verdict.ChangeEjected, "engine-1", "engine-1 was ejected")
	}
	if len(w.changes) != watchMost {
		t.Errorf("%d changes kept, want %d", len(w.changes), watchMost)
	}
}
