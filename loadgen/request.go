package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// How the due times of a class are spread.
const (
	arrivalsPoisson = "poisson"
	arrivalsEven    = "even"
)

// maxClasses keeps a class's index within the byte it has in request ids.
const maxClasses = 256

// probeClass is the class of the prober's writes in a Recording.
const probeClass = "probe"

// Schedule is everything that will be sent, from the load block and the seed: the same two give
// the same due times, ids and bodies, byte for byte (another processor architecture may round a due
// time by a nanosecond). It is read-only and safe for
// concurrent use.
type Schedule struct {
	spec    Spec
	seed    uint64
	curve   *curve
	classes []*classPlan
	factors []factor
	total   uint64
}

// classPlan is the part of one class in the schedule.
type classPlan struct {
	Class
	index   uint64
	share   float64  // of all requests, 0-1
	planned []uint64 // requests by second of their due time
	total   uint64
}

// NewSchedule lays out the load of spec. It fails with every mistake that Spec.Validate reports.
func NewSchedule(spec Spec, seed uint64) (*Schedule, error) {
	var mistakes []error
	spec.Validate(func(path, format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("load.%s: %s", path, fmt.Sprintf(format, args...)))
	})
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	factors, err := loadFactors()
	if err != nil {
		return nil, err
	}
	spec = spec.WithDefaults()
	s := &Schedule{spec: spec, seed: seed, curve: spec.Profile.curve(), factors: factors}
	var weights float64
	for _, c := range spec.Mix {
		weights += c.Weight
	}
	for i, c := range spec.Mix {
		p := &classPlan{Class: c, index: uint64(i), share: c.Weight / weights}
		p.planned = make([]uint64, s.Seconds())
		for a := s.arrivals(p); ; {
			due, more := a.next()
			if !more {
				break
			}
			p.planned[int(due/time.Second)]++
			p.total++
		}
		s.total += p.total
		s.classes = append(s.classes, p)
	}
	return s, nil
}

// Spec is the load block with its defaults filled in.
func (s *Schedule) Spec() Spec { return s.spec }

// Rate is the scheduled requests per second of all classes together at t; 0 outside the load.
func (s *Schedule) Rate(t time.Duration) float64 { return s.curve.rate(t.Seconds()) }

// Planned is the mean scheduled rate of every second of the run, all classes together, in requests
// per second. The last second may be a part of one; its mean is over that part.
func (s *Schedule) Planned() []float64 {
	rates := make([]float64, s.Seconds())
	for i := range rates {
		from, to := float64(i), min(float64(i+1), s.curve.length)
		rates[i] = (s.curve.integral(to) - s.curve.integral(from)) / (to - from)
	}
	return rates
}

// Total is the number of requests that will be sent.
func (s *Schedule) Total() uint64 { return s.total }

// Duration is the length of the load.
func (s *Schedule) Duration() time.Duration { return s.spec.Profile.For }

// Seconds is Duration in seconds, rounded up.
func (s *Schedule) Seconds() int {
	return int((s.spec.Profile.For + time.Second - 1) / time.Second)
}

// WriteTo writes every request in order: class, due time, id and body, a class after the other. It
// is the schedule's fingerprint: hash it to compare two. Reads are written without their id, which
// the target gives out during the run.
func (s *Schedule) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for _, p := range s.classes {
		a := s.arrivals(p)
		for n := uint64(0); ; n++ {
			due, more := a.next()
			if !more {
				break
			}
			r := s.request(p, n, s.prefix(""), nil)
			k, err := fmt.Fprintf(w, "%s %d %s %s %s %s\n", p.Name, due, r.id, r.method, r.path, r.body)
			written += int64(k)
			if err != nil {
				return written, fmt.Errorf("schedule: %w", err)
			}
		}
	}
	return written, nil
}

// arrivals walks through the due times of a class.
type arrivals struct {
	inverse inverse
	share   float64
	draw    *rand.Rand // nil: even
	hits    float64    // of this class, before the next request
	last    time.Duration
	end     time.Duration
}

// goldenRatio's multiples modulo 1 are spread as evenly as any sequence can be: with it as phase,
// the even arrivals of several classes do not beat.
const goldenRatio = 0.61803398874989485

// arrivals starts at the first request of the class.
//
// Time rescaling: with H the integral of the class's rate, due(n) = Hinv(n + phase) is even and
// due(n) = Hinv(E_1 + ... + E_n), E exponential with mean 1, is a Poisson process of that rate.
func (s *Schedule) arrivals(p *classPlan) *arrivals {
	a := &arrivals{inverse: inverse{curve: s.curve}, share: p.share, end: s.spec.Profile.For}
	if s.spec.Arrivals == arrivalsPoisson {
		a.draw = stream(s.seed, p.Name, "arrivals", 0)
		a.hits = a.draw.ExpFloat64()
	} else {
		_, a.hits = math.Modf(float64(p.index+1) * goldenRatio)
	}
	return a
}

// next is the due time of the next request, or false after the last. Due times never fall.
func (a *arrivals) next() (time.Duration, bool) {
	seconds, more := a.inverse.due(a.hits / a.share)
	if !more {
		return 0, false
	}
	if a.draw != nil {
		a.hits += a.draw.ExpFloat64()
	} else {
		a.hits++
	}
	due := time.Duration(seconds * float64(time.Second))
	a.last = max(a.last, min(due, a.end-1)) // rounding must not leave the run or turn back
	return a.last, true
}

// stream is the source of chance for one purpose of one class, and where the purpose is a request's
// content, of its nth request. A draw more in one stream never shifts another.
func stream(seed uint64, class, purpose string, n uint64) *rand.Rand {
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	h.Write(b[:])
	h.Write([]byte(class))
	h.Write([]byte{0})
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(h.Sum64(), splitMix(n)))
}

// splitMix spreads n over all bits, since PCG streams of neighbouring seeds start alike. The
// constants are those of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators".
func splitMix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// prefix starts every id of a run: the run's id, or where there is none the seed.
func (s *Schedule) prefix(runID string) string {
	if runID != "" {
		return runID
	}
	return fmt.Sprintf("%016x", s.seed)
}

// requestID is prefix, class and number: "run-00-000000000000002a".
func requestID(prefix string, class, n uint64) string {
	b := make([]byte, 0, len(prefix)+20)
	b = append(b, prefix...)
	b = append(b, '-')
	b = appendHex(b, class, 2)
	b = append(b, '-')
	return string(appendHex(b, n, 16))
}

func appendHex(b []byte, v uint64, digits int) []byte {
	text := strconv.AppendUint(nil, v, 16)
	for range digits - len(text) {
		b = append(b, '0')
	}
	return append(b, text...)
}

// request is what is sent for one due time.
type request struct {
	kind        string // one of the generated requests; empty: fixed
	id          string // X-Request-Id, and the stem of every key
	method      string
	path        string // with query
	contentType string
	body        []byte
	durable     bool    // carries the id as Idempotency-Key
	items       []asked // the calculations asked for
	want        string  // read: the id that the answer must hold
	mayMiss     bool    // read: a typed 404 is good, too: it proves that the database answered
}

// asked is one durable calculation within a request.
type asked struct {
	key      string
	activity activity
}

// request builds the nth request of a class. The ids pool may be nil: then reads fall back to the
// catalogue.
func (s *Schedule) request(p *classPlan, n uint64, prefix string, pool *idPool) *request {
	r := &request{id: requestID(prefix, p.index, n)}
	if p.Path != "" {
		r.method, r.path, r.body = p.Method, p.Path, []byte(p.Body)
		if p.Body != "" {
			r.contentType = jsonType
		}
		return r
	}
	r.kind = p.Request
	r.fill(stream(s.seed, p.Name, "content", n), s.factors, pool)
	return r
}
