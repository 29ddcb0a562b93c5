package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"squall/target"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// electingSystem has nobody to select until some time has passed.
type electingSystem struct {
	*fakeSystem
	until  time.Time
	panics bool
	drew   []uint64
}

func (e *electingSystem) Select(ctx context.Context, s target.Selector, draw *rand.Rand) ([]target.Node, error) {
	e.drew = append(e.drew, draw.Uint64())
	switch {
	case e.panics:
		panic("the fake was told to")
	case time.Now().Before(e.until):
		return nil, errors.New("no database node is primary")
	}
	return e.fakeSystem.Select(ctx, s, draw)
}

// TestPlayAsksAgainWhoIsMeant: a fault that is due in the moment of an election hits whoever was
// elected, if that is known soon enough.
func TestPlayAsksAgainWhoIsMeant(t *testing.T) {
	for _, test := range []struct {
		name     string
		after    time.Duration // from the fault's instant, until there is a primary
		last     time.Duration // how long the fault is to last
		panics   bool
		asked    int // 0: many times
		injected bool
		said     string
	}{
		{name: "at once", last: 20 * time.Second, asked: 1, injected: true},
		{name: "three seconds later", after: 3 * time.Second, last: 20 * time.Second, asked: 11, injected: true},
		{name: "never", after: time.Hour, last: 20 * time.Second, said: "select: no database node is primary (tried 34 times in 10s)"},
		{name: "never beyond the fault's own window", after: 5 * time.Second, last: 3100 * time.Millisecond, said: "(tried 11 times in 3.1s)"},
		{name: "a panic is no answer to wait for", after: time.Hour, last: 20 * time.Second, panics: true, asked: 1, said: "panic: the fake was told to"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := killSpec("failover", target.RolePrimary)
				spec.For = test.last
				s := &electingSystem{
					fakeSystem: newFakeSystem(), panics: test.panics, until: time.Now().Add(spec.At + test.after),
				}
				in := play(t.Context(), t, s, spec).injections[0]
				if injected := in.Effective > 0; injected != test.injected || !strings.Contains(in.Error, test.said) {
					t.Errorf("Play() = %+v; want injected %t, error with %q", in, test.injected, test.said)
				}
				if test.injected && (in.Effective < spec.At+test.after || in.Effective > spec.At+test.after+time.Second) {
					t.Errorf("effective %s, want it as soon as there is a primary, at %s", in.Effective, spec.At+test.after)
				}
				if test.asked > 0 && len(s.drew) != test.asked {
					t.Errorf("asked %d times, want %d", len(s.drew), test.asked)
				}
				for _, draw := range s.drew {
					if draw != s.drew[0] {
						t.Errorf("draws %v: want the same each time, so that the seed decides and not the moment", s.drew)
						break
					}
				}
			})
		})
	}
}
