package loadgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Options say where and how a schedule is carried out. Only BaseURL is required.
type Options struct {
	// BaseURL is where the target listens, such as "http://127.0.0.1:8080".
	BaseURL string
	// Allowed networks may be loaded besides loopback: those that the run itself made.
	Allowed []netip.Prefix
	// Start is second zero. It may lie in the future: Run waits for it. Zero: at once.
	Start time.Time
	// Progress is called once a second. A slow one misses ticks and delays nothing.
	Progress func(Tick)
	// Registry gets the load's metrics; nil: none.
	Registry *prometheus.Registry
	// Log gets what is worth telling during a run; nil: nothing.
	Log *slog.Logger
	// RunID starts every request id and idempotency key, so that two runs against one target do
	// not meet. Empty: the seed does.
	RunID string
}

// Tick is the state of a run, once a second. Rates and percentiles are of the last second.
type Tick struct {
	Elapsed  time.Duration
	Planned  uint64 // due so far
	Sent     uint64
	OK       uint64
	Failed   uint64
	Unsent   uint64
	InFlight int
	Offered  float64 // requests sent per second
	Achieved float64 // good answers per second
	P50      time.Duration
	P99      time.Duration
}

// Run carries out the schedule and returns what it saw. It refuses a target that is neither
// loopback nor allowed with ErrForbiddenAddress. When ctx ends it stops sending, cancels what is in
// flight, and returns the partial Recording, marked Aborted, without an error. Run may only be
// called once for a Registry.
//
//	Schedule -> pacer -> vegeta.Attacker -> roundTrip -> sender -> target
//	   (one of each per class)  |                |
//	                            v results        v writes
//	                         recorder          ledger
func Run(ctx context.Context, sched *Schedule, opts Options) (*Recording, error) {
	l, err := newLoad(ctx, sched, opts)
	if err != nil {
		return nil, err
	}
	return l.run(ctx, opts.Progress)
}

// run carries out a load that is ready.
func (l *load) run(ctx context.Context, progress func(Tick)) (*Recording, error) {
	// A failure inside a class ends the run; a cancelled parent only aborts it.
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer context.AfterFunc(ctx, func() { l.interruption.instant() })()

	var background, classes sync.WaitGroup
	probing, stopProbing := context.WithCancel(running)
	defer stopProbing()
	background.Go(func() { l.prober.run(probing, l.start) })
	watching, stopWatching := context.WithCancel(running)
	defer stopWatching()
	background.Go(func() { l.monitor.run(watching, l.start) })
	if progress != nil {
		background.Go(func() { l.report(watching, progress) })
	}
	for _, c := range l.classes {
		classes.Go(func() {
			if err := c.attack(running); err != nil {
				fail(err)
			}
		})
	}
	classes.Wait()
	waitFor(running, l.start.Add(l.sched.Duration())) // the prober covers the whole window
	aborted := ctx.Err() != nil
	stopProbing()
	stopWatching()
	background.Wait()
	if cause := context.Cause(running); cause != nil && !aborted {
		return nil, fmt.Errorf("load: %w", cause)
	}
	r := l.newRecording()
	if aborted {
		l.cutShort(r)
	}
	l.fill(r)
	return r, nil
}

// load is one run of a schedule.
type load struct {
	sched   *Schedule
	start   time.Time
	classes []*classRun
	prober  *prober
	monitor *monitor
	ledger  *ledger

	interruption interruption
}

func newLoad(ctx context.Context, sched *Schedule, opts Options) (*load, error) {
	base, err := url.Parse(opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("target address: %w", err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Hostname() == "" {
		return nil, fmt.Errorf("target address: want http://host:port, got %q", opts.BaseURL)
	}
	g := guard{allowed: opts.Allowed, resolver: net.DefaultResolver}
	if err := g.check(ctx, base); err != nil {
		return nil, err
	}
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(opts.Registry)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	start := now
	if !opts.Start.IsZero() {
		start = now.Add(opts.Start.Sub(now)) // with the monotonic clock
	}
	l := &load{sched: sched, start: start, ledger: &ledger{}}
	idle := sched.spec.MaxInFlight * len(sched.classes)
	client := g.client(idle, true)
	prefix, pool := sched.prefix(opts.RunID), &idPool{}
	for _, plan := range sched.classes {
		c := newClassRun(sched, plan, start)
		c.pacer.interruption = &l.interruption
		c.prefix, c.pool, c.ledger, c.metrics, c.log = prefix, pool, l.ledger, m, log
		c.recorder.metrics = m
		c.sender = sender{transport: client.Transport, base: base, timeout: sched.spec.Timeout}
		l.classes = append(l.classes, c)
	}
	l.prober = newProber(sched, g, base, prefix, l.ledger, m)
	l.monitor = newMonitor(log)
	log.Info("load ready", slog.String("target", base.Redacted()), slog.Uint64("requests", sched.total),
		slog.Duration("for", sched.Duration()), slog.Uint64("seed", sched.seed))
	return l, nil
}

// classRun drives one request class: its own vegeta attack, its own bulkhead of workers.
type classRun struct {
	sched    *Schedule
	plan     *classPlan
	start    time.Time
	pacer    *pacer
	ring     *ring
	recorder *recorder
	slots    chan struct{}
	sender   sender
	prefix   string
	pool     *idPool
	ledger   *ledger
	metrics  *metrics
	log      *slog.Logger
}

func newClassRun(sched *Schedule, plan *classPlan, start time.Time) *classRun {
	spec := sched.spec
	peak := sched.curve.peak() * plan.share
	// Twice the peak, since Poisson arrivals and catching up both exceed the curve for a while.
	span := uint64(2*peak*(spec.Timeout+spec.MaxLag+time.Second).Seconds() + float64(spec.MaxInFlight))
	c := &classRun{
		sched: sched, plan: plan, start: start,
		ring:     newRing(span),
		recorder: newRecorder(plan.Name, plan.planned),
		slots:    make(chan struct{}, spec.MaxInFlight),
	}
	c.pacer = &pacer{
		start: start, arrivals: sched.arrivals(plan), slots: c.slots, ring: c.ring,
		rate:   func(t time.Duration) float64 { return sched.Rate(t) * plan.share },
		maxLag: spec.MaxLag, recorder: c.recorder, wait: waitUntil,
	}
	return c
}

// attack sends the class's requests and records their results until the schedule or ctx ends. All
// its goroutines have ended when it returns.
//
// What it relies on in vegeta v12.13.0, lib/attack.go: Pace is called from one goroutine with hits
// rising by one; with Workers equal to MaxWorkers no worker is ever added and a tick waits for a
// free one, which the slots guarantee to exist; duration 0 never ends by vegeta's clock; stop=true
// lets every request in flight finish and then closes the results. Only Workers, MaxWorkers and
// Client are used: most other options assume a *http.Transport, and panic otherwise.
func (c *classRun) attack(ctx context.Context) error {
	var once sync.Once
	var broken error
	fail := func(err error) { once.Do(func() { broken = err }) }
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	workers := uint64(cap(c.slots))
	attacker := vegeta.NewAttacker(
		vegeta.Workers(workers), vegeta.MaxWorkers(workers),
		vegeta.Client(&http.Client{Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if err := c.roundTrip(ctx, req); err != nil {
				fail(err)
				cancel()
				return nil, err
			}
			return done(req), nil
		})}))
	// The targeter only gives vegeta something to count: roundTrip makes the real request.
	blueprint := func(t *vegeta.Target) error {
		t.Method, t.URL = http.MethodGet, "http://127.0.0.1/"
		return nil
	}
	pace := paceFunc(func(hits uint64) (stop bool) {
		stop, err := c.pacer.release(ctx, hits)
		if err != nil {
			fail(err)
			return true
		}
		return stop
	})
	for result := range attacker.Attack(blueprint, pace, 0, c.plan.Name) {
		if err := c.settle(result); err != nil {
			fail(err)
			cancel() // and go on reading, so that the workers can end
		}
	}
	if broken != nil {
		return fmt.Errorf("class %s: %w", c.plan.Name, broken)
	}
	return nil
}

// paceFunc is a vegeta.Pacer that does its own waiting.
type paceFunc func(hits uint64) (stop bool)

// Pace calls f, which returns when the hit is due.
func (f paceFunc) Pace(_ time.Duration, hits uint64) (time.Duration, bool) { return 0, f(hits) }

// Rate is part of the interface for vegeta's own reports, which are not used.
func (f paceFunc) Rate(time.Duration) float64 { return 0 }

// roundTripFunc is an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// done is what vegeta gets for every request; the real answer has been read and judged.
func done(req *http.Request) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: req}
}

// roundTrip sends the request that vegeta's number stands for and judges the answer.
func (c *classRun) roundTrip(ctx context.Context, req *http.Request) error {
	seq, err := strconv.ParseUint(req.Header.Get("X-Vegeta-Seq"), 10, 64)
	if err != nil {
		return fmt.Errorf("vegeta's sequence number: %w", err)
	}
	h, err := c.ring.get(seq)
	if err != nil {
		return err
	}
	r := c.sched.request(c.plan, h.n, c.prefix, c.pool)
	x := c.sender.send(ctx, r)
	h.done, h.attempts, h.bytesIn, h.bytesOut = x.done, x.attempts, x.bytesIn, x.bytesOut
	h.judgement = r.judge(x, ctx.Err() != nil)
	for _, id := range h.judgement.ids {
		c.pool.add(id)
	}
	c.ledger.add(c.plan.Name, h.due, x.done.Sub(c.start), h.judgement.writes)
	return nil
}

// settle records a finished hit and frees its slot.
func (c *classRun) settle(result *vegeta.Result) error {
	h, err := c.ring.get(result.Seq)
	if err != nil {
		return err
	}
	c.ring.free(result.Seq)
	j := &h.judgement
	x := sample{
		due: h.due, sent: result.Timestamp.Sub(c.start), done: h.done.Sub(c.start),
		outcome: j.outcome, reason: j.reason, units: j.units, attempts: h.attempts,
		bytesIn: h.bytesIn, bytesOut: h.bytesOut, excused: h.excused,
	}
	if x.outcome == 0 {
		return errors.New("a request came back without an outcome")
	}
	if x.sent < x.due-time.Millisecond { // the pacer's one promise; see ring
		return fmt.Errorf("request %d was sent %v before it was due", h.n, x.due-x.sent)
	}
	c.recorder.record(x)
	c.metrics.record(c.plan.Name, x)
	<-c.slots
	return nil
}

// ledger collects the writes of all classes and the prober.
type ledger struct {
	mu     sync.Mutex
	writes []Write
}

func (l *ledger) add(class string, due, done time.Duration, writes []Write) {
	if len(writes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range writes {
		w.Class, w.Due, w.Done = class, due, done
		l.writes = append(l.writes, w)
	}
}

// sorted returns the writes by due time. No writer may be left.
func (l *ledger) sorted() []Write {
	slices.SortStableFunc(l.writes, func(a, b Write) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Key, b.Key))
	})
	return l.writes
}
