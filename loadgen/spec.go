// Package loadgen sends load and records what came back.
//
// Load is a schedule of due times: latency counts from the due time, and a request that could not
// be sent is counted as bad, never hidden. It is the only package that imports vegeta.
package loadgen

import "time"

// Spec is the `load:` block of a scenario.
type Spec struct {
	Profile Profile `yaml:"profile" json:"profile"`
	// Arrivals is "poisson" (default) or "even".
	Arrivals string `yaml:"arrivals" json:"arrivals"`
	// Mix is the weighted set of request classes; weights are relative.
	Mix []Class `yaml:"mix" json:"mix"`
	// WarmUp is cut off the start of the recording before phases are judged.
	WarmUp time.Duration `yaml:"warm_up" json:"warm_up"`
	// Timeout of one request, from its send. Default 5s.
	Timeout time.Duration `yaml:"timeout" json:"timeout"`
	// MaxInFlight bounds the requests of one class in flight. Default 256. A request that is due
	// while the class is full and stays full for MaxLag is not sent and counts as unsent.
	MaxInFlight int           `yaml:"max_in_flight" json:"max_in_flight"`
	MaxLag      time.Duration `yaml:"max_lag" json:"max_lag"` // default 1s
	Probe       ProbeSpec     `yaml:"probe" json:"probe"`
}

// Profile is the rate of all classes together over time.
type Profile struct {
	// Kind is steady, ramp, steps, spike or quarterly-peak.
	Kind string        `yaml:"kind" json:"kind"`
	For  time.Duration `yaml:"for" json:"for"`             // length of the load
	Rate Rate          `yaml:"rate" json:"rate,omitempty"` // steady: the rate; ramp: where it starts; spike: the base
	To   Rate          `yaml:"to" json:"to,omitempty"`     // ramp: where it ends; spike: the top
	// Steps are played one after the other (kind steps); their lengths must add up to For.
	Steps []Step `yaml:"steps" json:"steps,omitempty"`

	// The rest shapes quarterly-peak: weekday and hour shape, quarter-end multiplier and a spike
	// at the deadline, scaled so that the highest rate of the window is Peak.
	Peak     Rate      `yaml:"peak" json:"peak,omitempty"`
	Start    time.Time `yaml:"start" json:"start,omitzero"`       // calendar instant of second zero
	Deadline time.Time `yaml:"deadline" json:"deadline,omitzero"` // calendar instant of the filing deadline
	Compress Compress  `yaml:"compress" json:"compress,omitzero"` // how much calendar fits into how much run: "1d=45s"
}

// Step is one level of the steps profile.
type Step struct {
	Rate Rate          `yaml:"rate" json:"rate"`
	For  time.Duration `yaml:"for" json:"for"`
}

// Class is one kind of request and its share of the load.
type Class struct {
	// Name is how objectives and reports call it.
	Name   string  `yaml:"class" json:"class"`
	Weight float64 `yaml:"weight" json:"weight"`
	// Request names one of EcoTrack's generated requests (calculate, batch, estimate, read,
	// factors, import, inventory); empty: the same as Name.
	Request string `yaml:"request" json:"request,omitempty"`
	// Method, Path and Body describe a fixed request for any other system. Path excludes Request.
	Method string `yaml:"method" json:"method,omitempty"`
	Path   string `yaml:"path" json:"path,omitempty"`
	Body   string `yaml:"body" json:"body,omitempty"`
}

// ProbeSpec is the prober's schedule; it runs apart from the load.
type ProbeSpec struct {
	Every   time.Duration `yaml:"every" json:"every"`     // between two probes of one series; default 200ms; also the resolution of every outage figure
	Timeout time.Duration `yaml:"timeout" json:"timeout"` // default 1s
}
