package loadgen

import (
	"math"
	"sort"
	"time"
)

// curve is a rate over time, linear between its knots, with its running integral:
//
//	rate      /\__            requests per second
//	     ____/    \____
//	hits          ___/        planned requests since zero
//	     ________/
//
// Every profile becomes a curve, so that its rate, its integral and the inverse of the integral,
// due(n), agree exactly. Times are seconds.
type curve struct {
	segments []segment // in order of time, without gaps
	length   float64   // seconds
	total    float64   // planned requests of the whole curve
}

// segment goes from one rate to another in a straight line.
type segment struct {
	start  float64 // seconds
	length float64 // seconds
	from   float64 // requests per second at its start
	to     float64 // requests per second at its end
	before float64 // planned requests of all segments before it
}

// hits is the integral of the rate over the segment.
func (s segment) hits() float64 { return (s.from + s.to) / 2 * s.length }

// add appends a straight line; a length of zero makes a jump.
func (c *curve) add(length, from, to float64) {
	if length <= 0 {
		return
	}
	s := segment{start: c.length, length: length, from: from, to: to, before: c.total}
	c.segments = append(c.segments, s)
	c.length += length
	c.total += s.hits()
}

// at is the segment that covers t, or the last.
func (c *curve) at(t float64) segment {
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].start > t })
	return c.segments[max(i-1, 0)]
}

// rate is the requests per second at t; zero outside the curve.
func (c *curve) rate(t float64) float64 {
	if t < 0 || t >= c.length {
		return 0
	}
	s := c.at(t)
	return s.from + (s.to-s.from)*(t-s.start)/s.length
}

// integral is the requests planned until t.
func (c *curve) integral(t float64) float64 {
	if t <= 0 {
		return 0
	}
	if t >= c.length {
		return c.total
	}
	s := c.at(t)
	x := t - s.start
	return s.before + x*(s.from+(s.to-s.from)*x/s.length/2)
}

// peak is the highest rate. The rate is linear between knots, so it lies at a knot.
func (c *curve) peak() float64 {
	var top float64
	for _, s := range c.segments {
		top = max(top, s.from, s.to)
	}
	return top
}

// scale multiplies every rate.
func (c *curve) scale(k float64) {
	c.total *= k
	for i := range c.segments {
		c.segments[i].from *= k
		c.segments[i].to *= k
		c.segments[i].before *= k
	}
}

// inverse walks a curve forward: due(h) is the second at which the integral reaches h. Calls must
// come with rising h; each is O(1) on average. The zero index starts at the beginning.
type inverse struct {
	curve *curve
	index int
}

// due inverts the integral inside a segment of slope s starting at rate a:
//
//	tau = 2*h / (a + sqrt(a^2 + 2*s*h))
//
// which has no cancellation and covers s = 0 and a = 0 (reference note loadgen, 4.3). It returns
// false when the curve ends before h.
func (v *inverse) due(h float64) (float64, bool) {
	c := v.curve
	if h >= c.total {
		return 0, false
	}
	for v.index < len(c.segments)-1 && h >= c.segments[v.index+1].before {
		v.index++
	}
	s := c.segments[v.index]
	rest := h - s.before
	if rest <= 0 {
		return s.start, true
	}
	slope := (s.to - s.from) / s.length
	root := math.Sqrt(max(s.from*s.from+2*slope*rest, 0)) // rounding can put it just below zero
	return s.start + min(2*rest/(s.from+root), s.length), true
}

// curve turns the profile into its rate over time. The profile must be valid.
func (p Profile) curve() *curve {
	c := &curve{}
	length := p.For.Seconds()
	switch p.Kind {
	case kindSteady:
		c.add(length, float64(p.Rate), float64(p.Rate))
	case kindRamp:
		c.add(length, float64(p.Rate), float64(p.To))
	case kindSteps:
		for _, s := range p.Steps {
			c.add(s.For.Seconds(), float64(s.Rate), float64(s.Rate))
		}
	case kindSpike:
		p.spike(c, length)
	case kindQuarterlyPeak:
		p.quarterlyPeak(c, length)
	}
	return c
}

// The spike: base for 40 % of the run, so that the steady state is known before; a climb of 2 %,
// since no crowd arrives at once and a vertical edge would only measure connection set-up; the top
// for 16 %; down again in 2 %; base for the last 40 %, so that recovery is seen.
const (
	spikeBase  = 0.40
	spikeClimb = 0.02
)

func (p Profile) spike(c *curve, length float64) {
	base, top := float64(p.Rate), float64(p.To)
	climb := length * spikeClimb
	c.add(length*spikeBase, base, base)
	c.add(climb, base, top)
	c.add(length-2*(length*spikeBase+climb), top, top)
	c.add(climb, top, base)
	c.add(length-c.length, base, base)
}

// The kinds of profile.
const (
	kindSteady        = "steady"
	kindRamp          = "ramp"
	kindSteps         = "steps"
	kindSpike         = "spike"
	kindQuarterlyPeak = "quarterly-peak"
)

// knot is how densely a calendar shape is sampled: 50 ms of run time is 96 s of calendar at
// 1d=45s, far below the hours in which it changes. maxKnots bounds the memory of long runs.
const (
	knot     = 50 * time.Millisecond
	maxKnots = 20_000
)

// quarterlyPeak samples the season and scales it so that its highest rate is Peak.
func (p Profile) quarterlyPeak(c *curve, length float64) {
	step := max(knot.Seconds(), length/maxKnots)
	season := newSeason(p.Deadline.In(p.Start.Location()))
	speed := p.Compress.Calendar.Seconds() / p.Compress.Run.Seconds() // calendar seconds per second
	level := func(t float64) float64 {
		return season.level(p.Start.Add(time.Duration(t * speed * float64(time.Second))))
	}
	for t := 0.0; t < length; t += step {
		end := min(t+step, length)
		c.add(end-t, level(t), level(end))
	}
	c.scale(float64(p.Peak) / c.peak())
}
