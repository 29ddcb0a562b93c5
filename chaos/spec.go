// Package chaos breaks the system on purpose and mends it.
//
// Every fault is journalled, injected, measured while active, ended, and verified gone.
package chaos

import (
	"squall/target"
	"time"
)

// Spec is one entry of the `faults:` block of a scenario.
type Spec struct {
	Name   string          `yaml:"name" json:"name"`     // how objectives call it: `during <name>`
	Kind   string          `yaml:"kind" json:"kind"`     // kill, latency, loss
	At     time.Duration   `yaml:"at" json:"at"`         // since the start of the load
	For    time.Duration   `yaml:"for" json:"for"`       // how long it is kept up
	Select target.Selector `yaml:"select" json:"select"` // resolved at injection
	// Settle is how long after its end the fault's phase lasts. Default 5s.
	Settle time.Duration `yaml:"settle" json:"settle"`

	// Network faults, at the ingress of the selected nodes.
	// Peer limits them to packets from these nodes; empty: from everywhere, clients included.
	Peer   *target.Selector `yaml:"peer" json:"peer,omitempty"`
	Delay  time.Duration    `yaml:"delay" json:"delay,omitempty"`   // one way, added to each packet
	Jitter time.Duration    `yaml:"jitter" json:"jitter,omitempty"` // uniform, plus or minus
	Loss   Percent          `yaml:"loss" json:"loss,omitempty"`     // share of packets dropped, such as 2%
}
