package loadgen

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"sort"
	"time"
)

// subBucketBits sets the precision: 2^10 buckets per octave of microseconds, so that a bucket's
// middle is within 0.05 % of every value in it.
const subBucketBits = 10

// lastBucket is the bucket of the longest time.Duration.
const lastBucket = 45080

// Histogram counts durations in log-linear buckets of microseconds. It is sparse: memory grows with
// the number of different buckets hit, never with the number of values. The zero value is empty and
// ready. Not safe for concurrent use.
type Histogram struct {
	buckets []bucket // sorted by index
	count   uint64
	sum     time.Duration
	max     time.Duration
}

type bucket struct {
	index uint32
	count uint64
}

// Record adds one duration; negative ones count as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.add(bucketIndex(d), 1)
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds every value of other. The result is exact: buckets are the same everywhere.
func (h *Histogram) Merge(other Histogram) {
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
	if len(other.buckets) == 0 {
		return
	}
	merged := make([]bucket, 0, len(h.buckets)+len(other.buckets))
	a, b := h.buckets, other.buckets
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			merged, a = append(merged, a[0]), a[1:]
		case a[0].index > b[0].index:
			merged, b = append(merged, b[0]), b[1:]
		default:
			merged = append(merged, bucket{a[0].index, a[0].count + b[0].count})
			a, b = a[1:], b[1:]
		}
	}
	h.buckets = append(append(merged, a...), b...)
}

func (h *Histogram) add(index uint32, n uint64) {
	i := sort.Search(len(h.buckets), func(i int) bool { return h.buckets[i].index >= index })
	if i < len(h.buckets) && h.buckets[i].index == index {
		h.buckets[i].count += n
		return
	}
	h.buckets = append(h.buckets, bucket{})
	copy(h.buckets[i+1:], h.buckets[i:])
	h.buckets[i] = bucket{index, n}
}

// Count is the number of values recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the largest value recorded, exact.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the exact mean of the values; 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count) //nolint:gosec // nobody records 2^63 values
}

// Quantile is the value at quantile q, 0 <= q <= 1: the smallest bucket that holds the value of rank
// ceil(q*count). It is within 0.1 % of the exact value; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.count))), 1)
	var seen uint64
	for _, b := range h.buckets {
		seen += b.count
		if seen >= rank {
			return min(bucketValue(b.index), h.max)
		}
	}
	return h.max
}

// Above is how many values were larger than d, to the precision of a bucket.
func (h *Histogram) Above(d time.Duration) uint64 {
	limit := bucketIndex(d)
	var n uint64
	for _, b := range h.buckets {
		if b.index > limit {
			n += b.count
		}
	}
	return n
}

func bucketIndex(d time.Duration) uint32 {
	us := uint64(max(d, 0) / time.Microsecond)
	shift := max(bits.Len64(us)-(subBucketBits+1), 0)
	return uint32(shift<<subBucketBits) + uint32(us>>shift) //nolint:gosec // shift < 64, us>>shift < 2^11
}

// bucketValue is the middle of a bucket.
func bucketValue(index uint32) time.Duration {
	if index < 2<<subBucketBits {
		return time.Duration(index) * time.Microsecond
	}
	shift := index>>subBucketBits - 1
	low := uint64(index-shift<<subBucketBits) << shift
	return time.Duration(low+(1<<shift)/2) * time.Microsecond //nolint:gosec // no bucket is behind lastBucket
}

type histogramJSON struct {
	Count   uint64   `json:"n"`
	SumNs   int64    `json:"sum_ns"`
	MaxNs   int64    `json:"max_ns"`
	Buckets []uint64 `json:"buckets"` // index, count, index, count, ...
}

// MarshalJSON writes the histogram without loss.
func (h Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{h.count, int64(h.sum), int64(h.max), make([]uint64, 0, 2*len(h.buckets))}
	for _, b := range h.buckets {
		j.Buckets = append(j.Buckets, uint64(b.index), b.count)
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if len(j.Buckets)%2 != 0 {
		return fmt.Errorf("histogram: odd number of bucket values: %d", len(j.Buckets))
	}
	read := Histogram{count: j.Count, sum: time.Duration(j.SumNs), max: time.Duration(j.MaxNs)}
	for i := 0; i < len(j.Buckets); i += 2 {
		index := j.Buckets[i]
		if index > lastBucket {
			return fmt.Errorf("histogram: bucket %d, want at most %d", index, lastBucket)
		}
		read.add(uint32(index), j.Buckets[i+1])
	}
	*h = read
	return nil
}
