package chaos

import "time"

// Injection is what was really broken. Every offset counts from the start of the load.
type Injection struct {
	Fault     string        `json:"fault"`
	Kind      string        `json:"kind"`
	Targets   []string      `json:"targets"`
	Requested time.Duration `json:"requested_ns"` // planned instant
	Effective time.Duration `json:"effective_ns"` // all targets hit; 0 with Felt false: never
	Ended     time.Duration `json:"ended_ns"`
	Settle    time.Duration `json:"settle_ns"` // the fault's phase lasts until Ended + Settle
	Effect    Effect        `json:"effect"`
	Felt      bool          `json:"felt"`   // the effect was measured while the fault was active
	Undone    bool          `json:"undone"` // verified gone, and the target healthy again
	// Resolution is Ended until the target was verified healthy (full redundancy for a database).
	Resolution time.Duration `json:"resolution_ns"`
	Error      string        `json:"error,omitempty"`
}

// Effect is the measured effect of a fault, beside what was asked for.
type Effect struct {
	Summary string             `json:"summary"` // one sentence for people
	Asked   map[string]float64 `json:"asked,omitempty"`
	// Measured holds figures by name with the unit at its end: delay_ms_p50, loss_percent,
	// packets, exit_code, primary_changed.
	Measured map[string]float64 `json:"measured,omitempty"`
	Details  map[string]string  `json:"details,omitempty"` // old_primary, new_primary, backend
}
