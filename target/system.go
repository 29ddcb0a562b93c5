package target

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
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

// System is a running target. Its methods are safe for concurrent use.
//
//	load -> balancer -> engines -> database-balancer -> PostgreSQL (primary, standbys, replica)
//	           |           +-----> queue -> worker ---------^          ^
//	           +------> reporting ------------------------------------+
type System struct {
	runID    string
	spec     Spec
	images   Images
	log      *slog.Logger
	report   func(Step)
	docker   *testcontainers.DockerClient
	ports    *ports
	network  string // its name
	prefixes []netip.Prefix
	http     *http.Client
	reaper   *reaperLine // held as long as the run lives; nil without a reaper

	mu    sync.RWMutex
	nodes []Node // in the order of their names
}

// Nodes returns all nodes in the order of their names.
func (s *System) Nodes() []Node {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.nodes)
}

// Node returns the node with this name.
func (s *System) Node(name string) (Node, bool) {
	for _, n := range s.Nodes() {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// role returns the nodes of a role.
func (s *System) role(roles ...Role) []Node {
	return slices.DeleteFunc(s.Nodes(), func(n Node) bool { return !slices.Contains(roles, n.Role) })
}

// BaseURL is where load goes: "http://127.0.0.1:port" of the balancer. It is empty while there is
// no balancer.
func (s *System) BaseURL() string {
	for _, n := range s.role(RoleBalancer) {
		return "http://" + n.Endpoints["http"]
	}
	return ""
}

// RunID is the value of the label squall.run of everything that belongs to this system.
func (s *System) RunID() string { return s.runID }

// Spec is what the system was started from, with its defaults.
func (s *System) Spec() Spec { return s.spec }

// Prefixes are the subnets of the run's own networks.
func (s *System) Prefixes() []netip.Prefix { return slices.Clone(s.prefixes) }

// Images names the images by what they hold.
func (s *System) Images() map[string]string { return maps.Clone(s.images.All()) }

// Unguarded says that the run's reaper ended while the run went on: a killed harness would leave the
// run behind. It is false for a system that was started without a reaper.
func (s *System) Unguarded() bool { return s.reaper != nil && s.reaper.lost() }

// downTimeout bounds a removal, which goes on when its caller was cancelled.
const downTimeout = time.Minute

// Down removes everything of the run and verifies that nothing is left. It goes on after ctx was
// cancelled, for at most a minute, and is safe to repeat.
func (s *System) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	if s.reaper != nil {
		s.reaper.expectEnd()
		defer s.reaper.close() // only now: a kill in the middle of the removal still has its reaper
	}
	_, err := removeRun(ctx, s.docker.Client, s.runID, "")
	if err != nil {
		return fmt.Errorf("system down: %w", err)
	}
	// Closes idle connections only: Down can be repeated.
	return s.docker.Close()
}
