package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports"
	"squall/reports/verdict"
	"squall/target"
	"sync"
	"time"
)

// up makes the images and starts the system.
func (r *runner) up(ctx context.Context) error {
	var err error
	if r.run.Environment.Docker, err = target.DaemonVersion(ctx); err != nil {
		return err
	}
	images, err := target.EnsureImages(ctx, target.ImageOptions{Binary: r.Binary, Progress: r.step})
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	r.system, err = target.Up(ctx, r.Target, target.Options{
		RunID: r.id, Images: images, Progress: r.step, Log: r.Log, Reap: !r.Keep,
	})
	if err != nil {
		return fmt.Errorf("system up: %w", err)
	}
	for _, n := range r.system.Nodes() {
		r.run.Nodes = append(r.run.Nodes,
			reports.Node{Name: n.Name, Role: string(n.Role), Zone: n.Zone, Image: n.Image})
	}
	r.run.Environment.Images = r.system.Images()
	return nil
}

// down removes everything of the run, also after a cancellation, unless the system is to be kept.
func (r *runner) down(ctx context.Context) error {
	if r.system == nil || r.Keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downWithin)
	defer cancel()
	if err := r.system.Down(ctx); err != nil {
		return fmt.Errorf("system down: %w; `squall down` tries again", err)
	}
	return nil
}

// play drives the load and the faults side by side from one second zero.
func (r *runner) play(ctx context.Context, journal *chaos.Journal) error {
	start := time.Now().Add(leadIn)
	r.run.StartedAt = start.UTC()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	var watcher, faults sync.WaitGroup
	watcher.Go(func() {
		w := watch{system: r.system, start: start, notify: r.changed}
		r.run.Changes = w.run(watching)
	})
	faults.Go(func() {
		r.run.Injections = chaos.Play(ctx, chaos.PlayOptions{
			Start: start, Faults: r.Faults, System: r.system, Journal: journal, Run: r.id,
			Seed: r.plan.Seed, Log: r.Log, Notify: r.event,
		})
	})
	recording, err := loadgen.Run(ctx, r.plan.Schedule, loadgen.Options{
		BaseURL: r.system.BaseURL(), Allowed: r.system.Prefixes(), Start: start,
		Progress: r.tick, Log: r.Log, RunID: r.id,
	})
	if err != nil {
		stop() // no load: the faults are undone at once and the run ends
	}
	faults.Wait()
	unwatch()
	watcher.Wait()
	if r.system.Unguarded() {
		r.run.Warnings = append(r.run.Warnings,
			"the run's reaper ended before the run: a squall killed in this run would have left its containers behind")
	}
	r.run.Recording = recording
	r.run.Duration = time.Since(start)
	return err
}

// readLedger reads the whole ledger back from every database node.
func (r *runner) readLedger(ctx context.Context) {
	r.run.Ledger = readLedgers(ctx, r.system, r.step)
}

// begin fills in what is known before anything starts.
func (r *runner) begin() {
	now := time.Now().UTC()
	r.id = fmt.Sprintf("%s-%s-%d", r.Name, now.Format("20060102t150405"), r.plan.Seed)
	r.run = reports.Run{
		Scenario: r.Name, Question: r.Question, ScenarioYAML: string(r.Source),
		Seed: r.plan.Seed, StartedAt: now, Command: r.Command,
		Objectives: r.Objectives, Planned: r.plan.Planned(),
		Environment: reports.ThisEnvironment(r.Version),
	}
}

// judge judges what was measured. An aborted run has the exit code of the signal that ended it.
func (r *runner) judge(ctx context.Context) {
	r.run.Events = r.events()
	r.run.Judge()
	if r.run.Verdict.Outcome == verdict.Aborted {
		r.run.Verdict.ExitCode = InterruptCode(ctx)
	}
}

// makeFolder makes the result folder, <out>/<scenario>/<UTC time>-<seed>.
func (r *runner) makeFolder() (string, error) {
	name := fmt.Sprintf("%s-%d", r.run.StartedAt.Format("20060102T150405Z"), r.plan.Seed)
	dir := filepath.Join(r.Out, r.Name, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("result folder: %w", err)
	}
	return dir, nil
}

func (r *runner) step(s target.Step) {
	text := s.Name + ": " + s.Text
	if s.Done {
		r.note("info", fmt.Sprintf("%s (%.1f s)", text, s.Took.Seconds()))
	}
	if r.Progress != nil {
		r.Progress.Step(text, s.Done, s.Took)
	}
}

func (r *runner) tick(t loadgen.Tick) {
	if r.Progress != nil {
		r.Progress.Tick(t)
	}
}

func (r *runner) event(e chaos.Event) {
	level := "info"
	if e.Phase == chaos.PhaseFailed {
		level = "error"
	}
	r.note(level, fmt.Sprintf("fault %s %s: %s", e.Fault, e.Phase, e.Text))
	if r.Progress != nil {
		r.Progress.Event(e)
	}
}

func (r *runner) changed(c verdict.Change) { r.note("info", "target: "+c.Text) }

// note adds a line to the run's own log, with the time of day: second zero is not known yet while
// the system comes up.
func (r *runner) note(level, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, noted{time.Now(), reports.Event{Level: level, Text: text}})
}

// noted is a line of the log with its time of day.
type noted struct {
	at time.Time
	reports.Event
}

// events are the lines of the log counted from second zero.
func (r *runner) events() []reports.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []reports.Event
	for _, n := range r.notes {
		n.At = n.at.Sub(r.run.StartedAt)
		events = append(events, n.Event)
	}
	return events
}
