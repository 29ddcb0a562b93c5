package loadgen

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// hit is one request that was released to vegeta.
type hit struct {
	seq     uint64 // vegeta's number
	n       uint64 // number in the schedule of the class; differs from seq once requests go unsent
	due     time.Duration
	excused bool

	// Filled in while it is sent.
	done      time.Time
	judgement judgement
	attempts  uint64
	bytesIn   uint64
	bytesOut  uint64
}

// ring finds the hit that belongs to a number of vegeta's.
//
// vegeta's Targeter is told no number, but the request header X-Vegeta-Seq and Result.Seq carry it.
// Ticks go over an unbuffered channel, so when number k is given out at least k+1 hits were
// released: slot k is filled. Two racing workers may swap their ticks, yet the kth start always
// belongs to the kth due time, which therefore is never later.
type ring struct {
	slots []atomic.Pointer[hit]
}

// newRing makes room for every number that can be in flight between the oldest and the newest
// request: those released during a timeout, not just as many as may be in flight.
func newRing(span uint64) *ring {
	size := uint64(1024)
	for size < span {
		size *= 2
	}
	return &ring{slots: make([]atomic.Pointer[hit], size)}
}

func (r *ring) slot(seq uint64) *atomic.Pointer[hit] {
	return &r.slots[seq&(uint64(len(r.slots))-1)]
}

// put stores a hit; it fails when its slot is still taken.
func (r *ring) put(h *hit) error {
	if !r.slot(h.seq).CompareAndSwap(nil, h) {
		return fmt.Errorf("request ring: slot of hit %d is still taken (%d slots)", h.seq, len(r.slots))
	}
	return nil
}

// get returns the hit of a number; it fails when another is in its slot.
func (r *ring) get(seq uint64) (*hit, error) {
	h := r.slot(seq).Load()
	if h == nil || h.seq != seq {
		return nil, fmt.Errorf("request ring: no hit %d in its slot", seq)
	}
	return h, nil
}

func (r *ring) free(seq uint64) { r.slot(seq).Store(nil) }

// pacer releases the hits of one class at their due times. vegeta calls it from one goroutine.
//
// Why not vegeta's own pacers: they wait with time.Sleep, which nothing can interrupt, and answer
// "now" for everything owed, so that a stall is followed by a burst. Here all waiting happens
// inside release, against the context.
type pacer struct {
	start    time.Time
	arrivals *arrivals
	rate     func(time.Duration) float64 // of the class, requests per second
	slots    chan struct{}               // one element a request in flight
	ring     *ring
	maxLag   time.Duration
	recorder *recorder
	wait     func(context.Context, time.Time) bool
	released atomic.Uint64

	interruption *interruption

	n           uint64        // next number in the schedule
	fullUntil   time.Duration // the class was full until then
	lastExcused bool
	allowance   time.Time // the limiter's theoretical arrival time
}

// The limit on catching up: requests that are more than overdue late are released at no more than
// maxBurst times the scheduled rate, so that a stall is not followed by a flood that the schedule
// never contained. Bursts of up to four requests or 10 ms are let through: timers are no finer.
const (
	maxBurst       = 1.2
	overdue        = 20 * time.Millisecond
	burstTolerance = 10 * time.Millisecond
	burstRequests  = 4
)

// release waits for the next request's due time and a free slot, and stores it under seq. It
// returns true when there is nothing more to send.
func (p *pacer) release(ctx context.Context, seq uint64) (stop bool, err error) {
	for {
		due, more := p.arrivals.next()
		if !more {
			return true, nil
		}
		h := &hit{seq: seq, n: p.n, due: due}
		p.n++
		if !p.wait(ctx, p.start.Add(due)) {
			p.abandon(due)
			return true, nil
		}
		switch p.admit(ctx, h) {
		case aborted:
			p.abandon(due)
			return true, nil
		case dropped:
			continue
		case admitted:
		}
		p.released.Add(1)
		return false, p.ring.put(h)
	}
}

type admission int

const (
	admitted admission = iota + 1
	dropped
	aborted
)

// admit takes a slot for h, or drops it when none comes free within maxLag of its due time.
func (p *pacer) admit(ctx context.Context, h *hit) admission {
	h.excused = h.due <= p.fullUntil
	select {
	case p.slots <- struct{}{}:
	default:
		h.excused = true
		outcome := p.waitForSlot(ctx, h.due+p.maxLag)
		p.fullUntil = time.Since(p.start)
		if outcome != admitted {
			if outcome == dropped {
				p.recorder.unsent(h.due)
			}
			return outcome
		}
	}
	outcome := p.limit(ctx, h)
	p.lastExcused = h.excused
	if outcome != admitted {
		<-p.slots
		switch {
		case outcome == dropped && h.excused:
			p.recorder.unsent(h.due)
		case outcome == dropped:
			p.recorder.starved(h.due)
		}
	}
	return outcome
}

func (p *pacer) waitForSlot(ctx context.Context, until time.Duration) admission {
	timer := time.NewTimer(until - time.Since(p.start))
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return admitted
	case <-timer.C:
		return dropped
	case <-ctx.Done():
		return aborted
	}
}

// limit holds back what is overdue, and drops what is later than maxLag.
func (p *pacer) limit(ctx context.Context, h *hit) admission {
	now := time.Now()
	interval := time.Duration(float64(time.Second) / (maxBurst * max(p.rate(h.due), 1e-3)))
	tolerance := max(burstTolerance, burstRequests*interval)
	late := now.Sub(p.start) - h.due
	if earliest := p.allowance.Add(-tolerance); late > overdue && now.Before(earliest) {
		h.excused = h.excused || p.lastExcused // it waits behind the backlog of a full class
		if !p.wait(ctx, earliest) {
			return aborted
		}
		now = time.Now()
		late = now.Sub(p.start) - h.due
	}
	if late > p.maxLag {
		return dropped
	}
	if p.allowance.Before(now) {
		p.allowance = now
	}
	p.allowance = p.allowance.Add(interval)
	if most := now.Add(tolerance + interval); p.allowance.After(most) {
		p.allowance = most
	}
	return admitted
}

// abandon counts what was due before the interruption and not released as unsent. Nothing due
// later was planned yet.
func (p *pacer) abandon(due time.Duration) {
	at := p.interruption.instant().Sub(p.start)
	for more := true; more && due <= at; due, more = p.arrivals.next() {
		p.recorder.unsent(due)
	}
}

// fine is the part of a wait that is slept in the kernel: runtime timers on Linux are only checked
// to the millisecond when the process is idle (epoll_wait), which would send everything above
// 1,000/s in clumps.
const fine = 1200 * time.Microsecond

// waitUntil returns true at t, or false when ctx ends before.
func waitUntil(ctx context.Context, t time.Time) bool {
	if d := time.Until(t) - fine; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	for {
		d := time.Until(t)
		if d <= 0 {
			return ctx.Err() == nil
		}
		rest := syscall.NsecToTimespec(min(d, fine).Nanoseconds())
		// An interrupted sleep just goes around once more.
		_ = syscall.Nanosleep(&rest, nil)
	}
}
