package chaos

import (
	"context"
	"errors"
	"fmt"
)

// Doer undoes what a killed harness left behind, by container.
type Doer interface {
	// Inspect says whether a container still exists and runs.
	Inspect(ctx context.Context, containerID string) (exists, running bool, err error)
	// Start starts a container that does not run.
	Start(ctx context.Context, containerID string) error
	// RemoveSidecars removes the agents in the container's network namespace; none is no error.
	RemoveSidecars(ctx context.Context, containerID string) error
	// Sidecars counts the agents that are left in the container's network namespace.
	Sidecars(ctx context.Context, containerID string) (int, error)
}

// Recovered is what Recover did about one target of one entry.
type Recovered struct {
	Fault  string
	Target string
	Did    string // "started", "nothing: it is gone", ...
}

// Recover executes the inverse of every entry, verifies it, and says what it did. It is idempotent:
// what already runs or no longer exists is left alone. It goes on after an error; what it could not
// undo is in the error.
func Recover(ctx context.Context, entries []Entry, do Doer) ([]Recovered, error) {
	var done []Recovered
	var errs []error
	for _, e := range entries {
		for _, t := range e.Targets {
			did, err := recoverTarget(ctx, e.Inverse, t, do)
			if err != nil {
				errs = append(errs, fmt.Errorf("recover %s on %s: %w", e.Fault, t.Name, err))
				continue
			}
			done = append(done, Recovered{e.Fault, t.Name, did})
		}
	}
	return done, errors.Join(errs...)
}

func recoverTarget(ctx context.Context, inverse Inverse, t EntryTarget, do Doer) (string, error) {
	exists, running, err := do.Inspect(ctx, t.ContainerID)
	switch {
	case err != nil:
		return "", err
	case !exists:
		return "nothing: the container is gone", nil
	}
	switch inverse {
	case InverseStart:
		if running {
			return "nothing: it runs", nil
		}
		return start(ctx, t, do)
	case InverseSidecar:
		return removeSidecars(ctx, t, do)
	default:
		return "", fmt.Errorf("unknown inverse %q", inverse)
	}
}

func start(ctx context.Context, t EntryTarget, do Doer) (string, error) {
	if err := do.Start(ctx, t.ContainerID); err != nil {
		return "", fmt.Errorf("start: %w", err)
	}
	if _, running, err := do.Inspect(ctx, t.ContainerID); err != nil || !running {
		return "", errors.Join(errors.New("started, but it does not run"), err)
	}
	return "started", nil
}

func removeSidecars(ctx context.Context, t EntryTarget, do Doer) (string, error) {
	before, err := do.Sidecars(ctx, t.ContainerID)
	if err != nil {
		return "", fmt.Errorf("sidecars: %w", err)
	}
	if before == 0 {
		return "nothing: no agent is left", nil
	}
	if err := do.RemoveSidecars(ctx, t.ContainerID); err != nil {
		return "", fmt.Errorf("remove sidecars: %w", err)
	}
	left, err := do.Sidecars(ctx, t.ContainerID)
	if err != nil || left > 0 {
		return "", errors.Join(fmt.Errorf("%d agents are left", left), err)
	}
	return "agents removed", nil
}
