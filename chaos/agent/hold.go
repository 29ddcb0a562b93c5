package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// holder keeps every packet of a queue for its delay and lets it go in the order it came.
//
//	kernel queue --ids--> [held: arrival, due] --due--> one verdict for all that are due
type holder struct {
	q             *queue
	delay, jitter time.Duration
	draw          *rand.Rand
	wake          int // eventfd: written once to end the loop
	stopped       sync.WaitGroup

	mu      sync.Mutex // guards what follows
	held    uint64
	most    int
	now     int
	samples []time.Duration // ring of the last sampleCount holds
	next    int
	err     error
}

// sampleCount holds give a p99 that rests on 160 packets.
const sampleCount = 1 << 14

// idle bounds how long the loop sleeps when nothing is due.
const idle = 200 * time.Millisecond

type heldPacket struct {
	id        uint32
	came, due time.Time
}

// hold starts to hold the packets of q. The caller must call release, which also closes q.
func hold(q *queue, r Rules) (*holder, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	draw := rand.New(rand.NewPCG(r.Seed, r.Seed))
	h := &holder{q: q, delay: r.Delay, jitter: r.Jitter, wake: wake, draw: draw}
	h.stopped.Go(func() {
		err := h.loop()
		h.mu.Lock()
		h.err = err
		h.mu.Unlock()
	})
	return h, nil
}

// release lets every packet go at once, ends the loop and closes the queue.
func (h *holder) release() error {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, err := unix.Write(h.wake, one)
	h.stopped.Wait()
	return errors.Join(err, h.q.close(), unix.Close(h.wake), h.err)
}

// loop runs on a thread of its own, so that a release is late by the kernel's timer and not by
// Go's scheduler.
func (h *holder) loop() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var line []heldPacket
	var last time.Time // nothing overtakes the packet that is due then
	ids := make([]uint32, 0, nfqReadBatch)
	ending := false
	for {
		until := time.Now().Add(idle)
		switch {
		case ending:
			until = time.Time{}
		case len(line) > 0 && line[0].due.Before(until):
			until = line[0].due
		}
		if err := wait(until, h.q.fd, h.wake); err != nil {
			return err
		}
		var err error
		if ids, err = h.q.read(ids[:0]); err != nil {
			return err
		}
		now := time.Now()
		for _, id := range ids {
			due := now.Add(h.howLong())
			if due.Before(last) {
				due = last
			}
			last = due
			line = append(line, heldPacket{id, now, due})
		}
		if ending = ending || h.ending(); ending && len(ids) > 0 {
			continue // what the kernel has handed over already is let go as well
		}
		if ending {
			return h.letGo(line, len(line))
		}
		due := 0
		for now = time.Now(); due < len(line) && !line[due].due.After(now); due++ {
		}
		if err := h.letGo(line, due); err != nil {
			return err
		}
		line = line[due:]
	}
}

func (h *holder) howLong() time.Duration {
	if h.jitter <= 0 {
		return h.delay
	}
	return h.delay - h.jitter + time.Duration(h.draw.Int64N(int64(2*h.jitter)+1))
}

func (h *holder) ending() bool {
	var b [8]byte
	n, err := unix.Read(h.wake, b[:])
	return err == nil && n == len(b)
}

// letGo releases the first n packets of line with one verdict and records how long they were held.
// Subtle: ids rise in the order of arrival, so one batch verdict covers all up to the last.
func (h *holder) letGo(line []heldPacket, n int) error {
	h.mu.Lock()
	h.most = max(h.most, len(line))
	h.now = len(line) - n
	h.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := h.q.acceptUpTo(line[n-1].id); err != nil {
		return err
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := line[:n]
	h.held += uint64(len(gone))
	for _, p := range gone {
		took := now.Sub(p.came)
		if len(h.samples) < sampleCount {
			h.samples = append(h.samples, took)
			continue
		}
		h.samples[h.next] = took
		h.next = (h.next + 1) % sampleCount
	}
	return nil
}

// report fills in what the holder measured.
func (h *holder) report(s *Status) {
	h.mu.Lock()
	sorted := slices.Clone(h.samples)
	s.Held, s.MostHeld, s.StillHeld = h.held, h.most, h.now
	if h.err != nil {
		s.Error = h.err.Error()
	}
	h.mu.Unlock()
	if n := len(sorted); n > 0 {
		slices.Sort(sorted)
		s.HoldP50, s.HoldP99 = sorted[n/2], sorted[n*99/100]
	}
}
