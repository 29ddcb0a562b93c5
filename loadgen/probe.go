package loadgen

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// gapNoted is the shortest gap that is kept with its instant. Whoever judges by gaps draws the line at
// a second; the host's ordinary noise stays below half of one.
const gapNoted = 500 * time.Millisecond

// The prober's series. Fresh opens a connection for each probe and so sees what a new client sees;
// pooled keeps one and sees what a client with connections from before a fault sees.
const (
	seriesWriteFresh  = "write-fresh"
	seriesWritePooled = "write-pooled"
	seriesReadFresh   = "read-fresh"
	seriesReadPooled  = "read-pooled"
)

func probeSeries() []string {
	return []string{seriesWriteFresh, seriesWritePooled, seriesReadFresh, seriesReadPooled}
}

// ProbesWrites says whether the prober writes: it does with EcoTrack's generated requests. To another system it sends
// nothing that could change it.
func (s Spec) ProbesWrites() bool {
	return slices.ContainsFunc(s.Mix, func(c Class) bool { return c.Path == "" })
}

// ProbesReads says whether the prober reads: with EcoTrack's requests, or where a class of the mix is a GET.
func (s Spec) ProbesReads() bool { return s.ProbesWrites() || slices.ContainsFunc(s.Mix, Class.isGet) }

// isGet says whether the class is a fixed GET.
func (c Class) isGet() bool { return c.Path != "" && (c.Method == http.MethodGet || c.Method == "") }

// prober asks on a fixed schedule of its own, apart from the load: its clients share nothing with
// it, and each attempt is a goroutine, so that one that hangs does not delay the next.
type prober struct {
	sched   *Schedule
	prefix  string
	series  []string   // what is probed
	fixed   *classPlan // a target other than EcoTrack: the first class that is a GET; nothing else is safe to repeat
	fresh   sender
	pooled  sender
	ledger  *ledger
	metrics *metrics
	clients []*http.Client

	mu     sync.Mutex
	probes []Probe
	row    string // id of a calculation that the prober wrote
	gapMax time.Duration
	gaps   []Gap // at most two a second for each series
}

func newProber(
	sched *Schedule, g guard, base *url.URL, prefix string, l *ledger, m *metrics,
) *prober {
	p := &prober{sched: sched, prefix: prefix, ledger: l, metrics: m}
	if sched.spec.ProbesWrites() {
		p.series = probeSeries()
	} else if i := slices.IndexFunc(sched.classes, func(c *classPlan) bool { return c.isGet() }); i >= 0 {
		p.series, p.fixed = []string{seriesReadFresh, seriesReadPooled}, sched.classes[i]
	}
	timeout := sched.spec.Probe.Timeout
	fresh, pooled := g.client(0, false), g.client(p.limit(), true)
	p.clients = []*http.Client{fresh, pooled}
	p.fresh = sender{transport: fresh.Transport, base: base, timeout: timeout}
	p.pooled = sender{transport: pooled.Transport, base: base, timeout: timeout}
	return p
}

// limit bounds the attempts of one series in flight. The deadline ends each of them, so more can
// only be under way when the generator itself does not get to run.
func (p *prober) limit() int {
	return int(p.sched.spec.Probe.Timeout/p.sched.spec.Probe.Every) + 4
}

// run probes every series until ctx ends or the load is over, and waits for every attempt.
func (p *prober) run(ctx context.Context, start time.Time) {
	defer func() {
		for _, c := range p.clients {
			c.CloseIdleConnections()
		}
	}()
	var all sync.WaitGroup
	defer all.Wait()
	if slices.Contains(p.series, seriesWriteFresh) && time.Until(start) > 0 {
		// A row to read from second zero on. The first acknowledged write probe does as well, so a
		// failure here needs no report of its own.
		all.Go(func() { p.attempt(ctx, start, seriesWriteFresh, 0, time.Since(start)) })
	}
	for i, series := range p.series {
		phase := time.Duration(i) * p.sched.spec.Probe.Every / time.Duration(len(p.series))
		all.Go(func() { p.probe(ctx, start, series, phase) })
	}
}

// probe starts an attempt at phase, phase+Every, phase+2*Every and so on. An attempt that came
// late is still made: its own times tell.
func (p *prober) probe(ctx context.Context, start time.Time, series string, phase time.Duration) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	slots := make(chan struct{}, p.limit())
	last := phase
	for n, due := uint64(1), phase; ; n, due = n+1, due+p.sched.spec.Probe.Every {
		if due >= p.sched.Duration() || !waitFor(ctx, start.Add(due)) {
			return
		}
		now := time.Since(start)
		p.noteGap(Gap{At: last, For: now - last})
		last = now
		select {
		case slots <- struct{}{}:
			attempts.Go(func() {
				defer func() { <-slots }()
				if probe, whole := p.attempt(ctx, start, series, n, due); whole {
					p.note(probe)
				}
			})
		default:
			p.note(Probe{Series: series, Due: due, Done: now, Error: "unsent"})
		}
	}
}

// attempt makes one probe. One that was interrupted is not whole and proves nothing.
func (p *prober) attempt(
	ctx context.Context, start time.Time, series string, n uint64, due time.Duration,
) (made Probe, whole bool) {
	s := p.pooled
	if series == seriesWriteFresh || series == seriesReadFresh {
		s = p.fresh
	}
	// A probe that came late has less time left: its deadline counts from its due time, as its
	// outage does. It keeps at least half, so that the generator's lateness is no outage.
	s.timeout = max(s.timeout-(time.Since(start)-due), s.timeout/2)
	r := p.request(series, n)
	x := s.send(ctx, r)
	j := r.judge(x, ctx.Err() != nil)
	done := x.done.Sub(start)
	p.ledger.add(probeClass, due, done, j.writes)
	if len(j.ids) > 0 {
		p.mu.Lock()
		if p.row == "" {
			p.row = j.ids[0]
		}
		p.mu.Unlock()
	}
	made = Probe{Series: series, Due: due, Done: done, OK: j.outcome == outcomeOK, Error: j.reason}
	return made, j.outcome != outcomeCancelled
}

// request builds the nth request of a series.
func (p *prober) request(series string, n uint64) *request {
	id := "probe-" + p.prefix + "-" + series + "-" + strconv.FormatUint(n, 10)
	r := &request{id: id}
	switch {
	case p.fixed != nil:
		r.method, r.path = http.MethodGet, p.fixed.Path
	case series == seriesWriteFresh || series == seriesWritePooled:
		r.kind = requestCalculate
		r.calculate(drawActivity(stream(p.sched.seed, probeClass, series, n), p.sched.factors))
	default:
		p.mu.Lock()
		row := p.row
		p.mu.Unlock()
		r.kind, r.method, r.want = requestRead, http.MethodGet, row
		if row == "" {
			// Nothing was acknowledged yet. EcoTrack's own "not found" proves that it could look.
			row, r.mayMiss = "none", true
		}
		r.path = "/v1/calculations/" + url.PathEscape(row)
	}
	return r
}

func (p *prober) note(probe Probe) {
	p.mu.Lock()
	p.probes = append(p.probes, probe)
	p.mu.Unlock()
	p.metrics.probe(probe)
}

func (p *prober) noteGap(g Gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gapMax = max(p.gapMax, g.For)
	if g.For >= max(gapNoted, 2*p.sched.spec.Probe.Every) {
		p.gaps = append(p.gaps, g)
	}
}

// sortedGaps returns the gaps by their beginning. No series may be left.
func (p *prober) sortedGaps() []Gap {
	slices.SortFunc(p.gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.For, b.For))
	})
	return p.gaps
}

// sorted returns the probes by due time. No attempt may be left.
func (p *prober) sorted() []Probe {
	slices.SortStableFunc(p.probes, func(a, b Probe) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Series, b.Series))
	})
	return p.probes
}
