package reports

import (
	"fmt"
	"io"
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"sync"
	"time"
)

// plainEvery is how often a run prints its figures where the output is no terminal.
const plainEvery = 5

// Live shows a run as it goes: the steps of the set-up, then time, offered and achieved rate, p99,
// errors and the phase with its active faults. On a terminal the last line is redrawn each second; elsewhere a
// plain line is printed every five seconds. Safe for concurrent use; Close it before printing
// anything else.
type Live struct {
	mu       sync.Mutex
	w        io.Writer
	redraw   bool
	length   time.Duration
	warmUp   time.Duration
	active   []string
	broken   bool // a fault has been felt
	open     bool // a redrawn line has no newline yet
	lastLine int  // second of the last plain line
}

// NewLive makes a view on w of a load that lasts length, of which warmUp does not count; terminal
// says whether w can redraw a line.
func NewLive(w io.Writer, terminal bool, length, warmUp time.Duration) *Live {
	return &Live{w: w, redraw: terminal, length: length, warmUp: warmUp, lastLine: -plainEvery}
}

// Step shows one step of the set-up: on a terminal already while it goes on, and in every case a
// line with how long it took when it is done.
func (l *Live) Step(text string, done bool, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = Visible(text)
	switch {
	case done:
		l.line(fmt.Sprintf("  %6.1f s  %s", took.Seconds(), text))
	case l.redraw:
		fmt.Fprintf(l.w, "\r\x1b[2K     ...  %s", text)
		l.open = true
	}
}

// Tick shows the figures of the last second.
func (l *Live) Tick(t loadgen.Tick) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := int(t.Elapsed / time.Second)
	if !l.redraw && second < l.lastLine+plainEvery {
		return
	}
	l.lastLine = second
	bad := t.Failed + t.Unsent
	p99 := fmt.Sprintf("%6.1f ms", float64(t.P99)/float64(time.Millisecond))
	if t.P99 <= 0 {
		p99 = "no answer"
	}
	text := fmt.Sprintf("%4d s / %d s  offered %5.1f/s  achieved %5.1f/s  p99 %s  in flight %3d  bad %d",
		second, int(l.length/time.Second), t.Offered, t.Achieved, p99, t.InFlight, bad)
	text += "  " + l.phase(t.Elapsed)
	if !l.redraw {
		l.line(text)
		return
	}
	fmt.Fprintf(l.w, "\r\x1b[2K%s", text)
	l.open = true
}

func (l *Live) phase(elapsed time.Duration) string {
	switch {
	case len(l.active) > 0:
		return "during " + strings.Join(l.active, ", ")
	case elapsed <= l.warmUp:
		return "warm-up"
	case l.broken:
		return "after"
	}
	return "before"
}

// Event prints what a fault is doing and keeps the list of active ones.
func (l *Live) Event(e chaos.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := Visible(e.Fault)
	switch e.Phase {
	case chaos.PhaseEffective:
		l.active, l.broken = append(l.active, name), true
	case chaos.PhaseInjecting: // not active yet
	case chaos.PhaseEnded, chaos.PhaseUndone, chaos.PhaseFailed:
		kept := l.active[:0]
		for _, a := range l.active {
			if a != name {
				kept = append(kept, a)
			}
		}
		l.active = kept
	}
	l.line(fmt.Sprintf("%4.0f s  %s %s: %s", e.At.Seconds(), name, e.Phase, Visible(e.Text)))
}

// Close ends a line that is still being redrawn. It may be called twice.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		fmt.Fprintln(l.w)
		l.open = false
	}
}

func (l *Live) line(text string) {
	if l.open {
		fmt.Fprint(l.w, "\r\x1b[2K")
		l.open = false
	}
	fmt.Fprintln(l.w, text)
}
