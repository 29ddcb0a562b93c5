package loadgen

import (
	"slices"
	"sync"
	"time"
)

// dense counts durations in the same buckets as Histogram, one slot each: recording is an index and
// an increment. It lives while its second is open and is then poured into a Histogram.
type dense struct {
	counts []uint32
	count  uint64
	sum    time.Duration
	max    time.Duration
}

// denseLimit is the last bucket held densely: 2 minutes, beyond any timeout in use. Longer
// durations share that bucket; max stays exact.
const denseLimit = 2 * time.Minute

func newDense() *dense {
	return &dense{counts: make([]uint32, bucketIndex(denseLimit)+1)}
}

func (d *dense) record(v time.Duration) {
	v = max(v, 0)
	d.counts[min(int(bucketIndex(v)), len(d.counts)-1)]++
	d.count++
	d.sum += v
	d.max = max(d.max, v)
}

// pour returns the histogram and empties the counters.
func (d *dense) pour() Histogram {
	h := Histogram{count: d.count, sum: d.sum, max: d.max}
	if d.count > 0 {
		last := min(int(bucketIndex(d.max)), len(d.counts)-1)
		used := d.counts[:last+1]
		n := 0
		for _, c := range used {
			if c > 0 {
				n++
			}
		}
		h.buckets = make([]bucket, 0, n)
		for i, c := range used {
			if c > 0 {
				h.buckets = append(h.buckets, bucket{uint32(i), uint64(c)})
			}
		}
		clear(used)
	}
	d.count, d.sum, d.max = 0, 0, 0
	return h
}

// sample is one planned request as it ended.
type sample struct {
	due      time.Duration
	sent     time.Duration // when a worker took it up
	done     time.Duration
	outcome  outcome
	reason   string // of a failure
	units    uint64
	attempts uint64
	bytesIn  uint64
	bytesOut uint64
	// excused: no worker was free when it was due, or it waited behind such a request. Its lag is
	// the target's doing and says nothing about the generator.
	excused bool
}

// openSecond collects a second of due times until all its requests have ended.
type openSecond struct {
	Counts
	units    uint64
	response *dense
	lag      *dense
	settled  uint64 // requests that ended or were not sent
	own      ownLag
}

// ownLag counts, for one second, how the generator kept its own time.
type ownLag struct {
	sent    uint64 // requests whose lag is the generator's own
	late    uint64 // of those, how many were more than lateLimit late
	starved uint64 // never sent although a worker was free: the generator came too late
}

// lateLimit is the lag beyond which a request counts as late by the generator's own fault. It is
// well above the scheduling noise of a busy two-core host (reference note loadgen, 4.8 asks for
// 1 ms on a quiet one) and well below what any objective here is about.
const lateLimit = 100 * time.Millisecond

// recorder keeps one class. The memory of a running second is reused. Safe for concurrent use.
type recorder struct {
	mu      sync.Mutex // the pacer, the reader of results and the progress tick
	class   string
	planned []uint64
	open    map[int]*openSecond
	spare   []*openSecond
	seconds []Second
	own     []ownLag // by second
	total   ClassTotal
	service *dense
	failure *dense
	ownLag  *dense // lag while a worker was free, whole run
	recent  *dense // response times since the last progress tick
	running Counts // so far, for progress
	last    time.Duration
	metrics *metrics
}

func newRecorder(class string, planned []uint64) *recorder {
	return &recorder{
		class: class, planned: planned, open: make(map[int]*openSecond),
		own:     make([]ownLag, len(planned)),
		total:   ClassTotal{Name: class, Errors: make(map[string]uint64)},
		service: newDense(), failure: newDense(), ownLag: newDense(), recent: newDense(),
	}
}

// second returns the open second of a due time.
func (r *recorder) second(due time.Duration) (int, *openSecond) {
	at := int(due / time.Second)
	s, found := r.open[at]
	if !found {
		if n := len(r.spare); n > 0 {
			s, r.spare = r.spare[n-1], r.spare[:n-1]
		} else {
			s = &openSecond{response: newDense(), lag: newDense()}
		}
		r.open[at] = s
	}
	return at, s
}

// record takes in one request that was sent.
func (r *recorder) record(x sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, s := r.second(x.due)
	r.total.Attempts += x.attempts
	r.total.BytesIn += x.bytesIn
	r.total.BytesOut += x.bytesOut
	if x.outcome == outcomeCancelled {
		r.total.Cancelled++
		r.settle(at, s)
		return
	}
	response, lag := x.done-x.due, x.sent-x.due
	r.last = max(r.last, x.done)
	r.recent.record(response)
	r.running.add(x.outcome)
	s.add(x.outcome)
	s.units += x.units
	s.lag.record(lag)
	r.service.record(x.done - x.sent)
	if x.outcome == outcomeOK || x.outcome == outcomeTimeout {
		s.response.record(response)
	}
	if x.outcome != outcomeOK {
		r.total.Errors[x.reason]++
		r.failure.record(response)
	}
	if !x.excused {
		s.own.sent++
		if lag > lateLimit {
			s.own.late++
		}
		r.ownLag.record(lag)
	}
	r.settle(at, s)
}

// unsent takes in one request that was due and never sent.
func (r *recorder) unsent(due time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, s := r.second(due)
	r.drop(at, s)
}

// starved takes in one that was never sent although a worker was free.
func (r *recorder) starved(due time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, s := r.second(due)
	s.own.starved++
	r.drop(at, s)
}

func (r *recorder) drop(at int, s *openSecond) {
	s.Unsent++
	r.running.Unsent++
	r.metrics.unsent(r.class)
	r.settle(at, s)
}

// settle closes a second when the last of its requests has ended.
func (r *recorder) settle(at int, s *openSecond) {
	s.settled++
	if s.settled >= r.planned[at] {
		r.close(at, s)
	}
}

func (r *recorder) close(at int, s *openSecond) {
	s.Planned = s.Sent + s.Unsent
	second := Second{
		At: at, Class: r.class, Counts: s.Counts, Units: s.units,
		Response: s.response.pour(), Lag: s.lag.pour(),
	}
	r.seconds = append(r.seconds, second)
	r.own[at] = s.own
	delete(r.open, at)
	*s = openSecond{response: s.response, lag: s.lag}
	r.spare = append(r.spare, s)
}

// finish closes what is open and sums up. Seconds without a planned request are filled in up to
// length, so that the series has no holes.
func (r *recorder) finish(length int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, s := range r.open {
		r.close(at, s)
	}
	seen := make(map[int]bool, len(r.seconds))
	for _, s := range r.seconds {
		seen[s.At] = true
	}
	for at := range length {
		if !seen[at] {
			r.seconds = append(r.seconds, Second{At: at, Class: r.class})
		}
	}
	slices.SortFunc(r.seconds, func(a, b Second) int { return a.At - b.At })
	for i := range r.seconds {
		s := &r.seconds[i]
		r.total.Counts = r.total.plus(s.Counts)
		r.total.Response.Merge(s.Response)
		r.total.Lag.Merge(s.Lag)
	}
	r.total.Service = r.service.pour()
	r.total.Failure = r.failure.pour()
}

// plus adds two counts.
func (c Counts) plus(o Counts) Counts {
	return Counts{
		Planned: c.Planned + o.Planned, Sent: c.Sent + o.Sent, Unsent: c.Unsent + o.Unsent,
		OK: c.OK + o.OK, HTTPError: c.HTTPError + o.HTTPError, Rejected: c.Rejected + o.Rejected,
		Timeout: c.Timeout + o.Timeout, Transport: c.Transport + o.Transport,
	}
}

// add counts one sent request by its outcome.
func (c *Counts) add(o outcome) {
	c.Sent++
	switch o {
	case outcomeOK:
		c.OK++
	case outcomeHTTPError:
		c.HTTPError++
	case outcomeRejected:
		c.Rejected++
	case outcomeTimeout:
		c.Timeout++
	default:
		c.Transport++
	}
}

// progress returns the counts so far, and adds the response times since the last call to h.
func (r *recorder) progress(h *Histogram) Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Merge(r.recent.pour())
	return r.running
}
