// Package target starts the system under test in containers and hands out its nodes.
//
// It is the only package that imports testcontainers-go. It starts EcoTrack as a program and never
// calls into its code.
package target

// Spec is the `target:` block of a scenario: which system is started, and how large.
type Spec struct {
	// Topology names the system: "microservices" (the default).
	Topology string `yaml:"topology" json:"topology"`
	// Failover names the profile of Patroni's timers: "stock" (ttl 20 s, supported upstream) or
	// "lab" (ttl 5 s, below upstream's limits). Default "lab".
	Failover string `yaml:"failover" json:"failover"`
	// Replication is "quorum" (strict; an acknowledged write survives the loss of any one node,
	// the default) or "async", the "fast" configuration found in the field, for control scenarios
	// that must lose writes: no synchronous standby, and synchronous_commit off with
	// wal_writer_delay 10s, so that a commit is acknowledged up to 30 s before its WAL is written
	// and sent. A SIGKILL of the primary loses them: measured 284, 300 and 300 of 300 acknowledged
	// writes, at 70/s. (Asynchronous replication alone would not do: on one machine a standby
	// acknowledges within 2 ms, so that a kill rarely finds a write on its way.)
	Replication string `yaml:"replication" json:"replication"`
	// HealthChecks is "on" (default) or "off": whether the balancer checks and ejects engines
	// and retries safe requests on another one.
	HealthChecks string `yaml:"health_checks" json:"health_checks"`
	// Nodes sets count and limits by role: engine, worker, reporting, database, replica, balancer,
	// database-balancer, consensus, queue. A role that is absent keeps its defaults.
	Nodes map[Role]NodeSpec `yaml:"nodes" json:"nodes"`
	// ReadyWithin bounds how long the system may take until every node is healthy. Default 2m.
	ReadyWithin Duration `yaml:"ready_within" json:"ready_within"`
}

// NodeSpec is the size of the nodes of one role.
type NodeSpec struct {
	Count  int     `yaml:"count" json:"count,omitempty"`   // containers of this role; 0: the default of the role
	CPU    float64 `yaml:"cpu" json:"cpu,omitempty"`       // cores, e.g. 0.5; 0: no limit
	Memory Bytes   `yaml:"memory" json:"memory,omitempty"` // e.g. 256MiB; 0: no limit
}
