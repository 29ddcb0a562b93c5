package verdict

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// probeClass is the class of the prober's own writes. It is no class of the load: its requests are
// in Recording.Probes, and only the ledger audit counts its writes.
const probeClass = "probe"

// Check holds the objective against the scenario it stands in: the names of the request classes
// and of the faults, and what its run can prove. It reports every mistake, joined.
func (o Objective) Check(s Setting) error {
	classes, faults := s.Classes, s.names()
	var mistakes []error
	add := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("objective %q: "+format, append([]any{o.Text}, args...)...))
	}
	f := familyOf(o.Metric)
	if f == 0 {
		add("unknown metric %q%s", o.Metric, choices(o.Metric, "metrics", Metrics()))
	}
	ofClass := f != failoverFamily && f != ledgerFamily && o.Of != ""
	switch {
	case ofClass && o.Of == probeClass && !slices.Contains(classes, probeClass):
		add("the prober's requests are no class of the load; judge them with rto(write), " +
			"rto(read), outage(write) or detection")
	case ofClass && !slices.Contains(classes, o.Of):
		add("unknown class %q%s", o.Of, choices(o.Of, "classes", classes))
	}
	fault := o.Fault()
	switch {
	case fault != "" && !slices.Contains(faults, fault):
		add("unknown fault %q%s", fault, choices(fault, "faults", faults))
	case f == failoverFamily && len(faults) == 0:
		add("the scenario has no fault that %s could be measured from", o.Metric)
	case f == failoverFamily && o.Phase == "" && len(faults) > 1:
		add("say which fault is meant with \"during <fault>\"; faults: %s", strings.Join(faults, ", "))
	case o.Phase == PhaseAfter && len(faults) == 0:
		add("the scenario has no fault, so there is no phase after; leave the phase out")
	}
	if err := o.provable(s); err != nil {
		add("%w", err)
	}
	return errors.Join(mistakes...)
}

// choices ends a message about an unknown name: the nearest known one, then all of them.
func choices(got, plural string, known []string) string {
	if len(known) == 0 {
		return "; there are no " + plural
	}
	best, distance := "", max(len(got)/3, 1)+1
	for _, name := range known {
		if d := EditDistance(strings.ToLower(got), strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
	}
	list := plural + ": " + strings.Join(known, ", ")
	if best == "" {
		return "; " + list
	}
	return fmt.Sprintf("; did you mean %q? (%s)", best, list)
}

// EditDistance is how many letters of two words must be added, removed, replaced or swapped with their
// neighbour (optimal string alignment). A word longer than 64 bytes counts as 65 away.
func EditDistance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
