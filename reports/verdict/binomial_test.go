package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestClopperPearson(t *testing.T) {
	for _, test := range []struct {
		name         string
		k, n         uint64
		confidence   float64
		lower, upper float64
	}{
		{"nothing tried", 0, 0, .95, 0, 1},
		{"none of 299: 1 - 0.05^(1/299)", 0, 299, .95, 0, 1 - math.Pow(.05, 1.0/299)},
		{"none of 59", 0, 59, .95, 0, 1 - math.Pow(.05, 1.0/59)},
		{"all of 10: 0.05^(1/10)", 10, 10, .95, math.Pow(.05, .1), 1},
		// The two-sided 95 % intervals of R's binom.test, so 97.5 % on each side.
		{"R binom.test(682, 925)", 682, 925, .975, 0.7076683, 0.7654066},
		{"R binom.test(1, 10)", 1, 10, .975, 0.002528579, 0.4450161},
		{"R binom.test(5, 10)", 5, 10, .975, 0.187086, 0.812914},
	} {
		lower, upper := ClopperPearson(test.k, test.n, test.confidence)
		if math.Abs(lower-test.lower) > 1e-6 || math.Abs(upper-test.upper) > 1e-6 {
			t.Errorf("%s: ClopperPearson(%d, %d, %v) = %.7f, %.7f, want %.7f, %.7f",
				test.name, test.k, test.n, test.confidence, lower, upper, test.lower, test.upper)
		}
	}
}

// TestClopperPearsonTails holds the bounds against their definition: the binomial tail summed up
// term by term at each bound is 5 %.
func TestClopperPearsonTails(t *testing.T) {
	tail := func(n, from, to uint64, p float64) float64 {
		sum := 0.0
		for k := from; k <= to; k++ {
			a, _ := math.Lgamma(float64(n + 1))
			b, _ := math.Lgamma(float64(k + 1))
			c, _ := math.Lgamma(float64(n - k + 1))
			sum += math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
		}
		return sum
	}
	for _, n := range []uint64{1, 2, 7, 100, 2995, 40000} {
		for _, k := range []uint64{1, 2, n / 100, n / 3, n / 2, n - 1} {
			if k < 1 || k >= n {
				continue
			}
			lower, upper := ClopperPearson(k, n, .95)
			if got := tail(n, k, n, lower); math.Abs(got-.05) > 1e-6 {
				t.Errorf("P(X >= %d of %d) at the lower bound %v = %v, want 0.05", k, n, lower, got)
			}
			if got := tail(n, 0, k, upper); math.Abs(got-.05) > 1e-6 {
				t.Errorf("P(X <= %d of %d) at the upper bound %v = %v, want 0.05", k, n, upper, got)
			}
		}
	}
}

func TestClopperPearsonLargeSample(t *testing.T) {
	// The normal approximation is good to a few per cent of the distance here.
	const n, k = 10_000_000, 100_000
	lower, upper := ClopperPearson(k, n, .95)
	half := 1.6448536 * math.Sqrt(.01*.99/n)
	if math.Abs(lower-(.01-half)) > .02*half || math.Abs(upper-(.01+half)) > .02*half {
		t.Errorf("ClopperPearson(%d, %d, .95) = %v, %v, want about %v, %v", k, n, lower, upper, .01-half, .01+half)
	}
}

func TestMinimumSamples(t *testing.T) {
	for _, test := range []struct {
		target float64
		want   uint64
	}{{.5, 5}, {.1, 29}, {.05, 59}, {.01, 299}, {.001, 2995}, {0, 1}, {1, 1}} {
		got := minimumSamples(test.target)
		if got != test.want {
			t.Errorf("minimumSamples(%v) = %d, want %d", test.target, got, test.want)
		}
		if test.target > 0 && test.target < 1 {
			_, upper := ClopperPearson(0, got, confidence)
			_, fewer := ClopperPearson(0, got-1, confidence)
			if upper > test.target || fewer <= test.target {
				t.Errorf("upper bounds at %d and %d samples are %v and %v, want %v between them", got, got-1, upper, fewer, test.target)
			}
		}
	}
}

// TestTheBoundsDecideAtTheirConfidence: a target that is on the wrong side of its objective is called right at most once in
// twenty, whatever the sample. By the point estimate one that is 20 % over its share passed 23 % of the time.
func TestTheBoundsDecideAtTheirConfidence(t *testing.T) {
	const trials, allowed = 2000, .05 + .015 // 3 standard deviations of the share of trials
	random := rand.New(rand.NewPCG(12, 7))
	for _, n := range []uint64{299, 1196, 2000, 6000} {
		for _, test := range []struct {
			share float64 // that is bad in truth
			wrong func(decided, enough bool) bool
			name  string
		}{
			{.0100001, func(decided, enough bool) bool { return decided && enough }, "met, and it is over its share"},
			{.012, func(decided, enough bool) bool { return decided && enough }, "met, and it is 20 % over its share"},
			{.01, func(decided, enough bool) bool { return decided && !enough }, "missed, and it keeps its share"},
			{.008, func(decided, enough bool) bool { return decided && !enough }, "missed, and it is 20 % below its share"},
		} {
			wrong, sides := 0, map[uint64]bool{}
			for range trials {
				bad := drawn(random, n, test.share)
				if _, known := sides[bad]; !known {
					lower, upper := ClopperPearson(bad, n, confidence)
					sides[bad] = test.wrong(sideOf(.01, lower, upper))
				}
				if sides[bad] {
					wrong++
				}
			}
			if got := float64(wrong) / trials; got > allowed {
				t.Errorf("%d requests, a true share of %v: %.3f of runs are %s, want at most %v", n, test.share, got, test.name, allowed)
			}
		}
	}
}

// drawn is how many of n are bad, each with the given chance: the gaps between them are geometric.
func drawn(random *rand.Rand, n uint64, share float64) (bad uint64) {
	for at := uint64(0); ; bad++ {
		at += 1 + uint64(math.Log(1-random.Float64())/math.Log1p(-share))
		if at > n {
			return bad
		}
	}
}
