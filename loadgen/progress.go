package loadgen

import (
	"context"
	"slices"
	"sync"
	"time"
)

// report calls tell once a second until ctx ends. It reads counters only, so that a slow tell
// delays no request.
func (l *load) report(ctx context.Context, tell func(Tick)) {
	if !waitFor(ctx, l.start) {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last, lastAt := Tick{}, time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		t := l.tick()
		seconds := (t.Elapsed - lastAt).Seconds()
		t.Offered = float64(t.Sent-last.Sent) / seconds
		t.Achieved = float64(t.OK-last.OK) / seconds
		last, lastAt = t, t.Elapsed
		tell(t)
	}
}

func (l *load) tick() Tick {
	t := Tick{Elapsed: time.Since(l.start)}
	var recent Histogram
	for _, c := range l.classes {
		counts := c.recorder.progress(&recent)
		t.Sent += c.pacer.released.Load()
		t.OK += counts.OK
		t.Failed += counts.Failed()
		t.Unsent += counts.Unsent
		t.InFlight += len(c.slots)
		for at := range min(int(t.Elapsed/time.Second), len(c.plan.planned)) {
			t.Planned += c.plan.planned[at]
		}
	}
	t.P50, t.P99 = recent.Quantile(0.5), recent.Quantile(0.99)
	return t
}

// newRecording begins the recording of a whole run. All goroutines must have ended, here and below.
func (l *load) newRecording() *Recording {
	return &Recording{
		Start: l.start, WarmUp: l.sched.spec.WarmUp, Duration: l.sched.Duration(),
		Writes: l.ledger.sorted(), Probes: l.prober.sorted(), ProbeEvery: l.sched.spec.Probe.Every,
	}
}

// cutShort ends r at the interruption.
func (l *load) cutShort(r *Recording) {
	r.Aborted, r.AbortedAt = true, max(l.interruption.instant().Sub(l.start), 0)
	r.Duration = min(r.Duration, r.AbortedAt)
}

// fill puts in what every class recorded, and how the generator was.
func (l *load) fill(r *Recording) {
	length := l.sched.Seconds()
	if r.Aborted {
		length = min(length, int((r.AbortedAt+time.Second-1)/time.Second))
	}
	for _, c := range l.classes {
		c.recorder.finish(length)
		r.Classes = append(r.Classes, c.recorder.total)
		r.Seconds = append(r.Seconds, c.recorder.seconds...)
		r.Duration = max(r.Duration, c.recorder.last)
	}
	slices.SortStableFunc(r.Seconds, func(a, b Second) int { return a.At - b.At })
	r.Health = l.health(length)
}

// interruption is the instant at which the run was interrupted: the first time anyone noticed.
type interruption struct {
	once sync.Once
	at   time.Time
}

// instant notes the interruption, if nobody has, and returns when it was.
func (i *interruption) instant() time.Time {
	i.once.Do(func() { i.at = time.Now() })
	return i.at
}

// waitFor returns true at t, or false when ctx ends before.
func waitFor(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
