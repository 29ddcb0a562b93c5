package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"squall/target"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// killUndoWithin covers a database that starts, recovers and joins as a standby again.
	killUndoWithin = 60 * time.Second
	// killSeenWithin is how long Docker may take to notice that a killed process is gone.
	killSeenWithin = 10 * time.Second
	// pollEvery is the resolution of what kill observes: who is primary, and whether a node runs.
	pollEvery = 100 * time.Millisecond
	// askWithin bounds one question to a system that may be broken.
	askWithin = 2 * time.Second
	// exitSIGKILL is the exit code of a process that SIGKILL ended: 128 + 9.
	exitSIGKILL = 137
)

// kill ends the processes of its targets with SIGKILL and starts them again at its end.
type kill struct {
	spec Spec
	Deps

	targets  []target.Node
	old      target.Node // the primary before; its Name is empty unless a database is a target
	timeline int

	injected time.Time
	spread   time.Duration
	exits    map[string]int // by node; a node that still ran is absent

	mu       sync.Mutex // guards what Hold sees
	next     target.Node
	nextIn   time.Duration // since injected, until it held the leader's lock; 0: none was seen
	nextLine int           // its timeline; it follows the lock by the time that a promotion takes
	lineIn   time.Duration // since injected, until the timeline had advanced; 0: it did not
}

func (k *kill) Mechanism() string         { return KindKill }
func (k *kill) UndoWithin() time.Duration { return killUndoWithin }

// Resolve picks the targets. Where a database is among them it records who is primary now; two answers
// to that question are an error, since nobody could tell what was killed.
func (k *kill) Resolve(ctx context.Context) (Resolved, error) {
	var err error
	if k.targets, err = k.System.Select(ctx, k.spec.Select, k.Draw); err != nil {
		return Resolved{}, fmt.Errorf("select: %w", err)
	}
	before := map[string]string{"state": "running"}
	for _, n := range k.targets {
		running, code, err := k.System.Running(ctx, n)
		if err != nil {
			return Resolved{}, err
		}
		if !running {
			return Resolved{}, fmt.Errorf("%s does not run (exit code %d): there is nothing to kill", n.Name, code)
		}
	}
	if k.hitsDatabase() {
		if k.old, k.timeline, err = k.System.Primary(ctx); err != nil {
			return Resolved{}, fmt.Errorf("primary: %w", err)
		}
		if k.spec.Select.Role == target.RolePrimary && !k.hitsPrimary() {
			return Resolved{}, fmt.Errorf("primary: selected %s, but %s says it is", names(k.targets), k.old.Name)
		}
		before["primary"], before["timeline"] = k.old.Name, strconv.Itoa(k.timeline)
	}
	return Resolved{Targets: k.targets, Inverse: InverseStart, Before: before}, nil
}

func (k *kill) hitsDatabase() bool {
	for _, n := range k.targets {
		if n.Role == target.RoleDatabase || n.Role == target.RolePrimary || n.Role == target.RoleStandby {
			return true
		}
	}
	return false
}

func (k *kill) hitsPrimary() bool {
	for _, n := range k.targets {
		if k.old.Name != "" && n.Name == k.old.Name {
			return true
		}
	}
	return false
}

// Close has nothing to end.
func (k *kill) Close() error { return nil }

// Inject kills all targets at once and returns when each was seen not to run. The effective instant is
// that at which the kill was sent; the targets died up to apply_spread_ms after it, so a recovery
// time counted from it is never too short.
func (k *kill) Inject(ctx context.Context) (effective time.Time, err error) {
	start := time.Now()
	if err := each(k.targets, func(n target.Node) error { return k.System.Kill(ctx, n) }); err != nil {
		return time.Time{}, err
	}
	k.injected, k.spread = start, time.Since(start)
	ctx, cancel := context.WithTimeout(ctx, killSeenWithin)
	defer cancel()
	k.exits = map[string]int{}
	var mu sync.Mutex
	return k.injected, each(k.targets, func(n target.Node) error {
		code, err := k.untilDead(ctx, n)
		if err != nil {
			return fmt.Errorf("%s after kill: %w", n.Name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		k.exits[n.Name] = code
		return nil
	})
}

func (k *kill) untilDead(ctx context.Context, n target.Node) (exitCode int, err error) {
	for {
		running, code, err := k.System.Running(ctx, n)
		if err == nil && !running {
			return code, nil
		}
		if !sleep(ctx, pollEvery) {
			return 0, errors.Join(errors.New("still runs"), err, ctx.Err())
		}
	}
}

// Hold polls who is primary until another one was promoted, when the primary was killed.
func (k *kill) Hold(ctx context.Context) {
	for k.hitsPrimary() && k.lineIn == 0 {
		// Errors are expected here: while no node is primary there is no answer.
		if n, line, err := k.ask(ctx); err == nil && k.saw(n, line) {
			k.Log.Info("another primary answers", slog.String("fault", k.spec.Name),
				slog.String("primary", n.Name), slog.Int("timeline", line))
		}
		if !sleep(ctx, pollEvery) {
			return
		}
	}
	<-ctx.Done()
}

// saw records who is primary now, and reports whether that is another one than before.
func (k *kill) saw(n target.Node, line int) (another bool) {
	if n.Name == k.old.Name && line <= k.timeline {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	since := time.Since(k.injected)
	another = k.nextIn == 0 || k.next.Name != n.Name
	if k.nextIn == 0 {
		k.nextIn = since
	}
	if line > k.timeline {
		k.lineIn = since
	}
	k.next, k.nextLine = n, line
	return another
}

func (k *kill) ask(ctx context.Context) (target.Node, int, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return k.System.Primary(ctx)
}

// Measure says whether every target was ended by SIGKILL, and what became of the primary.
func (k *kill) Measure(ctx context.Context) (Effect, bool, error) {
	e := Effect{
		Asked:    map[string]float64{"targets": float64(len(k.targets)), "exit_code": exitSIGKILL},
		Measured: map[string]float64{"apply_spread_ms": ms(k.spread)},
		Details:  map[string]string{},
	}
	felt := len(k.targets) > 0
	var said, back []string
	for _, n := range k.targets {
		code, dead := k.exits[n.Name]
		felt = felt && dead && code == exitSIGKILL
		said = append(said, fmt.Sprintf("%s exited with %d", n.Name, code))
		e.Details["exit_code "+n.Name] = strconv.Itoa(code)
		if running, _, err := k.System.Running(ctx, n); err == nil && running && dead {
			back = append(back, n.Name)
		}
	}
	if len(k.targets) > 0 {
		e.Measured["exit_code"] = float64(k.exits[k.targets[0].Name])
	}
	if len(back) > 0 {
		e.Details["restarted"] = strings.Join(back, ", ")
		said = append(said, "running again before the fault's end: "+strings.Join(back, ", "))
	}
	if k.old.Name != "" {
		said = append(said, k.measurePrimary(&e))
	}
	e.Summary = strings.Join(said, "; ")
	return e, felt, nil
}

// measurePrimary adds what became of the primary and says it in words.
func (k *kill) measurePrimary(e *Effect) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.Details["old_primary"], e.Details["old_timeline"] = k.old.Name, strconv.Itoa(k.timeline)
	e.Measured["primary_changed"] = 0
	switch {
	case !k.hitsPrimary():
		return fmt.Sprintf("the primary %s was not hit", k.old.Name)
	case k.nextIn == 0:
		return fmt.Sprintf("no other primary than %s was seen", k.old.Name)
	}
	if k.next.Name != k.old.Name {
		e.Measured["primary_changed"] = 1
	}
	e.Measured["timeline_advanced"] = float64(k.nextLine - k.timeline)
	e.Measured["primary_seen_after_ms"] = ms(k.nextIn)
	e.Details["new_primary"], e.Details["new_timeline"] = k.next.Name, strconv.Itoa(k.nextLine)
	if k.lineIn > 0 {
		e.Measured["promoted_after_ms"] = ms(k.lineIn)
	}
	return fmt.Sprintf("primary %s (timeline %d), %.1f s later %s (timeline %d)",
		k.old.Name, k.timeline, k.nextIn.Seconds(), k.next.Name, k.nextLine)
}

// Undo starts every target that does not run.
func (k *kill) Undo(ctx context.Context) error {
	return each(k.targets, func(n target.Node) error {
		running, _, err := k.System.Running(ctx, n)
		if err == nil && running {
			return nil
		}
		// A state that cannot be read is no reason not to start the node.
		if startErr := k.System.Start(ctx, n); startErr != nil {
			return errors.Join(startErr, err)
		}
		return nil
	})
}

// Verify proves that every target runs.
func (k *kill) Verify(ctx context.Context) error {
	return each(k.targets, func(n target.Node) error {
		running, code, err := k.System.Running(ctx, n)
		switch {
		case err != nil:
			return err
		case !running:
			return fmt.Errorf("%s does not run, exit code %d", n.Name, code)
		}
		return nil
	})
}

// each calls do for all nodes at the same time and waits for all.
func each(nodes []target.Node, do func(target.Node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = guard(func() error { return do(n) }) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// sleep waits for d and reports whether ctx lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
