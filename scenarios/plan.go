package scenarios

import (
	"fmt"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"squall/target"
	"time"
)

// Plan is what will happen: every instant, rate, fault and probe. It depends on the scenario and the
// seed alone. A seed repeats the plan, not the machine.
type Plan struct {
	Scenario string        `json:"scenario"`
	Question string        `json:"question"`
	Seed     uint64        `json:"seed"`
	Duration time.Duration `json:"duration_ns"` // of the load
	WarmUp   time.Duration `json:"warm_up_ns"`
	Requests uint64        `json:"requests"` // that the schedule will offer, all classes
	// Seconds is the scheduled rate of all classes together, second by second.
	Seconds    []verdict.PlannedSecond `json:"seconds"`
	Classes    []PlannedClass          `json:"classes"`
	Faults     []PlannedFault          `json:"faults"` // by instant
	Probes     loadgen.ProbeSpec       `json:"probes"`
	Phases     []PlannedPhase          `json:"phases"`
	Objectives []PlannedObjective      `json:"objectives"`
	Nodes      []PlannedNodes          `json:"nodes"`
	// Schedule is what the load generator plays.
	Schedule *loadgen.Schedule `json:"-"`

	load loadgen.Spec
}

// PlannedClass is one request class and what is expected of it. The seed draws the class of each
// request, so the count that is offered differs from Expected by chance.
type PlannedClass struct {
	Name     string  `json:"class"`
	Request  string  `json:"request"`  // the generated request, or method and path
	Share    float64 `json:"share"`    // of all requests, 0-1
	Expected float64 `json:"expected"` // requests
	Peak     float64 `json:"peak"`     // requests per second in the busiest second
}

// PlannedFault is one fault with its instants since the start of the load.
type PlannedFault struct {
	Name    string        `json:"fault"`
	Kind    string        `json:"kind"`
	At      time.Duration `json:"at_ns"`
	End     time.Duration `json:"end_ns"`     // At plus how long it is kept up
	Settled time.Duration `json:"settled_ns"` // End plus the settling: until then its phase lasts
	What    string        `json:"what"`       // in words
}

// PlannedPhase is a window in which objectives are judged, if every fault begins and ends on time.
type PlannedPhase struct {
	Name    string `json:"phase"`
	Start   int    `json:"start_s"`
	End     int    `json:"end_s"`
	Seconds int    `json:"seconds"` // judged; fewer than End-Start where the phase has holes
	// Rate is the mean of the scheduled rate over the judged seconds, requests per second.
	Rate float64 `json:"rate"`
}

// PlannedObjective is one objective and how many requests there will be to judge it by.
type PlannedObjective struct {
	Text string `json:"text"`
	// Samples are the requests of its class expected in its phase; 0 where no requests are counted.
	Samples float64 `json:"samples,omitempty"`
	// Needed is how many it takes to prove it when not one of them is bad; 0: any number does. With
	// fewer samples the objective can only be missed or inconclusive.
	Needed uint64 `json:"needed,omitempty"`
}

// PlannedNodes are the nodes of one role that will be started.
type PlannedNodes struct {
	Role   target.Role  `json:"role"`
	Count  int          `json:"count"`
	CPU    float64      `json:"cpu,omitempty"`    // cores for each; 0: no limit
	Memory target.Bytes `json:"memory,omitempty"` // for each; 0: no limit
}

// NewPlan works out what will happen when the scenario is run with the seed; 0 stands for the
// scenario's own seed. It touches nothing. The error says why no schedule can be made.
func NewPlan(s Scenario, seed uint64) (Plan, error) {
	if seed == 0 {
		seed = s.Seed
	}
	schedule, err := loadgen.NewSchedule(s.Load, seed)
	if err != nil {
		return Plan{}, fmt.Errorf("plan %s: %w", s.Name, err)
	}
	p := Plan{
		Scenario: s.Name, Question: s.Question, Seed: seed,
		Duration: schedule.Duration(), WarmUp: s.Load.WarmUp, Requests: schedule.Total(),
		Probes: s.Load.Probe, Schedule: schedule, load: s.Load,
	}
	p.Seconds = plannedSeconds(schedule)
	p.Classes = p.plannedClasses(s.Load.Mix)
	p.Faults = plannedFaults(s.Faults)
	p.Phases = p.plannedPhases()
	p.Objectives = p.plannedObjectives(s.Objectives)
	p.Nodes = plannedNodes(s.Target)
	return p, nil
}

// Planned is the scheduled rate of all classes together, second by second.
func (p Plan) Planned() []verdict.PlannedSecond { return p.Seconds }

func plannedSeconds(schedule *loadgen.Schedule) []verdict.PlannedSecond {
	var seconds []verdict.PlannedSecond
	for at, rate := range schedule.Planned() {
		seconds = append(seconds, verdict.PlannedSecond{At: at, Rate: rate})
	}
	return seconds
}

func (p Plan) plannedClasses(mix []loadgen.Class) []PlannedClass {
	weights := 0.0
	for _, c := range mix {
		weights += c.Weight
	}
	busiest := 0.0
	for _, s := range p.Seconds {
		busiest = max(busiest, s.Rate)
	}
	classes := make([]PlannedClass, 0, len(mix))
	for _, c := range mix {
		share := c.Weight / weights
		classes = append(classes, PlannedClass{
			Name: c.Name, Request: requestOf(c), Share: share,
			Expected: share * float64(p.Requests), Peak: share * busiest,
		})
	}
	return classes
}

func requestOf(c loadgen.Class) string {
	if c.Path != "" {
		return c.Method + " " + c.Path
	}
	return c.Request
}

func plannedFaults(specs []chaos.Spec) []PlannedFault {
	faults := make([]PlannedFault, 0, len(specs))
	for _, f := range specs {
		faults = append(faults, PlannedFault{
			Name: f.Name, Kind: f.Kind, At: f.At, End: f.At + f.For,
			Settled: f.At + f.For + f.Settle, What: faultInWords(f),
		})
	}
	slices.SortStableFunc(faults, func(a, b PlannedFault) int { return int(a.At - b.At) })
	return faults
}

// plannedPhases asks the judge itself how it would cut a run in which everything is served and every
// fault takes effect and ends exactly as planned, so that plan and verdict cannot disagree.
func (p Plan) plannedPhases() []PlannedPhase {
	const all, micro = "all", 1e6 // the judge counts whole units; a millionth of a request is fine enough
	ideal := loadgen.Recording{
		WarmUp: p.WarmUp, Duration: p.Duration,
		Classes: []loadgen.ClassTotal{{Name: all}},
	}
	for _, s := range p.Seconds {
		ideal.Seconds = append(ideal.Seconds,
			loadgen.Second{At: s.At, Class: all, Units: uint64(s.Rate * micro)})
	}
	in := verdict.Input{Recording: &ideal, Planned: p.Seconds}
	for _, f := range p.Faults {
		in.Injections = append(in.Injections, chaos.Injection{
			Fault: f.Name, Kind: f.Kind, Felt: true,
			Requested: f.At, Effective: f.At, Ended: f.End, Settle: f.Settled - f.End,
		})
	}
	var phases []PlannedPhase
	for _, w := range verdict.Phases(in) {
		phases = append(phases, PlannedPhase{
			Name: w.Name, Start: int(w.Start), End: int(w.End),
			Seconds: w.Seconds, Rate: w.Classes[all].Rate / micro,
		})
	}
	return phases
}

func (p Plan) plannedObjectives(objectives []verdict.Objective) []PlannedObjective {
	planned := make([]PlannedObjective, 0, len(objectives))
	for _, o := range objectives {
		share := 1.0
		for _, c := range p.Classes {
			if c.Name == o.Of {
				share = c.Share
			}
		}
		line := PlannedObjective{Text: o.Text, Needed: o.SamplesNeeded()}
		for _, phase := range p.Phases {
			if phase.Name == o.Phase && !slices.Contains([]string{"rto", "outage", "detection"}, o.Metric) {
				line.Samples = share * phase.Rate * float64(phase.Seconds)
			}
		}
		planned = append(planned, line)
	}
	return planned
}

func plannedNodes(spec target.Spec) []PlannedNodes {
	var nodes []PlannedNodes
	for role, n := range spec.Nodes {
		nodes = append(nodes, PlannedNodes{Role: role, Count: n.Count, CPU: n.CPU, Memory: n.Memory})
	}
	order := nodeRoles()
	slices.SortFunc(nodes, func(a, b PlannedNodes) int {
		return slices.Index(order, string(a.Role)) - slices.Index(order, string(b.Role))
	})
	return nodes
}

// faultInWords says what a fault does to whom.
func faultInWords(f chaos.Spec) string {
	what := f.Kind + " at " + selectorInWords(f.Select)
	if f.Kind == chaos.KindKill {
		what = "kill " + selectorInWords(f.Select)
	}
	if f.Delay > 0 {
		what += ", delay " + short(f.Delay)
	}
	if f.Jitter > 0 {
		what += " +/- " + short(f.Jitter)
	}
	if f.Loss > 0 {
		what += fmt.Sprintf(", loss %g%%", float64(f.Loss))
	}
	if f.Peer != nil {
		what += ", packets from " + selectorInWords(*f.Peer)
	}
	return what
}

// selectorInWords prints a selector such as "one engine in zone a" or "engine-2".
func selectorInWords(s target.Selector) string {
	words := "one "
	switch s.Mode {
	case "all":
		words = "every "
	case "fixed":
		words = fmt.Sprintf("%d of ", s.Value)
	case "percent":
		words = fmt.Sprintf("%d%% of ", s.Value)
	}
	if s.Name != "" {
		return s.Name
	}
	words += string(s.Role)
	if s.Role == "" {
		words += "node"
	}
	if s.Zone != "" {
		words += " in zone " + s.Zone
	}
	return words
}
