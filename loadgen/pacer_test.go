package loadgen

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakePacer paces a steady class in fake time: rate a second, slots in flight.
func fakePacer(t *testing.T, rate Rate, length time.Duration, slots int, maxLag time.Duration) *pacer {
	t.Helper()
	spec := steady(rate, length, get("a"))
	spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, slots, maxLag
	s := mustSchedule(t, spec)
	c := newClassRun(s, s.classes[0], time.Now())
	c.pacer.wait = waitFor // no sleep in the kernel: the time is fake
	c.pacer.interruption = &interruption{}
	return c.pacer
}

// drain releases everything; serve is called for each hit and must free its slot in time.
func drain(ctx context.Context, t *testing.T, p *pacer, serve func(h *hit)) {
	t.Helper()
	for seq := uint64(0); ; seq++ {
		stop, err := p.release(ctx, seq)
		if err != nil {
			t.Fatalf("release(%d) error: %v", seq, err)
		}
		if stop {
			return
		}
		h, err := p.ring.get(seq)
		if err != nil {
			t.Fatalf("get(%d) error: %v", seq, err)
		}
		p.ring.free(seq)
		serve(h)
	}
}

func (p *pacer) lag(h *hit) time.Duration { return time.Since(p.start) - h.due }

// TestPacerOnTime: with a free slot every hit is released at its due time, to the nanosecond.
func TestPacerOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fakePacer(t, 200, 3*time.Second, 1, time.Second)
		n := 0
		drain(t.Context(), t, p, func(h *hit) {
			if lag := p.lag(h); lag != 0 || h.excused {
				t.Errorf("hit %d: lag %v, excused %v, want 0 and false", h.n, lag, h.excused)
			}
			<-p.slots
			n++
		})
		if n != 600 {
			t.Errorf("%d hits, want 600", n)
		}
	})
}

// TestPacerFullClass: a class that is full for 3 s with a lag of 1 s allowed loses 2 s of hits, and
// what follows is excused until the backlog is gone.
func TestPacerFullClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fakePacer(t, 100, 20*time.Second, 1, time.Second)
		var free sync.WaitGroup
		sent, blamed := 0, 0
		drain(t.Context(), t, p, func(h *hit) {
			hold := time.Duration(0)
			if sent++; sent == 501 {
				hold = 3 * time.Second
			}
			if p.lag(h) > lateLimit && !h.excused {
				blamed++
			}
			free.Go(func() {
				<-time.After(hold)
				<-p.slots
			})
			if hold == 0 {
				free.Wait()
			}
		})
		free.Wait()
		unsent := int(p.recorder.running.Unsent)
		if sent+unsent != 2000 || unsent < 195 || unsent > 205 {
			t.Errorf("sent %d, unsent %d, want about 1800 and 200", sent, unsent)
		}
		if blamed != 0 {
			t.Errorf("%d late hits are blamed on the generator, want none", blamed)
		}
		for at, o := range p.recorder.own {
			if o.starved != 0 {
				t.Errorf("second %d: %d starved, want none: the class was full", at, o.starved)
			}
		}
	})
}

// TestPacerOwnStall: when the generator itself stands still, the lag is its own, and it catches up
// at no more than maxBurst.
func TestPacerOwnStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fakePacer(t, 100, 20*time.Second, 50, 5*time.Second)
		sent, own := 0, 0
		perSecond := make(map[int]int)
		drain(t.Context(), t, p, func(h *hit) {
			if sent++; sent == 501 {
				<-time.After(2 * time.Second) // in vegeta's loop, not in a worker
			}
			if p.lag(h) > lateLimit && !h.excused {
				own++
			}
			perSecond[int(time.Since(p.start)/time.Second)]++
			<-p.slots
		})
		if sent != 2000 {
			t.Errorf("%d sent, want all 2000", sent)
		}
		if own < 500 { // 200 owed, gone at 20 a second: about 1000 late
			t.Errorf("%d hits late by the generator's own fault, want about 1000", own)
		}
		for at, n := range perSecond {
			if n > 127 {
				t.Errorf("second %d: %d sent, want at most 120 and a burst", at, n)
			}
		}
	})
}

// TestPacerInterrupted: what was due is unsent, what was not is not planned.
func TestPacerInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fakePacer(t, 100, time.Hour, 10, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		sent := 0
		drain(ctx, t, p, func(*hit) { sent++ }) // no slot is ever freed
		if unsent := int(p.recorder.running.Unsent); sent != 10 || unsent < 489 || unsent > 491 {
			t.Errorf("sent %d, unsent %d, want 10 and 490", sent, unsent)
		}
	})
}

// TestRing: a slot that is taken, or holds another hit, is an error and never a mix-up.
func TestRing(t *testing.T) {
	r := newRing(3000)
	if got := len(r.slots); got != 4096 {
		t.Errorf("%d slots, want 4096", got)
	}
	if err := r.put(&hit{seq: 5}); err != nil {
		t.Errorf("put(5) error: %v", err)
	}
	if err := r.put(&hit{seq: 5 + 4096}); err == nil {
		t.Error("put() on a taken slot: no error, want one")
	}
	if _, err := r.get(5 + 4096); err == nil {
		t.Error("get() of another hit's slot: no error, want one")
	}
	r.free(5)
	if _, err := r.get(5); err == nil {
		t.Error("get() of a free slot: no error, want one")
	}
}
