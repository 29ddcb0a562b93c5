package verdict

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Setting is the scenario that an objective stands in, as far as it decides what a run can prove.
type Setting struct {
	Classes []string       // of the load's requests
	Faults  []FaultSetting // in the scenario's order
	// Writes says that load or prober write what can be read back: false where all paths are fixed. Reads says that the
	// prober reads: false where no class is a GET either.
	Writes, Reads bool
	// Queued are the classes whose requests are answered before their work is done: they have no throughput.
	Queued []string
	// Timeout of one request: no answer takes longer.
	Timeout time.Duration
}

// FaultSetting is one planned fault.
type FaultSetting struct {
	Name string
	Rest time.Duration // from its start to the end of the load
}

// names lists the faults.
func (s Setting) names() []string {
	var names []string
	for _, f := range s.Faults {
		names = append(names, f.Name)
	}
	return names
}

// provesNothing refuses a sentence whose answer is known before the run, whatever the scenario. Every metric is at least 0; a
// share is at most 1, and one that only a total failure would miss is refused with it.
func (o Objective) provesNothing() error {
	always := o.Op == ">=" && o.Bound <= 0
	never := o.Op == "<" && o.Bound <= 0
	limit := "below 0"
	if familyOf(o.Metric) == ratioFamily && o.Bound >= 1 {
		always = o.Op == "<=" || o.Op == "<"
		never = o.Op == ">"
		limit = "above 100%"
		if always {
			return fmt.Errorf("nothing but a total failure could miss it, so it proves nothing; %g is 100%%, and 1%% is written 1%%", o.Bound)
		}
	}
	switch {
	case always:
		return fmt.Errorf("nothing can miss it, so it proves nothing: %s is never %s", o.Metric, limit)
	case never:
		return fmt.Errorf("nothing can meet it: %s is never %s", o.Metric, limit)
	}
	return nil
}

// provable refuses what no run of this scenario can prove.
func (o Objective) provable(s Setting) error {
	f := familyOf(o.Metric)
	bound := o.duration()
	aboveTimeout := f == latencyFamily && s.Timeout > 0 && bound >= s.Timeout && atMost(o.Op)
	switch {
	case f == throughputFamily && slices.Contains(s.Queued, o.Of):
		return fmt.Errorf("%s is answered before its work is done, so it has no throughput", o.Of)
	case !s.Writes && (f == ledgerFamily || f == failoverFamily && o.Of == "write"):
		return errors.New("nothing is written that could be read back: give the mix a class whose request is calculate, batch or import")
	case !s.Reads && f == failoverFamily:
		return errors.New("nothing is probed: give the mix a class that is a GET, which can be repeated without harm")
	case aboveTimeout:
		return fmt.Errorf("want a bound below load.timeout, %v: no answer takes longer, so it would only count failures; "+
			"raise load.timeout, or say failed or error_ratio", s.Timeout)
	case f == failoverFamily && atMost(o.Op):
		for _, fault := range s.Faults {
			if fault.Name == o.faultIn(s) && bound >= fault.Rest {
				return fmt.Errorf("want a bound below %v, which is left of the load when %q begins: a miss could not be seen", fault.Rest, fault.Name)
			}
		}
	}
	return nil
}

// duration is the bound of a latency or a failover time; 0 for the others.
func (o Objective) duration() time.Duration {
	switch o.Unit {
	case "ms":
		return time.Duration(o.Bound * float64(time.Millisecond))
	case "s":
		return time.Duration(o.Bound * float64(time.Second))
	}
	return 0
}

// faultIn is the fault in whose phase the objective is judged: that which it names, or the only one.
func (o Objective) faultIn(s Setting) string {
	if familyOf(o.Metric) == failoverFamily && o.Phase == "" && len(s.Faults) == 1 {
		return s.Faults[0].Name
	}
	return o.Fault()
}

// Repeats says whether the two objectives judge the same with the same bound, however they are written.
func (o Objective) Repeats(p Objective, s Setting) bool {
	bound := func(o Objective) float64 {
		if d := o.duration(); d > 0 {
			return d.Seconds()
		}
		return o.Bound
	}
	phase := func(o Objective) string {
		if fault := o.faultIn(s); fault != "" {
			return duringPrefix + fault
		}
		return o.Phase
	}
	return o.Metric == p.Metric && o.Of == p.Of && o.Op == p.Op && bound(o) == bound(p) && phase(o) == phase(p)
}
