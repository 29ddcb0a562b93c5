package loadgen

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func distributions() map[string]func(*rand.Rand) time.Duration {
	return map[string]func(*rand.Rand) time.Duration{
		"constant":    func(*rand.Rand) time.Duration { return 7777 * time.Microsecond },
		"uniform":     func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Minute))) },
		"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(20*time.Millisecond)) },
		"log-normal":  func(r *rand.Rand) time.Duration { return time.Duration(math.Exp(r.NormFloat64()*3) * 1e6) },
		"two worlds": func(r *rand.Rand) time.Duration {
			if r.IntN(1000) == 0 {
				return 30*time.Second + time.Duration(r.IntN(1000))
			}
			return time.Duration(1+r.IntN(3)) * time.Millisecond
		},
		"bucket edges": func(r *rand.Rand) time.Duration {
			return time.Duration(1<<r.IntN(26)+r.IntN(3)-1) * time.Microsecond
		},
	}
}

// TestHistogramQuantiles: within 0.1 % of an exact sort up to p99.99, to the microsecond.
func TestHistogramQuantiles(t *testing.T) {
	for name, draw := range distributions() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			var h Histogram
			d := newDense()
			values := make([]time.Duration, 50_000)
			for i := range values {
				values[i] = min(draw(r), denseLimit)
				h.Record(values[i])
				d.record(values[i])
			}
			slices.Sort(values)
			if diff := cmp.Diff(h, d.pour(), cmp.AllowUnexported(Histogram{}, bucket{})); diff != "" {
				t.Errorf("sparse and dense differ (-sparse +dense):\n%s", diff)
			}
			for _, q := range []float64{0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
				exact := values[max(int(math.Ceil(q*float64(len(values))))-1, 0)]
				got := h.Quantile(q)
				if diff := (got - exact).Abs(); float64(diff) > 0.001*float64(exact)+float64(time.Microsecond) {
					t.Errorf("Quantile(%v) = %v, want %v", q, got, exact)
				}
			}
			if h.Max() != values[len(values)-1] || h.Count() != uint64(len(values)) {
				t.Errorf("Max() = %v, Count() = %d, want %v and %d", h.Max(), h.Count(), values[len(values)-1], len(values))
			}
		})
	}
}

// TestHistogramAbove: the count of larger values, to a bucket.
func TestHistogramAbove(t *testing.T) {
	var h Histogram
	for ms := range 1000 {
		h.Record(time.Duration(ms) * time.Millisecond)
	}
	for _, limit := range []int{0, 1, 100, 900, 999, 2000} {
		want := max(999-limit, 0)
		if got := h.Above(time.Duration(limit) * time.Millisecond); got != uint64(want) {
			t.Errorf("Above(%dms) = %d, want %d", limit, got, want)
		}
	}
}

// FuzzHistogram: merging is associative and commutative, JSON loses nothing, and quantiles rise.
func FuzzHistogram(f *testing.F) {
	f.Add(uint64(1), uint64(2), 10)
	f.Add(uint64(0), uint64(0), 0)
	f.Add(uint64(9), uint64(1<<63), 300)
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64, n int) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		var parts [3]Histogram
		for range max(min(n, 2000), -2000) + 2000 {
			parts[r.IntN(3)].Record(time.Duration(r.Uint64() >> (1 + r.IntN(63))))
		}
		join := func(order ...int) Histogram {
			var h Histogram
			for _, i := range order {
				h.Merge(parts[i])
			}
			return h
		}
		left := join(0, 1)
		left.Merge(parts[2])
		right := join(1, 2)
		var outer Histogram
		outer.Merge(parts[0])
		outer.Merge(right)
		same := cmp.AllowUnexported(Histogram{}, bucket{})
		if diff := cmp.Diff(left, outer, same); diff != "" {
			t.Errorf("(a+b)+c and a+(b+c) differ:\n%s", diff)
		}
		if diff := cmp.Diff(left, join(2, 0, 1), same); diff != "" {
			t.Errorf("a+b+c and c+a+b differ:\n%s", diff)
		}
		data, err := json.Marshal(left)
		if err != nil {
			t.Fatalf("Marshal() error: %v", err)
		}
		var back Histogram
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("Unmarshal() error: %v", err)
		}
		if diff := cmp.Diff(left, back, same); diff != "" {
			t.Errorf("JSON changed the histogram:\n%s", diff)
		}
		last := time.Duration(0)
		for q := 0.0; q <= 1; q += 0.01 {
			v := left.Quantile(q)
			if v < last || v > left.Max() {
				t.Fatalf("Quantile(%v) = %v after %v, max %v", q, v, last, left.Max())
			}
			last = v
		}
	})
}

func TestHistogramBadJSON(t *testing.T) {
	if got := bucketIndex(math.MaxInt64); got != lastBucket {
		t.Errorf("bucketIndex(MaxInt64) = %d, want lastBucket, %d", got, lastBucket)
	}
	for _, text := range []string{`{"buckets":[1]}`, `{"buckets":[45081,1]}`, `[]`, `{"n":-1}`} {
		var h Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("Unmarshal(%s): no error, want one", text)
		}
	}
}

// BenchmarkRecord is what one finished request costs the recorder.
func BenchmarkRecord(b *testing.B) {
	r := newRecorder("a", []uint64{math.MaxUint64})
	x := sample{outcome: outcomeOK, units: 1, attempts: 1, sent: time.Millisecond}
	r.record(x)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.done = time.Duration(i%100_000) * time.Microsecond
		r.record(x)
	}
}

// TestRecordAllocates holds what the benchmark reports.
func TestRecordAllocates(t *testing.T) {
	r := newRecorder("a", []uint64{math.MaxUint64})
	x := sample{outcome: outcomeTimeout, reason: "timeout", sent: time.Millisecond, done: time.Second}
	r.record(x)
	if got := testing.AllocsPerRun(1000, func() { r.record(x) }); got != 0 {
		t.Errorf("record() allocates %v times, want 0", got)
	}
}
