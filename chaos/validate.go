package chaos

import (
	"regexp"
	"slices"
	"squall/target"
	"strconv"
	"strings"
	"time"
)

// The kinds of faults; New is the catalogue.
const (
	KindKill    = "kill"
	KindLatency = "latency"
	KindLoss    = "loss"
)

// Kinds lists every kind of fault, in the order of the catalogue.
func Kinds() []string { return []string{KindKill, KindLatency, KindLoss} }

const defaultSettle = 5 * time.Second

var faultName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// WithDefaults returns the specs with what was left out: one target, every peer that matches, and
// five seconds to settle.
func WithDefaults(specs []Spec) []Spec {
	out := slices.Clone(specs)
	for i := range out {
		s := &out[i]
		if s.Select.Mode == "" {
			s.Select.Mode = "one"
		}
		if s.Settle == 0 {
			s.Settle = defaultSettle
		}
		if s.Peer != nil && s.Peer.Mode == "" {
			peer := *s.Peer
			peer.Mode = "all"
			s.Peer = &peer
		}
	}
	return out
}

// Validate reports every mistake in specs to bad, with its path in the list, such as "[0].for".
func Validate(specs []Spec, bad func(path, format string, args ...any)) {
	at := func(i int) reporter {
		return func(path, format string, args ...any) { bad(index(i)+"."+path, format, args...) }
	}
	names := map[string]int{}
	for i, s := range specs {
		bad := at(i)
		if first, taken := names[s.Name]; taken && s.Name != "" {
			bad("name", "%q is already the name of [%d]", s.Name, first)
		} else {
			names[s.Name] = i
		}
		validateSpec(s, bad)
		validateSelector(s.Select, "select", bad)
		if s.Peer != nil {
			validateSelector(*s.Peer, "peer", bad)
		}
	}
	validateOverlaps(specs, at)
}

// reporter is told of one mistake and its path within one fault.
type reporter func(path, format string, args ...any)

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

func validateSpec(s Spec, bad reporter) {
	switch {
	case s.Name == "":
		bad("name", "is missing: objectives call a fault by its name")
	case !faultName.MatchString(s.Name):
		bad("name", "want small letters, digits and hyphens, got %q", s.Name)
	}
	if s.At <= 0 {
		bad("at", "must be > 0s, got %s: there must be a time before the fault to compare with", s.At)
	}
	if s.For <= 0 {
		bad("for", "must be > 0s, got %s", s.For)
	}
	if s.Settle < 0 {
		bad("settle", "must be >= 0s, got %s", s.Settle)
	}
	switch s.Kind {
	case KindKill:
		validateKill(s, bad)
	case KindLatency, KindLoss:
		validateNetwork(s, bad)
	case "":
		bad("kind", "is missing: want one of %s", strings.Join(Kinds(), ", "))
	default:
		bad("kind", "unknown kind %q: want one of %s", s.Kind, strings.Join(Kinds(), ", "))
	}
}

func validateKill(s Spec, bad reporter) {
	const not = "does not go with kind kill"
	if s.Peer != nil {
		bad("peer", not)
	}
	if s.Delay != 0 {
		bad("delay", not)
	}
	if s.Jitter != 0 {
		bad("jitter", not)
	}
	if s.Loss != 0 {
		bad("loss", not)
	}
}

func validateNetwork(s Spec, bad reporter) {
	switch {
	case s.Kind == KindLatency && s.Delay == 0:
		bad("delay", "is missing: kind latency needs it")
	case s.Delay < 0 || s.Delay > maxDelay:
		bad("delay", "want more than 0s and at most %s, got %s", maxDelay, s.Delay)
	}
	if s.Jitter < 0 || s.Jitter > s.Delay {
		bad("jitter", "want 0s up to the delay of %s, got %s", s.Delay, s.Jitter)
	}
	switch {
	case s.Kind == KindLoss && s.Loss == 0:
		bad("loss", "must be > 0%%: kind loss needs it")
	case s.Loss < 0 || s.Loss >= 100:
		bad("loss", "must be < 100%%, got %g%%: all of it is a partition, not loss", float64(s.Loss))
	case s.Loss > 0 && s.Loss < minLoss:
		bad("loss", "must be at least %g%%, got %g%%", float64(minLoss), float64(s.Loss))
	}
}

const (
	// maxDelay is the longest delay: beyond it every TCP connection is as good as cut.
	maxDelay = time.Minute
	// minLoss is the resolution of the kernel's draw.
	minLoss Percent = 0.0001
)

func validateSelector(s target.Selector, path string, bad reporter) {
	if s.Role == "" && s.Zone == "" && s.Name == "" {
		bad(path, "names neither role nor zone nor name: it would hit any node")
	}
	if s.Role != "" && !slices.Contains(roles(), s.Role) {
		bad(path+".role", "unknown role %q: want one of %s", s.Role, joinRoles())
	}
	if s.Zone != "" && !slices.Contains([]string{"a", "b", "c"}, s.Zone) {
		bad(path+".zone", "unknown zone %q: want a, b or c", s.Zone)
	}
	switch s.Mode {
	case "", "one", "all":
		if s.Value != 0 {
			bad(path+".value", "goes with mode fixed or percent only, got %d", s.Value)
		}
	case "fixed":
		if s.Value < 1 {
			bad(path+".value", "want at least 1 with mode fixed, got %d", s.Value)
		}
	case "percent":
		if s.Value < 1 || s.Value > 100 {
			bad(path+".value", "want 1 to 100 with mode percent, got %d", s.Value)
		}
	default:
		bad(path+".mode", "unknown mode %q: want one, all, fixed or percent", s.Mode)
	}
}

func roles() []target.Role {
	return []target.Role{
		target.RoleBalancer, target.RoleEngine, target.RoleWorker, target.RoleReporting,
		target.RoleDatabaseBalancer, target.RoleDatabase, target.RoleReplica, target.RoleConsensus,
		target.RoleQueue, target.RolePrimary, target.RoleStandby,
	}
}

func joinRoles() string {
	var names []string
	for _, r := range roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// validateOverlaps finds faults of one kind that would be up on the same selector at the same time.
// Play finds those that only turn out to hit the same node.
func validateOverlaps(specs []Spec, at func(int) reporter) {
	for i, s := range specs {
		for j, o := range specs[:i] {
			same := s.Kind == o.Kind && s.Select.Role == o.Select.Role &&
				s.Select.Zone == o.Select.Zone && s.Select.Name == o.Select.Name
			if same && s.At < o.At+o.For && o.At < s.At+s.For {
				at(i)("at", "overlaps in time with [%d], a %s of the same selector", j, o.Kind)
			}
		}
	}
}
