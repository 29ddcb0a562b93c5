// Package verdict judges a run: phases, objectives, failover times, the ledger audit and the
// outcome. It is pure: the same input gives the same verdict, so a recorded run can be judged again.
package verdict

import (
	"squall/chaos"
	"squall/loadgen"
	"time"
)

// Input is everything that a verdict rests on.
type Input struct {
	Objectives []Objective
	Recording  *loadgen.Recording
	Injections []chaos.Injection
	Ledger     []NodeLedger // read back from each database node after the run
	Planned    []PlannedSecond
	Changes    []Change // of the target, seen by who watched it
}

// Change is something that the target did by itself, or because of a fault: another node leads, or one
// gets no requests any more.
type Change struct {
	At    time.Duration `json:"at_ns"`    // when it was seen, since the start of the load
	Since time.Duration `json:"since_ns"` // when it was last seen not to be so yet
	What  string        `json:"what"`     // primary, timeline, primaries, ejected
	Node  string        `json:"node"`
	Text  string        `json:"text"` // one sentence for people
}

// What a Change can be.
const (
	ChangePrimary   = "primary"   // another node is primary
	ChangeTimeline  = "timeline"  // the same node is primary on a new timeline
	ChangePrimaries = "primaries" // two nodes say that they are
	ChangeEjected   = "ejected"   // the balancer sends it no requests any more
)

// PlannedSecond is the scheduled rate of all classes together in one second.
type PlannedSecond struct {
	At   int     `json:"at"`
	Rate float64 `json:"rate"` // requests per second
}

// NodeLedger is the whole ledger as one database node holds it after the run.
type NodeLedger struct {
	Node     string      `json:"node"`
	Role     string      `json:"role"`     // primary, standby, replica
	Complete bool        `json:"complete"` // read to its end, and the node had caught up
	Error    string      `json:"error,omitempty"`
	Rows     []LedgerRow `json:"rows"`
}

// LedgerRow is one durable calculation as a node holds it.
type LedgerRow struct {
	Key   string `json:"key"`
	ID    string `json:"id"`
	Hash  string `json:"hash"`
	Value string `json:"value"`
}

// Outcome is how an objective or a run ended. The zero value is none of them.
type Outcome string

// The outcomes. Only runs can be invalid, error or aborted.
const (
	Met          Outcome = "met"
	Missed       Outcome = "missed"
	Inconclusive Outcome = "inconclusive"
	Invalid      Outcome = "invalid" // the generator or the host was not trustworthy
	Error        Outcome = "error"   // a fault not injected or not undone, the target never healthy
	Aborted      Outcome = "aborted" // interrupted; everything undone
)

// Verdict is the judgement of a run with its evidence.
type Verdict struct {
	Outcome    Outcome    `json:"outcome"`
	ExitCode   int        `json:"exit_code"`
	Reasons    []string   `json:"reasons"` // why this outcome, most important first
	Phases     []Phase    `json:"phases"`
	Objectives []Result   `json:"objectives"`
	Failover   []Failover `json:"failover"`
	Audit      Audit      `json:"audit"`
	// Unplanned are the changes of the target that no fault asked for.
	Unplanned []Unplanned `json:"unplanned"`
}

// Phase is a window of the run and what each class saw in it.
type Phase struct {
	Name    string                `json:"name"` // before, peak, during <fault>, after, throughout
	Start   float64               `json:"start_s"`
	End     float64               `json:"end_s"`
	Seconds int                   `json:"seconds"` // seconds judged; fewer than End-Start where a window has holes (peak)
	Classes map[string]ClassPhase `json:"classes"`
}

// ClassPhase is one request class in one phase.
type ClassPhase struct {
	Planned    uint64  `json:"planned"`
	OK         uint64  `json:"ok"`
	Failed     uint64  `json:"failed"`
	Unsent     uint64  `json:"unsent"`
	Units      uint64  `json:"units"`       // units of work acknowledged
	Rate       float64 `json:"rate"`        // units of work acknowledged per second
	ErrorRatio float64 `json:"error_ratio"` // planned requests that did not succeed, 0-1
	// Percentiles, maximum and mean are of answered requests and timeouts, from the due time; nil:
	// no request was answered. An objective on latency counts every failure and every unsent request
	// as too slow.
	P50  *float64 `json:"p50_ms"`
	P90  *float64 `json:"p90_ms"`
	P95  *float64 `json:"p95_ms"`
	P99  *float64 `json:"p99_ms"`
	P999 *float64 `json:"p999_ms"`
	Max  *float64 `json:"max_ms"`
	Mean *float64 `json:"mean_ms"`
}

// Latencies are the fields that have no figure where no request was answered.
func (c *ClassPhase) Latencies() []**float64 {
	return []**float64{&c.P50, &c.P90, &c.P95, &c.P99, &c.P999, &c.Max, &c.Mean}
}

// Result is one judged objective.
type Result struct {
	Text    string   `json:"text"`
	Outcome Outcome  `json:"outcome"`
	Value   *float64 `json:"value"` // in the unit of the bound; nil: nothing was measured
	// NoValue says in two words why there is no value though the objective was decided: "no answer",
	// "not recovered".
	NoValue string  `json:"no_value,omitempty"`
	Bound   float64 `json:"bound"`
	Unit    string  `json:"unit"` // ms, s, /s, ratio, or empty for a count
	Samples uint64  `json:"samples"`
	Phase   string  `json:"phase"`
	Why     string  `json:"why,omitempty"` // evidence, or why it is inconclusive
}

// Passage is how one kind of probe, write or read, got through an injection.
type Passage string

// A Passage is one of these.
const (
	NotInjected   Passage = "not injected"  // the fault never took effect
	NotProbed     Passage = "not probed"    // nobody asked after it had
	Uninterrupted Passage = "uninterrupted" // seen to the fault's end, and good
	Recovered     Passage = "recovered"     // interrupted, and back for good
	Relapsed      Passage = "relapsed"      // was back, and is down where the recording ends
	Down          Passage = "down"          // was never back in the recording
	NotCovered    Passage = "not covered"   // not interrupted as far as was looked, which is not to the end
)

// Failover is how the system got through one injection, seen from the client.
type Failover struct {
	Injection  string   `json:"injection"`
	Write      Passage  `json:"write"`
	Read       Passage  `json:"read"`
	Detection  *float64 `json:"detection_s"`  // effective until the first failed probe; nil: no probe failed
	RTOWrite   *float64 `json:"rto_write_s"`  // effective until the answer with which writes were back for good; 0: never interrupted; nil: not back in the recording
	RTORead    *float64 `json:"rto_read_s"`   // the same for reads
	Outage     *float64 `json:"outage_s"`     // longest gap between two acknowledged writes that touches the fault's window
	Resolution *float64 `json:"resolution_s"` // effective until full redundancy was verified
	Precision  float64  `json:"precision_s"`  // resolution of the figures above: the probe interval
}

// Audit compares every acknowledged receipt with the ledger that was read back.
type Audit struct {
	Acknowledged int      `json:"acknowledged"`
	Unknown      int      `json:"unknown"`
	Refused      int      `json:"refused"`
	Recovered    int      `json:"recovered"` // unknown to the client, found in the ledger
	Lost         int      `json:"lost"`      // acknowledged, absent from the primary
	Duplicate    int      `json:"duplicate"` // one key more than once
	Phantom      int      `json:"phantom"`   // in the ledger, never asked for, or refused
	Altered      int      `json:"altered"`   // id, hash or value differs from the receipt
	Wrong        int      `json:"wrong"`     // value differs from the generator's own exact computation
	Diverged     int      `json:"diverged"`  // rows in which a standby differs from the primary after convergence
	CheckedNodes []string `json:"checked_nodes"`
	Complete     bool     `json:"complete"` // false: objectives on the ledger are inconclusive
	Examples     []string `json:"examples"` // up to 20 sentences naming keys
}
