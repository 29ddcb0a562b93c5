package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"squall/target"
	"sync"
	"time"
)

// Phase says how far a fault has come.
type Phase string

// The phases of a fault, in their order; failed may come after any.
const (
	PhaseInjecting Phase = "injecting"
	PhaseEffective Phase = "effective" // every target is hit
	PhaseEnded     Phase = "ended"
	PhaseUndone    Phase = "undone" // verified gone, targets healthy
	PhaseFailed    Phase = "failed"
)

// Event tells a live view what a fault is doing.
type Event struct {
	At      time.Duration `json:"at_ns"` // since the start of the load
	Fault   string        `json:"fault"`
	Kind    string        `json:"kind"`
	Phase   Phase         `json:"phase"`
	Targets []string      `json:"targets,omitempty"`
	Text    string        `json:"text,omitempty"`
}

// PlayOptions says which faults to play on what. Start, Faults, System and Journal are required.
type PlayOptions struct {
	Start   time.Time // of the load; every offset counts from it
	Faults  []Spec    // with defaults
	System  System
	Journal *Journal
	Run     string // id of the run, for the journal
	Seed    uint64 // each fault draws from a stream of its own
	Log     *slog.Logger
	Notify  func(Event) // called from one goroutine at a time; nil: nobody listens
}

const (
	// injectWithin bounds an injection: starting sidecars on a busy machine takes seconds.
	injectWithin = 60 * time.Second
	// resolveWithin bounds the question which nodes a selector means, however often it is asked; a
	// fault that is shorter has no longer than it would last.
	resolveWithin = 10 * time.Second
	// resolveOnceWithin bounds one asking of it: Docker on a busy machine takes seconds to answer.
	resolveOnceWithin = 5 * time.Second
	// measureWithin bounds the last look at an active fault.
	measureWithin = 5 * time.Second
	// retryUndoAfter is the pause between two attempts to undo a fault.
	retryUndoAfter = time.Second
)

// Play plays every fault at its instant and returns when all are undone, with one Injection per
// fault in the order of opts.Faults. A fault that could not be injected, felt or undone says so in its
// Injection. When ctx is cancelled, active faults are undone at once and the others are not
// injected; undoing has its own limits and is not cancelled.
func Play(ctx context.Context, opts PlayOptions) []Injection {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	p := &player{PlayOptions: opts, busy: map[string]string{}}
	out := make([]Injection, len(opts.Faults))
	var all sync.WaitGroup
	for i, spec := range opts.Faults {
		stream := uint64(i)
		all.Go(func() { out[i] = p.play(ctx, stream, spec) })
	}
	all.Wait()
	return out
}

// player is one call of Play.
type player struct {
	PlayOptions
	mu     sync.Mutex        // guards busy
	busy   map[string]string // "mechanism node" -> the fault that has it
	notify sync.Mutex        // one event at a time
}

// life is one fault on its way through its phases.
type life struct {
	*player
	spec Spec
	Fault
	in Injection
}

func (p *player) play(ctx context.Context, stream uint64, spec Spec) Injection {
	l := &life{player: p, spec: spec}
	l.in = Injection{Fault: spec.Name, Kind: spec.Kind, Requested: spec.At, Settle: spec.Settle}
	if !sleep(ctx, time.Until(p.Start.Add(spec.At))) {
		return l.notInjected(context.Cause(ctx))
	}
	aim, err := l.resolve(ctx, stream)
	if err != nil {
		return l.notInjected(err)
	}
	l.in.Targets = names(aim.Targets)
	if err := p.claim(l, aim.Targets); err != nil {
		return l.notInjected(err)
	}
	defer p.release(l, aim.Targets)
	if err := p.Journal.Append(l.entry(aim)); err != nil {
		return l.notInjected(err)
	}
	l.breakThem(ctx)
	l.mendThem(context.WithoutCancel(ctx), aim.Targets)
	return l.in
}

// resolve makes the fault and lets it pick its targets, again and again while the system cannot say
// which they are: in the moment of a failover nobody is primary. Each time the fault is made anew,
// with the same draws, so that what is picked does not depend on how often it was asked.
func (l *life) resolve(ctx context.Context, stream uint64) (aim Resolved, err error) {
	var final error // asking again does not help
	err = target.Retry(ctx, min(resolveWithin, l.spec.For), func(ctx context.Context) error {
		// PCG's second word makes a stream per fault: adding one does not shift the others' draws.
		draw := rand.New(rand.NewPCG(l.Seed, stream))
		if l.Fault, final = New(l.spec, Deps{System: l.System, Draw: draw, Log: l.Log}); final != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, resolveOnceWithin)
		defer cancel()
		err := guard(func() (err error) {
			aim, err = l.Resolve(ctx)
			return err
		})
		if _, panicked := errors.AsType[*PanicError](err); panicked {
			final = err
			return nil
		}
		return err
	})
	if final != nil {
		err = final
	}
	return aim, err
}

// breakThem injects the fault, keeps it up and measures it.
func (l *life) breakThem(ctx context.Context) {
	l.event(PhaseInjecting, "")
	var effective time.Time
	err := guard(func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, injectWithin)
		defer cancel()
		effective, err = l.Inject(ctx)
		return err
	})
	if err != nil {
		l.fail("inject", err)
		return
	}
	l.in.Effective = effective.Sub(l.Start)
	l.event(PhaseEffective, "")
	l.fail("hold", guard(func() error {
		held, cancel := context.WithDeadline(ctx, effective.Add(l.spec.For))
		defer cancel()
		l.Hold(held)
		return nil
	}))
	l.fail("measure", guard(func() (err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), measureWithin)
		defer cancel()
		l.in.Effect, l.in.Felt, err = l.Measure(ctx)
		return err
	}))
	if ctx.Err() != nil {
		if l.in.Effect.Details == nil {
			l.in.Effect.Details = map[string]string{}
		}
		l.in.Effect.Details["cut_short"] = (time.Since(l.Start) - l.in.Effective).Round(time.Millisecond).String()
	}
}

// mendThem undoes the fault, again and again within its limit, and proves that it is gone.
func (l *life) mendThem(ctx context.Context, targets []target.Node) {
	ctx, cancel := context.WithTimeout(ctx, l.UndoWithin())
	defer cancel()
	var err, before error
	for {
		if err = guard(func() error { return l.Undo(ctx) }); err == nil {
			if l.in.Ended == 0 {
				l.in.Ended = time.Since(l.Start)
				l.event(PhaseEnded, l.in.Effect.Summary)
			}
			err = guard(func() error { return l.Verify(ctx) })
		}
		if ctx.Err() != nil && before != nil {
			err = before // that the time is over says less than what was wrong until then
		}
		if before = err; err == nil || !sleep(ctx, retryUndoAfter) {
			break
		}
	}
	if l.in.Ended == 0 {
		l.in.Ended = time.Since(l.Start)
	}
	// What is left running holds nothing any more, and is removed with the run: worth a warning.
	if err := guard(l.Close); err != nil {
		l.Log.Warn("fault closed", slog.String("fault", l.spec.Name), slog.Any("error", err))
	}
	if err == nil {
		err = each(targets, func(n target.Node) error { return l.System.WaitHealthy(ctx, n) })
	}
	l.in.Resolution = time.Since(l.Start) - l.in.Ended
	if err != nil {
		l.fail("undo", err)
		return
	}
	l.in.Undone = true
	done := Entry{Record: RecordUndone, Run: l.Run, Fault: l.spec.Name, Kind: l.spec.Kind}
	l.fail("undone", l.Journal.Append(done))
	l.event(PhaseUndone, "")
}

func (l *life) entry(aim Resolved) Entry {
	e := Entry{
		Record: RecordInjecting, Run: l.Run, Fault: l.spec.Name, Kind: l.spec.Kind,
		Inverse: aim.Inverse, Before: aim.Before,
		Deadline: time.Now().Add(l.spec.For + l.UndoWithin()).UTC(),
	}
	for _, n := range aim.Targets {
		e.Targets = append(e.Targets, EntryTarget{Name: n.Name, ContainerID: n.ContainerID})
	}
	return e
}

// notInjected ends a fault that never touched its targets.
func (l *life) notInjected(err error) Injection {
	l.fail("not injected", err)
	return l.in
}

// fail adds err, if any, to the injection's error and tells of it.
func (l *life) fail(what string, err error) {
	if err == nil {
		return
	}
	if p, panicked := errors.AsType[*PanicError](err); panicked {
		l.Log.Error("fault panicked", slog.String("fault", l.spec.Name),
			slog.String("stack", string(p.Stack)))
	}
	text := what + ": " + err.Error()
	if l.in.Error != "" {
		l.in.Error += "; "
	}
	l.in.Error += text
	l.event(PhaseFailed, text)
}

func (l *life) event(phase Phase, text string) {
	e := Event{time.Since(l.Start), l.spec.Name, l.spec.Kind, phase, l.in.Targets, text}
	l.Log.Info("fault", slog.String("fault", e.Fault), slog.String("phase", string(phase)),
		slog.Duration("at", e.At), slog.Any("targets", e.Targets), slog.String("text", text))
	if l.Notify == nil {
		return
	}
	l.notify.Lock()
	defer l.notify.Unlock()
	l.Notify(e)
}

// claim takes the targets for one mechanism; all or none.
func (p *player) claim(l *life, targets []target.Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(targets) == 0 {
		return errors.New("select: no node matches")
	}
	for _, n := range targets {
		if by, taken := p.busy[l.Mechanism()+" "+n.Name]; taken {
			return fmt.Errorf("%s is already under %s by fault %s", n.Name, l.Mechanism(), by)
		}
	}
	for _, n := range targets {
		p.busy[l.Mechanism()+" "+n.Name] = l.spec.Name
	}
	return nil
}

func (p *player) release(l *life, targets []target.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range targets {
		delete(p.busy, l.Mechanism()+" "+n.Name)
	}
}

// PanicError is a panic in a fault, turned into an error so that what was broken is mended.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// guard calls do and turns a panic into a PanicError.
func guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
	}()
	return do()
}
