package verdict

import "math"

// confidence is the one-sided level of every bound. A two-sided reader sees a 90 % interval.
const confidence = 0.95

// ClopperPearson returns the exact one-sided bounds, each at the given confidence (0-1), on the
// probability behind k hits in n tries: lower is the smallest p with P(X >= k) >= 1-confidence,
// upper the largest p with P(X <= k) >= 1-confidence. 0 <= k <= n; n = 0 gives 0 and 1.
//
// Source: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in
// the case of the binomial", Biometrika 26 (1934); in its beta form, lower = B(1-c; k, n-k+1) and
// upper = B(c; k+1, n-k), as in NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.4.1.
func ClopperPearson(k, n uint64, confidence float64) (lower, upper float64) {
	lower, upper = 0, 1
	if k > 0 {
		lower = betaQuantile(1-confidence, float64(k), float64(n-k)+1)
	}
	if k < n {
		upper = betaQuantile(confidence, float64(k)+1, float64(n-k))
	}
	return lower, upper
}

// minimumSamples is the smallest n at which not one bad request proves, at the one-sided
// confidence, that the bad share is at most target: (1-target)^n <= 1-confidence. It is 5 for the
// median, 29 for p90, 59 for p95, 299 for p99 and 2995 for p99.9; 1 where nothing may be bad.
func minimumSamples(target float64) uint64 {
	if target <= 0 || target >= 1 {
		return 1
	}
	return uint64(math.Ceil(math.Log(1-confidence) / math.Log1p(-target)))
}

// SamplesNeeded is the smallest number of requests that can meet the objective: at which not one bad
// request proves, with 95 % confidence, that the share of bad ones is at most what is allowed. It
// is 0 for objectives that do not allow a share.
func (o Objective) SamplesNeeded() uint64 {
	target := o.allowed()
	if target <= 0 || target >= 1 {
		return 0
	}
	return minimumSamples(target)
}

// allowed is the share of requests that may be bad; 0 where the objective allows no share.
func (o Objective) allowed() float64 {
	if thousandths, ok := percentile(o.Metric); ok {
		return float64(1000-thousandths) / 1000
	}
	if o.Metric == "error_ratio" {
		return o.Bound
	}
	return 0
}

// betaQuantile inverts regularisedBeta by bisection; the function is strictly increasing in x.
func betaQuantile(p, a, b float64) float64 {
	low, high := 0.0, 1.0
	for range 100 { // 2^-100 is below the spacing of float64 anywhere in (0, 1) that matters
		x := low + (high-low)/2
		if x == low || x == high {
			break
		}
		if regularisedBeta(x, a, b) < p {
			low = x
		} else {
			high = x
		}
	}
	return low + (high-low)/2
}

// regularisedBeta is I_x(a, b), a, b > 0. Source: Abramowitz and Stegun 26.5.8 (the continued
// fraction), with the symmetry 26.5.2 applied where the fraction converges slowly.
func regularisedBeta(x, a, b float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	if x > (a+1)/(a+b+2) {
		return 1 - regularisedBetaLeft(1-x, b, a)
	}
	return regularisedBetaLeft(x, a, b)
}

func regularisedBetaLeft(x, a, b float64) float64 {
	sum, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(sum - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	return front * betaFraction(x, a, b) / a
}

// betaFraction evaluates the continued fraction with Lentz's method (W. J. Lentz, Applied Optics
// 15, 1976, as modified by Thompson and Barnett). It needs about sqrt(max(a, b)) terms.
func betaFraction(x, a, b float64) float64 {
	const tiny, precision = 1e-300, 1e-15
	away := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	f := d
	limit := 1000 + int(10*math.Sqrt(max(a, b)))
	for i := 1; i <= limit; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / away(1+even*d)
		c = away(1 + even/c)
		f *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+odd*d)
		c = away(1 + odd/c)
		f *= d * c
		if math.Abs(d*c-1) < precision {
			break
		}
	}
	return f
}
