// Package reports turns the measurements of a run into what a person or another program reads.
//
// A Run is what was measured, a Record is its summary, and every file of a result folder is a view
// of the Record:
//
//	Run -> New -> Record -> result.json report.html junit.xml summary.md metrics.txt, terminal
//	Run -> Write -> raw/*.json.gz -> Load -> Run   (judged and rendered again, without a target)
package reports

import (
	"squall/reports/verdict"
	"time"
)

// Schema names the layout of result.json. Fields may be added under the same number; a field that
// changes its meaning or goes raises it.
const Schema = "squall/result/1"

// Record is the summary of a run, result.json. Seconds have three decimals.
type Record struct {
	Schema   string `json:"schema"`
	Scenario string `json:"scenario"`
	Question string `json:"question"`
	Seed     uint64 `json:"seed"`
	// SeedText is Seed for readers whose numbers are doubles, which round 64 bits.
	SeedText    string          `json:"seed_text"`
	StartedAt   time.Time       `json:"started_at"`
	Duration    float64         `json:"duration_s"`
	Outcome     verdict.Outcome `json:"outcome"`
	ExitCode    int             `json:"exit_code"`
	Reasons     []string        `json:"reasons"`
	Error       string          `json:"error,omitempty"`
	Command     string          `json:"command"`
	Load        LoadSummary     `json:"load"`
	Phases      []verdict.Phase `json:"phases"`
	Injections  []Injection     `json:"injections"`
	Failover    []Failover      `json:"failover"`
	Unplanned   []Unplanned     `json:"unplanned"`
	Audit       verdict.Audit   `json:"audit"`
	Objectives  []Objective     `json:"objectives"`
	Health      Health          `json:"health"`
	Environment Environment     `json:"environment"`
	Nodes       []Node          `json:"nodes"`
	Events      []LogLine       `json:"events"`

	// Series and ScenarioYAML feed the views; they lie in files of their own beside result.json.
	Series       Series `json:"-"`
	ScenarioYAML string `json:"-"`
}

// LoadSummary sums up the load of all classes.
type LoadSummary struct {
	Totals
	SendLagP99 float64           `json:"send_lag_p99_ms"` // lateness of the generator itself
	Classes    map[string]Totals `json:"classes"`
}

// Totals counts requests by how they ended, with the response time from the due time in ms.
// Planned = Sent + Unsent; Sent = OK + Failed. The latencies are nil where no request was answered.
type Totals struct {
	Planned   uint64   `json:"planned"`
	Sent      uint64   `json:"sent"`
	Unsent    uint64   `json:"unsent"`
	OK        uint64   `json:"ok"`
	Failed    uint64   `json:"failed"`
	HTTPError uint64   `json:"http_error"`
	Rejected  uint64   `json:"rejected"`
	Timeout   uint64   `json:"timeout"`
	Transport uint64   `json:"transport"`
	Attempts  uint64   `json:"attempts"` // more than Sent: the transport retried
	Units     uint64   `json:"units"`    // units of work acknowledged
	P50       *float64 `json:"p50_ms"`
	P90       *float64 `json:"p90_ms"`
	P99       *float64 `json:"p99_ms"`
	P999      *float64 `json:"p999_ms"`
	Max       *float64 `json:"max_ms"`
}

// ErrorRatio is the share of planned requests that failed or were never sent, 0 to 1; 0 of none.
func (t Totals) ErrorRatio() float64 {
	if t.Planned == 0 {
		return 0
	}
	return float64(t.Failed+t.Unsent) / float64(t.Planned)
}

// Injection is one fault, requested against measured. Offsets count from the start of the load.
type Injection struct {
	Fault      string   `json:"fault"`
	Kind       string   `json:"kind"`
	Target     string   `json:"target"` // all targets, joined by a comma
	Targets    []string `json:"targets"`
	Requested  float64  `json:"requested_s"`
	Effective  *float64 `json:"effective_s"` // null: it never took effect
	Ended      *float64 `json:"ended_s"`     // null: it was never injected
	Settle     float64  `json:"settle_s"`
	Effect     Effect   `json:"effect"`
	Felt       bool     `json:"felt"`
	Undone     bool     `json:"undone"`
	Resolution float64  `json:"resolution_s"` // from its end until the target was verified healthy
	Error      string   `json:"error,omitempty"`
}

// outcome is met for a fault that was felt and undone.
func (i Injection) outcome() verdict.Outcome {
	switch {
	case !i.Undone:
		return verdict.Error
	case !i.Felt:
		return verdict.Inconclusive
	}
	return verdict.Met
}

// Effect is what a fault was measured to do, beside what was asked of it.
type Effect struct {
	Summary  string             `json:"summary"`
	Asked    map[string]float64 `json:"asked,omitempty"`
	Measured map[string]float64 `json:"measured,omitempty"` // the unit is at the end of the name
	Details  map[string]string  `json:"details,omitempty"`
}

// Failover is how the clients got through one injection.
type Failover struct {
	Injection string `json:"injection"`
	// Write and Read say how the probes of each kind got through, and so why a figure is missing; empty in older records.
	Write      verdict.Passage `json:"write,omitempty"`
	Read       verdict.Passage `json:"read,omitempty"`
	Detection  *float64        `json:"detection_s"`  // null: no probe failed
	RTOWrite   *float64        `json:"rto_write_s"`  // 0: never interrupted; null: Write says why
	RTORead    *float64        `json:"rto_read_s"`   // the same for reads
	Outage     *float64        `json:"outage_s"`     // null: no acknowledged write to measure it by
	Resolution *float64        `json:"resolution_s"` // null: full redundancy was never verified
	Precision  float64         `json:"precision_s"`
}

// Unplanned is a change of the target that no fault asked for.
type Unplanned struct {
	At             float64 `json:"at_s"`
	What           string  `json:"what"` // primary, timeline, primaries or ejected
	Node           string  `json:"node"`
	Text           string  `json:"text"`
	HostStoodStill bool    `json:"host_stood_still"` // false: the target's own doing
	Why            string  `json:"why"`              // it was judged so
}

// Objective is one judged objective with its evidence.
type Objective struct {
	Text    string          `json:"text"`
	Outcome verdict.Outcome `json:"outcome"`
	Value   *float64        `json:"value"` // in Unit; null: nothing was measured
	// NoValue says why Value is null though the objective was decided: "no answer", "not recovered".
	NoValue string  `json:"no_value,omitempty"`
	Bound   float64 `json:"bound"`
	Unit    string  `json:"unit"`
	Samples uint64  `json:"samples"`
	Phase   string  `json:"phase"`
	Why     string  `json:"why,omitempty"`
	Metric  string  `json:"metric,omitempty"`
	Of      string  `json:"of,omitempty"`
	Op      string  `json:"op,omitempty"`
}

// Health says whether the generator itself could be trusted.
type Health struct {
	Valid       bool     `json:"valid"`
	Reasons     []string `json:"reasons"`
	LagP99      float64  `json:"lag_p99_ms"`
	CPU         float64  `json:"cpu"` // share of the host's cores that the generator used, 0 to 1
	BadSeconds  []int    `json:"bad_seconds"`
	ProbeGapMax float64  `json:"probe_gap_ms"`
}

// LogLine is one line of the run's own log.
type LogLine struct {
	At    float64 `json:"at_s"`
	Level string  `json:"level"`
	Text  string  `json:"text"`
}
