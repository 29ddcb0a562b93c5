package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"squall/target"
	"time"
)

// System is what a fault needs of the system under test; *target.System is the real one. Its errors
// name the operation and the node.
type System interface {
	Nodes() []target.Node
	// Select resolves a selector now; no match is an error.
	Select(ctx context.Context, s target.Selector, draw *rand.Rand) ([]target.Node, error)
	// Primary asks the databases which of them is the primary, and its timeline.
	Primary(ctx context.Context) (target.Node, int, error)
	Kill(ctx context.Context, n target.Node) error  // SIGKILL
	Start(ctx context.Context, n target.Node) error // of a stopped node
	Running(ctx context.Context, n target.Node) (running bool, exitCode int, err error)
	WaitHealthy(ctx context.Context, n target.Node) error
	// Sidecar starts `squall args...` in the node's network namespace. Its name is unique per node,
	// and ctx bounds the start alone.
	Sidecar(ctx context.Context, n target.Node, name string, args, capabilities []string) (
		*target.Sidecar, error)
}

var _ System = (*target.System)(nil)

// Fault is one way to break nodes, and to mend them. Play calls its methods in this order, each
// once, except that Undo and Verify are repeated until they succeed or UndoWithin is over. They and
// Close are always called when Inject was, even if Inject failed or panicked.
type Fault interface {
	// Mechanism names what the fault takes hold of; two faults of one mechanism never share a node.
	Mechanism() string
	// UndoWithin bounds Undo, Verify and the wait for health together.
	UndoWithin() time.Duration
	// Resolve picks the targets at this moment and says how Recover would mend them.
	Resolve(ctx context.Context) (Resolved, error)
	// Inject breaks the targets and returns the instant at which every one of them was hit.
	Inject(ctx context.Context) (effective time.Time, err error)
	// Hold watches the targets until ctx is done.
	Hold(ctx context.Context)
	// Measure gives the effect while the fault is still active, and whether it was felt.
	Measure(ctx context.Context) (effect Effect, felt bool, err error)
	// Undo mends the targets. It is idempotent.
	Undo(ctx context.Context) error
	// Verify proves, by a look of its own, that nothing of the fault is left.
	Verify(ctx context.Context) error
	// Close ends what the fault keeps running beside the targets; whatever depends on it ends too.
	Close() error
}

// Resolved is what a fault is about to do.
type Resolved struct {
	Targets []target.Node
	Inverse Inverse           // how to undo it when the harness is gone
	Before  map[string]string // the state that undoing restores
}

// Deps are what New hands to a fault.
type Deps struct {
	System System
	Draw   *rand.Rand // of this fault alone
	Log    *slog.Logger
}

// New makes the fault that spec describes. The switch is the catalogue of faults.
func New(spec Spec, deps Deps) (Fault, error) {
	switch spec.Kind {
	case KindKill:
		return &kill{spec: spec, Deps: deps}, nil
	case KindLatency, KindLoss:
		return &packets{spec: spec, Deps: deps}, nil
	default:
		return nil, fmt.Errorf("fault %s: unknown kind %q", spec.Name, spec.Kind)
	}
}

// names lists the names of nodes.
func names(nodes []target.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}
