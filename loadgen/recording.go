package loadgen

import "time"

// Recording is what the load saw. Every offset counts from Start.
type Recording struct {
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"` // until the last answer
	WarmUp   time.Duration `json:"warm_up_ns"`
	Classes  []ClassTotal  `json:"classes"`
	Seconds  []Second      `json:"seconds"` // by second of the due time, then by class
	Writes   []Write       `json:"writes"`
	Probes   []Probe       `json:"probes"`
	// ProbeEvery is the resolution of every outage figure.
	ProbeEvery time.Duration `json:"probe_every_ns"`
	Health     Health        `json:"health"`
	// Aborted says that the run was interrupted at AbortedAt: nothing due later counts as planned.
	Aborted   bool          `json:"aborted,omitempty"`
	AbortedAt time.Duration `json:"aborted_at_ns,omitempty"`
}

// ClassTotal sums up one request class over the whole run.
type ClassTotal struct {
	Name string `json:"name"`
	Counts
	Attempts uint64    `json:"attempts"`  // requests written to a socket; more than Sent means the transport retried
	Response Histogram `json:"response"`  // from the due time, answered requests and timeouts
	Service  Histogram `json:"service"`   // from the send
	Lag      Histogram `json:"lag"`       // send minus due
	Failure  Histogram `json:"failure"`   // response time of failed requests, timeouts too
	BytesIn  uint64    `json:"bytes_in"`  // of answers' bodies
	BytesOut uint64    `json:"bytes_out"` // of requests' bodies
	// Cancelled were in flight when the run was interrupted. They have no outcome and are in no
	// other count, but their writes are in Writes as unknown.
	Cancelled uint64 `json:"cancelled,omitempty"`
	// Errors counts failed requests by reason, from a closed set: timeout, refused, reset,
	// status-503, ...
	Errors map[string]uint64 `json:"errors,omitempty"`
}

// Counts sorts requests by how they ended. Planned = Sent + Unsent; Sent = OK + every kind of failure.
type Counts struct {
	Planned   uint64 `json:"planned"`
	Sent      uint64 `json:"sent"`
	Unsent    uint64 `json:"unsent"` // due but never sent: counts as bad
	OK        uint64 `json:"ok"`
	HTTPError uint64 `json:"http_error"` // 4xx and 5xx except Rejected
	Rejected  uint64 `json:"rejected"`   // 429 and 503
	Timeout   uint64 `json:"timeout"`
	Transport uint64 `json:"transport"` // refused, reset, no route, bad answer
}

// Failed is the number of sent requests that did not succeed.
func (c Counts) Failed() uint64 { return c.HTTPError + c.Rejected + c.Timeout + c.Transport }

// Second is one class in one second of due times.
type Second struct {
	At    int    `json:"at"` // second since Start
	Class string `json:"class"`
	Counts
	Units    uint64    `json:"units"`    // units of work acknowledged: 1 for a calculation, n for a batch of n
	Response Histogram `json:"response"` // successes and timeouts, from the due time
	Lag      Histogram `json:"lag"`
}

// WriteState is what the client may know of one write.
type WriteState int

// Every write is one of these. The zero value is none of them.
const (
	WriteAcknowledged WriteState = iota + 1 // a 2xx with a receipt: must exist exactly once
	WriteRefused                            // provably not executed: must not exist
	WriteUnknown                            // timeout, reset, 5xx: may exist
)

// Write is one durable calculation that the load or the prober asked for.
type Write struct {
	Key      string        `json:"key"` // idempotency key; a retry by the client keeps it
	Class    string        `json:"class"`
	State    WriteState    `json:"state"`
	Due      time.Duration `json:"due_ns"`
	Done     time.Duration `json:"done_ns"`
	ID       string        `json:"id,omitempty"`    // from the receipt
	Hash     string        `json:"hash,omitempty"`  // from the receipt
	Value    string        `json:"value,omitempty"` // kg CO2e from the answer
	Expected string        `json:"expected"`        // kg CO2e computed by the generator itself, exact
}

// Probe is one attempt of the prober.
type Probe struct {
	Series string        `json:"series"` // write-fresh, write-pooled, read-fresh, read-pooled
	Due    time.Duration `json:"due_ns"`
	Done   time.Duration `json:"done_ns"`
	OK     bool          `json:"ok"`
	Error  string        `json:"error,omitempty"` // closed set: timeout, refused, reset, status-503, ...
}

// Health says whether the generator itself can be trusted.
type Health struct {
	Valid   bool     `json:"valid"`
	Reasons []string `json:"reasons,omitempty"` // which signal, when, and what to do
	// LagP99 is the 99th percentile of send minus due while a worker was free, whole run.
	LagP99      time.Duration `json:"lag_p99_ns"`
	CPU         float64       `json:"cpu"`          // mean share of the host's cores that the generator used, 0-1
	BadSeconds  []int         `json:"bad_seconds"`  // seconds in which the generator was late for its own reasons
	ProbeGapMax time.Duration `json:"probe_gap_ns"` // longest gap in the prober's own schedule
	// ProbeGaps are all the gaps of a series that lasted at least gapNoted and two intervals, by
	// their beginning: when nobody looked at the target.
	ProbeGaps []Gap   `json:"probe_gaps,omitempty"`
	CPUMax    float64 `json:"cpu_max"` // highest share in one second, 0-1
	Cores     float64 `json:"cores"`   // cores the generator may use: the cgroup's quota or the host's
	// SchedP99Max is the highest 99th percentile, of one second, of the time that a ready goroutine
	// waited for a core.
	SchedP99Max time.Duration `json:"sched_p99_max_ns"`
	// Starved requests were never sent although a worker was free: the generator came too late.
	Starved     uint64 `json:"starved"`
	Descriptors uint64 `json:"descriptor_errors"` // EMFILE and ENFILE
	Ports       uint64 `json:"port_errors"`       // EADDRNOTAVAIL and ENOBUFS
	// Stalls are the seconds in which the host withheld its cores, in their order.
	Stalls []Stall `json:"stalls,omitempty"`
	// Warnings are signals that do not make a run invalid by themselves.
	Warnings []string `json:"warnings,omitempty"`
}

// Gap is a stretch in which one series of the prober sent nothing, although a probe was due.
type Gap struct {
	At  time.Duration `json:"at_ns"` // when the probe before it was sent
	For time.Duration `json:"for_ns"`
}

// Stall is a second in which the host withheld its cores from everything that ran on it. A second that
// took longer than one is a stall too.
type Stall struct {
	At       time.Duration `json:"at_ns"` // when the second began
	For      time.Duration `json:"for_ns"`
	Steal    float64       `json:"steal"`        // share of all cores that the hypervisor gave to others, 0-1
	SchedP99 time.Duration `json:"sched_p99_ns"` // of the time that a ready goroutine waited for a core
}
