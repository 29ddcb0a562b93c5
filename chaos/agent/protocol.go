// Package agent breaks the packets of the network namespace it runs in and mends them again.
//
// It runs as a sidecar in a node's network namespace with CAP_NET_ADMIN alone and speaks JSON lines:
// one Request a line on stdin, one Response a line on stdout. What it installs lives no longer than it
// does: nftables tables are owned by its socket, the queue lets packets pass when nobody listens.
// End of input or a missed lease undoes everything.
package agent

import (
	"net/netip"
	"time"
)

// Op says what a Request asks for.
type Op string

// The operations of the protocol.
const (
	OpHello     Op = "hello"     // who are you: Response.Hello
	OpProbe     Op = "probe"     // what can this kernel do: Response.Probe
	OpApply     Op = "apply"     // install Request.Rules: Response.Status
	OpStatus    Op = "status"    // a fresh look at the kernel for Request.Name: Response.Status
	OpUndo      Op = "undo"      // take Request.Name away: Response.Status, with the final figures
	OpHeartbeat Op = "heartbeat" // renews the lease, as every request does
)

// Version is the version of this protocol. Harness and agent are one binary, so a difference means
// a stale image.
const Version = 1

// Request is one line from the harness.
type Request struct {
	ID    uint64 `json:"id"`
	Op    Op     `json:"op"`
	Name  string `json:"name,omitempty"`  // of the fault, for status and undo
	Rules *Rules `json:"rules,omitempty"` // for apply
}

// Rules is what to do to the packets that arrive in the namespace from outside (never on lo).
type Rules struct {
	Name string `json:"name"` // of the fault; the table is squall_<name>
	// Peers limits the rules to packets from these addresses; empty: from everywhere.
	Peers []netip.Addr `json:"peers,omitempty"`
	// Delay holds every packet that long; Jitter varies it uniformly by plus or minus that much. Packets
	// keep their order.
	Delay  time.Duration `json:"delay_ns,omitempty"`
	Jitter time.Duration `json:"jitter_ns,omitempty"`
	Seed   uint64        `json:"seed,omitempty"` // of the jitter
	// LossPercent is the share of packets dropped at random, 0 to 100. It is drawn per packet as the
	// kernel sees it: a batch of segments that GRO joined counts as one.
	LossPercent float64 `json:"loss_percent,omitempty"`
}

// Response is one line to the harness; ID is that of the request. Error is empty on success.
type Response struct {
	ID     uint64  `json:"id"`
	Error  string  `json:"error,omitempty"`
	Hello  *Hello  `json:"hello,omitempty"`
	Probe  *Probe  `json:"probe,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// Hello says who answers and where it runs.
type Hello struct {
	Version int           `json:"version"`
	TTL     time.Duration `json:"ttl_ns"` // the lease: silence for this long undoes everything
	Addrs   []netip.Addr  `json:"addrs"`  // of the namespace
}

// Probe says what the kernel can do; each field is empty when it works and else says why not.
type Probe struct {
	Owner string `json:"owner,omitempty"` // tables owned by a socket
	Loss  string `json:"loss,omitempty"`  // numgen random
	Delay string `json:"delay,omitempty"` // NFQUEUE through nft_compat, and the queue itself
	IPv6  string `json:"ipv6,omitempty"`  // the same in an ip6 table
}

// Status is a fresh look at the kernel, with the figures of a fault since it was applied.
type Status struct {
	Name   string   `json:"name"`
	Active bool     `json:"active"` // applied by this agent and not undone
	Tables []string `json:"tables"` // tables of this fault that exist now, "ip squall_x"
	Queues []int    `json:"queues"` // queues of this fault that exist now
	// Addrs are the addresses of the namespace now. A node that stopped or restarted meanwhile has
	// left this namespace, and its address with it.
	Addrs []netip.Addr `json:"addrs"`
	IPv6  string       `json:"ipv6,omitempty"` // why IPv6 packets are not covered; empty: they are

	Matched   uint64 `json:"matched"`    // packets the rules matched
	Dropped   uint64 `json:"dropped"`    // of those, dropped on purpose
	Queued    uint64 `json:"queued"`     // of those, sent to the queue
	Held      uint64 `json:"held"`       // of those, seen and delayed by the agent; the rest passed undelayed
	Lost      uint64 `json:"lost"`       // of those, lost by the kernel because the queue overflowed
	MostHeld  int    `json:"most_held"`  // packets held at one time, at most
	StillHeld int    `json:"still_held"` // packets held now
	// HoldP50 and HoldP99 are how long packets were really held, from the agent seeing one to its
	// release, over the last 16,384 packets; zero without any.
	HoldP50 time.Duration `json:"hold_p50_ns"`
	HoldP99 time.Duration `json:"hold_p99_ns"`
	Error   string        `json:"error,omitempty"` // the queue's loop ended early
}

// Gone reports whether nothing of the fault is left in the kernel.
func (s Status) Gone() bool { return !s.Active && len(s.Tables) == 0 && len(s.Queues) == 0 }
