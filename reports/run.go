package reports

import (
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"time"
)

// Run is everything that one run measured and how it was judged: what Write stores and Load reads
// back. Recording may be nil when the run ended before the load began.
type Run struct {
	Scenario     string    `json:"scenario"`
	Question     string    `json:"question"` // what the scenario asks, its first comment
	ScenarioYAML string    `json:"-"`        // stored as scenario.yaml
	Seed         uint64    `json:"seed"`
	StartedAt    time.Time `json:"started_at"`
	// Duration is the whole run from the first container to the last check.
	Duration time.Duration `json:"duration_ns"`
	Command  string        `json:"command"` // repeats the run with the same seed

	Recording  *loadgen.Recording      `json:"-"`
	Injections []chaos.Injection       `json:"-"`
	Ledger     []verdict.NodeLedger    `json:"-"`
	Planned    []verdict.PlannedSecond `json:"-"`
	Objectives []verdict.Objective     `json:"-"`
	Verdict    verdict.Verdict         `json:"-"`

	Environment Environment `json:"environment"`
	Nodes       []Node      `json:"nodes"`
	Events      []Event     `json:"events"`
	// Changes are what the target was seen to do while it was loaded, asked for or not.
	Changes []verdict.Change `json:"changes,omitempty"`
	// Warnings stand among the reasons of the verdict and change no outcome.
	Warnings []string `json:"warnings,omitempty"`
	Error    string   `json:"error,omitempty"` // what ended the run early; empty: it ran to its end
}

// Environment is the machine and the software that the run depended on.
type Environment struct {
	Cores         int               `json:"cores"`
	MemoryBytes   int64             `json:"memory_bytes"`
	Kernel        string            `json:"kernel"`
	Docker        string            `json:"docker"` // version of the daemon
	SquallVersion string            `json:"squall_version"`
	Images        map[string]string `json:"images"` // image name to content id
}

// Node is one member of the system under test, as the report names it.
type Node struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	Zone  string `json:"zone"`
	Image string `json:"image"`
}

// Event is one line of the run's own log.
type Event struct {
	At    time.Duration `json:"at_ns"` // since the start of the load; negative: while the system came up
	Level string        `json:"level"` // info, warn or error
	Text  string        `json:"text"`
}
