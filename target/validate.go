package target

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// minimumMemory is the smallest memory limit that any of the programs starts with.
const minimumMemory Bytes = 16 << 20

// defaultNodes is the size of the topology "microservices". CPU is unlimited: on a small machine
// the kernel shares two cores better than limits do. Memory is about twice what was measured.
func defaultNodes() map[Role]NodeSpec {
	const mib = 1 << 20
	return map[Role]NodeSpec{
		RoleBalancer:         {Count: 1, Memory: 128 * mib},
		RoleEngine:           {Count: 3, Memory: 256 * mib},
		RoleWorker:           {Count: 1, Memory: 256 * mib},
		RoleReporting:        {Count: 1, Memory: 256 * mib},
		RoleDatabaseBalancer: {Count: 1, Memory: 128 * mib},
		RoleDatabase:         {Count: 3, Memory: 768 * mib},
		RoleReplica:          {Count: 1, Memory: 512 * mib},
		RoleConsensus:        {Count: 3, Memory: 256 * mib},
		RoleQueue:            {Count: 3, Memory: 256 * mib},
	}
}

// WithDefaults returns the spec with every empty field set. A role that is absent gets its default
// size; one that is present keeps its limits as written, and the default count when it has none.
func (s Spec) WithDefaults() Spec {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&s.Topology, "microservices")
	set(&s.Failover, "lab")
	set(&s.Replication, "quorum")
	set(&s.HealthChecks, "on")
	if s.ReadyWithin == 0 {
		s.ReadyWithin = Duration(2 * time.Minute)
	}
	nodes := defaultNodes()
	for role, written := range s.Nodes {
		if written.Count == 0 {
			written.Count = nodes[role].Count
		}
		nodes[role] = written
	}
	s.Nodes = nodes
	return s
}

// Validate reports every mistake of the block. Path is relative to it, such as
// "nodes.engine.count"; an empty field is no mistake, WithDefaults sets it.
func (s Spec) Validate(bad func(path, format string, args ...any)) {
	oneOf := func(path, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			bad(path, "must be one of %s, got %q", strings.Join(allowed, ", "), value)
		}
	}
	oneOf("topology", s.Topology, "microservices")
	oneOf("failover", s.Failover, "stock", "lab")
	oneOf("replication", s.Replication, "quorum", "async")
	oneOf("health_checks", s.HealthChecks, "on", "off")
	if s.ReadyWithin < 0 || s.ReadyWithin > Duration(30*time.Minute) {
		bad("ready_within", "must be within 0s and 30m, got %s", time.Duration(s.ReadyWithin))
	}
	known := defaultNodes()
	for _, role := range sortedKeys(s.Nodes) {
		if _, ok := known[role]; !ok {
			bad("nodes."+string(role), "unknown role %q, want one of %s", role,
				join(slices.Sorted(maps.Keys(known))))
			continue
		}
		s.validateNode(role, bad)
	}
}

func (s Spec) validateNode(role Role, bad func(path, format string, args ...any)) {
	n, path := s.Nodes[role], "nodes."+string(role)
	if n.Count < 0 || n.Count > 9 {
		bad(path+".count", "must be within 1 and 9, got %d", n.Count)
	}
	if role == RoleConsensus && n.Count > 0 && n.Count%2 == 0 {
		bad(path+".count", "must be odd (a majority decides), got %d", n.Count)
	}
	if role == RoleDatabase && n.Count == 1 && s.Replication != "async" {
		bad(path+".count", "must be at least 2 with quorum replication (a standby acknowledges), got 1")
	}
	if n.CPU < 0 || (n.CPU > 0 && n.CPU < 0.01) || n.CPU > 256 {
		bad(path+".cpu", "must be within 0.01 and 256 cores, or 0 for no limit, got %g", n.CPU)
	}
	if n.Memory != 0 && n.Memory < minimumMemory {
		bad(path+".memory", "must be at least 16MiB, or 0 for no limit, got %d bytes", n.Memory)
	}
}

// join lists roles for people.
func join(roles []Role) string {
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}
