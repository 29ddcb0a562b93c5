package scenarios

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports"
	"squall/target"
	"sync"
	"time"
)

// How long the stages around the load may take before the run gives up on them.
const (
	downWithin = 60 * time.Second // every container, network and volume removed
	leadIn     = time.Second      // between the system being ready and second zero
)

// RunOptions says how a scenario is run; the zero value of everything but Out is usable.
type RunOptions struct {
	Seed     uint64
	Out      string   // folder that gets results/<scenario>/<time>-<seed>/
	Binary   string   // the squall binary that goes into the images; empty: the running one
	Keep     bool     // leave the system running at the end
	Command  string   // how to repeat the run, for the report
	Version  string   // of squall, for the report
	Progress Progress // nil: silent
	Log      *slog.Logger
}

// Progress is told what a run is doing. Its methods are called from several goroutines.
type Progress interface {
	Step(text string, done bool, took time.Duration)
	Tick(loadgen.Tick)
	Event(chaos.Event)
}

// SetupError says that the run could not start: no Docker, an image that does not build, a target
// that never became healthy. Nothing is left behind.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SetupError) Unwrap() error { return e.Err }

// Run plays a scenario from nothing to its verdict: system up, load and faults side by side, ledger
// read back, judged, recorded, and everything removed. It returns the result folder and the run that
// was written there. A cancelled ctx ends the load and undoes every fault; the partial run is
// still written, with the outcome aborted. The error is a *SetupError or says what could not be
// written or removed.
func Run(ctx context.Context, sc Scenario, opts RunOptions) (dir string, run reports.Run, err error) {
	r := &runner{Scenario: sc, RunOptions: opts}
	if r.plan, err = NewPlan(sc, opts.Seed); err != nil {
		return "", run, err
	}
	r.begin()
	lock, err := target.LockRun(r.id)
	if err != nil {
		return "", run, &SetupError{err}
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	defer func() { err = errors.Join(err, r.down(ctx)) }()
	if err := r.up(ctx); err != nil {
		return "", run, &SetupError{err}
	}
	if r.dir, err = r.makeFolder(); err != nil {
		return "", run, err
	}
	journal, err := chaos.OpenJournal(filepath.Join(r.dir, "journal.jsonl"))
	if err != nil {
		return r.dir, run, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()

	if err := r.play(ctx, journal); err != nil {
		r.run.Error = err.Error()
	}
	if ctx.Err() == nil && r.run.Error == "" {
		r.readLedger(ctx)
	}
	r.judge(ctx)
	return r.dir, r.run, reports.Write(r.dir, r.run)
}

// runner carries one run from stage to stage.
type runner struct {
	Scenario
	RunOptions
	plan   Plan
	system *target.System
	id     string // of the run: label of everything that belongs to it
	dir    string
	run    reports.Run

	mu    sync.Mutex // guards notes
	notes []noted
}
