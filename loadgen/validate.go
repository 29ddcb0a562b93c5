package loadgen

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of the load block.
const (
	defaultTimeout      = 5 * time.Second
	defaultMaxInFlight  = 256
	defaultMaxLag       = time.Second
	defaultProbeEvery   = 200 * time.Millisecond
	defaultProbeTimeout = time.Second
)

// Limits of the load block.
const (
	maxRate       = 1e6                   // requests per second; one machine's net/http ends far below
	maxHits       = 1e9                   // requests of one run: NewSchedule walks through them once
	minProbeEvery = 10 * time.Millisecond // more would be a load of its own
	maxWeight     = 1e9                   // weights are relative; far above, their sum is no number any more
)

// WithDefaults returns the block with every omitted setting filled in.
func (s Spec) WithDefaults() Spec {
	setDefault(&s.Arrivals, arrivalsPoisson)
	setDefault(&s.Timeout, defaultTimeout)
	setDefault(&s.MaxInFlight, defaultMaxInFlight)
	setDefault(&s.MaxLag, defaultMaxLag)
	setDefault(&s.Probe.Every, defaultProbeEvery)
	setDefault(&s.Probe.Timeout, defaultProbeTimeout)
	if s.Profile.Kind == kindSteps && s.Profile.For == 0 {
		for _, step := range s.Profile.Steps {
			s.Profile.For += step.For
		}
	}
	s.Mix = slices.Clone(s.Mix)
	for i := range s.Mix {
		if s.Mix[i].Path == "" {
			setDefault(&s.Mix[i].Request, s.Mix[i].Name)
		} else {
			setDefault(&s.Mix[i].Method, "GET")
		}
	}
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every mistake of the block: bad gets the place relative to the block, such as
// "mix[0].weight", and what is wrong with it. Omitted settings count as their defaults.
func (s Spec) Validate(bad func(path, format string, args ...any)) {
	before := s
	s = s.WithDefaults()
	s.Profile.validate(bad)
	s.validateMix(before.Mix, bad)
	if s.Arrivals != arrivalsPoisson && s.Arrivals != arrivalsEven {
		bad("arrivals", "want poisson or even, got %q", s.Arrivals)
	}
	if s.WarmUp < 0 || (s.Profile.For > 0 && s.WarmUp >= s.Profile.For) {
		bad("warm_up", "must be at least 0s and shorter than profile.for (%v), got %v", s.Profile.For, s.WarmUp)
	}
	positive := func(path string, d time.Duration) {
		if d <= 0 {
			bad(path, "must be > 0s, got %v", d)
		}
	}
	positive("timeout", s.Timeout)
	positive("max_lag", s.MaxLag)
	positive("probe.timeout", s.Probe.Timeout)
	// A request that waits longer than denseLimit, from its due time, could not be told from one that waits just as long.
	switch {
	case s.Timeout > denseLimit:
		bad("timeout", "must be at most %v, got %v", denseLimit, s.Timeout)
	case s.MaxLag > denseLimit-s.Timeout:
		bad("max_lag", "must be at most %v together with timeout, got %v + %v", denseLimit, s.MaxLag, s.Timeout)
	}
	if s.Probe.Timeout > denseLimit {
		bad("probe.timeout", "must be at most %v, got %v", denseLimit, s.Probe.Timeout)
	}
	if s.Probe.Every < minProbeEvery {
		bad("probe.every", "must be at least %v, got %v", minProbeEvery, s.Probe.Every)
	}
	if s.MaxInFlight < 1 || s.MaxInFlight > 1<<16 {
		bad("max_in_flight", "must be between 1 and 65536, got %d", s.MaxInFlight)
	}
}

func (s Spec) validateMix(written []Class, bad func(path, format string, args ...any)) {
	if len(s.Mix) == 0 {
		bad("mix", "must name at least one class")
	}
	if len(s.Mix) > maxClasses {
		bad("mix", "must name at most %d classes, got %d", maxClasses, len(s.Mix))
	}
	first := make(map[string]int)
	for i, c := range s.Mix {
		at := func(field string) string { return "mix[" + strconv.Itoa(i) + "]." + field }
		earlier, duplicate := first[c.Name]
		switch {
		case c.Name == "":
			bad(at("class"), "must not be empty")
		case !sayable(c.Name):
			bad(at("class"), "want a name that an objective can say and a table can show: printable, no ), no blank at its ends; got %q", c.Name)
		case c.Name == probeClass:
			bad(at("class"), "%q is the prober's own name", c.Name)
		case duplicate:
			bad(at("class"), "%q is already the name of mix[%d]", c.Name, earlier)
		default:
			first[c.Name] = i
		}
		if !(c.Weight > 0) || c.Weight > maxWeight {
			bad(at("weight"), "must be > 0 and at most %g, got %v", maxWeight, c.Weight)
		}
		c.validateRequest(written[i], at, bad)
	}
}

// sayable says whether an objective can name the class, as in p99(name), and a terminal can show it.
func sayable(name string) bool {
	return strings.TrimSpace(name) == name && !strings.Contains(name, ")") &&
		!strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) })
}

func (c Class) validateRequest(
	written Class, at func(string) string, bad func(path, format string, args ...any),
) {
	if c.Path == "" {
		if !slices.Contains(generatedRequests(), c.Request) {
			bad(at("request"), "want one of %s, or a method and a path, got %q",
				strings.Join(generatedRequests(), ", "), c.Request)
		}
		if c.Method != "" || c.Body != "" {
			bad(at("path"), "must be set when method or body is")
		}
		return
	}
	if written.Request != "" {
		bad(at("request"), "must not be set together with path, got %q", written.Request)
	}
	if written.Method == "" {
		bad(at("method"), "must be set when path is")
	} else if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, c.Method) {
		bad(at("method"), "want GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, got %q", c.Method)
	}
	// "//host/x" would be a URL with another host: load goes to the target only.
	if !strings.HasPrefix(c.Path, "/") || strings.HasPrefix(c.Path, "//") {
		bad(at("path"), "must start with one slash, got %q", c.Path)
	}
}

func (p Profile) validate(bad func(path, format string, args ...any)) {
	at := func(field string) string { return "profile." + field }
	rate := func(field string, r Rate) {
		if !(r > 0) || r > maxRate {
			bad(at(field), "must be above 0/s and at most %.0f/s, got %v/s", maxRate, float64(r))
		}
	}
	if p.For <= 0 {
		bad(at("for"), "must be > 0s, got %v", p.For)
	}
	top := p.Rate
	switch p.Kind {
	case kindSteady:
		rate("rate", p.Rate)
	case kindRamp, kindSpike:
		rate("rate", p.Rate)
		rate("to", p.To)
		top = max(top, p.To)
	case kindSteps:
		top = p.validateSteps(bad)
	case kindQuarterlyPeak:
		rate("peak", p.Peak)
		p.validateCalendar(bad)
		top = p.Peak
	default:
		bad(at("kind"), "want %s, %s, %s, %s or %s, got %q",
			kindSteady, kindRamp, kindSteps, kindSpike, kindQuarterlyPeak, p.Kind)
	}
	if hits := float64(top) * p.For.Seconds(); top <= maxRate && hits > maxHits {
		bad(at("for"), "up to %.3g requests in one run, want at most %.0g", hits, maxHits)
	}
}

// validateSteps returns the highest rate of the steps.
func (p Profile) validateSteps(bad func(path, format string, args ...any)) Rate {
	if len(p.Steps) == 0 {
		bad("profile.steps", "must name at least one step")
	}
	var sum time.Duration
	var top Rate
	for i, s := range p.Steps {
		at := "profile.steps[" + strconv.Itoa(i) + "]."
		if !(s.Rate > 0) || s.Rate > maxRate {
			bad(at+"rate", "must be above 0/s and at most %.0f/s, got %v/s", maxRate, float64(s.Rate))
		}
		if s.For <= 0 {
			bad(at+"for", "must be > 0s, got %v", s.For)
		}
		sum += s.For
		top = max(top, s.Rate)
	}
	if sum != p.For && p.For > 0 {
		bad("profile.steps", "lengths must add up to for (%v), got %v", p.For, sum)
	}
	return top
}

func (p Profile) validateCalendar(bad func(path, format string, args ...any)) {
	if p.Start.IsZero() {
		bad("profile.start", "must be set for quarterly-peak: the calendar instant of second zero")
	}
	if p.Deadline.IsZero() {
		bad("profile.deadline", "must be set for quarterly-peak: the calendar instant of the filing deadline")
	}
	if p.Compress.Calendar <= 0 || p.Compress.Run <= 0 {
		bad("profile.compress", "must be set for quarterly-peak, such as 1d=45s")
		return
	}
	if p.Start.IsZero() || p.Deadline.IsZero() {
		return
	}
	if p.Deadline.Before(p.Start) {
		bad("profile.deadline", "must not lie before start (%s), got %s",
			p.Start.Format(time.RFC3339), p.Deadline.Format(time.RFC3339))
	}
}
