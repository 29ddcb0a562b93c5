package target

import (
	"io"
	"net/netip"
)

// Role says what a node does in the system.
type Role string

// The roles of EcoTrack's nodes.
const (
	RoleBalancer         Role = "balancer"          // HAProxy in front of the engines
	RoleEngine           Role = "engine"            // EcoTrack's HTTP API
	RoleWorker           Role = "worker"            // takes jobs off the queue
	RoleReporting        Role = "reporting"         // inventories from the read replica
	RoleDatabaseBalancer Role = "database-balancer" // HAProxy (TCP) in front of PostgreSQL
	RoleDatabase         Role = "database"          // PostgreSQL under Patroni: primary or standby
	RoleReplica          Role = "replica"           // read replica, never promoted
	RoleConsensus        Role = "consensus"         // etcd
	RoleQueue            Role = "queue"             // NATS JetStream

	// RolePrimary and RoleStandby are resolved at the moment they are asked for (System.Select):
	// they name a database node by what it is doing now.
	RolePrimary Role = "primary"
	RoleStandby Role = "standby"
)

// Node is one running member of the system.
type Node struct {
	Name        string     `json:"name"` // unique in the system, also its DNS name: "engine-2"
	Role        Role       `json:"role"`
	Zone        string     `json:"zone"` // "a", "b" or "c"
	ContainerID string     `json:"container_id"`
	Image       string     `json:"image"`
	Addr        netip.Addr `json:"addr"` // on the run's own network; changes when the container restarts
	// Endpoints maps a service name ("http", "postgres", "patroni") to a fixed "127.0.0.1:port"
	// on this host that reaches it; the port survives a restart of the container.
	Endpoints map[string]string `json:"endpoints"`
}

// Selector picks nodes. Empty fields match everything; Mode decides how many of the matches.
type Selector struct {
	Role  Role   `yaml:"role" json:"role,omitempty"`
	Zone  string `yaml:"zone" json:"zone,omitempty"`
	Name  string `yaml:"name" json:"name,omitempty"`
	Mode  string `yaml:"mode" json:"mode,omitempty"`   // "one" (default), "all", "fixed", "percent"
	Value int    `yaml:"value" json:"value,omitempty"` // with fixed: how many; with percent: 1-100
}

// LedgerRow is one durable calculation as a database node holds it.
type LedgerRow struct {
	Key   string `json:"key"`   // the client's idempotency key
	ID    string `json:"id"`    // the server's id, as in the receipt
	Hash  string `json:"hash"`  // row hash, as in the receipt
	Value string `json:"value"` // kg CO2e, a decimal
}

// Sidecar is a running process of ours in another node's network namespace. The caller writes
// commands to Stdin, reads answers from Stdout, and must Close it; closing Stdin ends the process.
type Sidecar struct {
	Stdin  io.WriteCloser
	Stdout io.Reader
	Close  func() error
}
