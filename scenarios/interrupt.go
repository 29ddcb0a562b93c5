package scenarios

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// InterruptError is the cause of a context that a signal cancelled.
type InterruptError struct{ Signal os.Signal }

// Error names the signal.
func (e InterruptError) Error() string { return "interrupted by " + e.Signal.String() }

// InterruptCode is the exit code of a run whose context was cancelled: 128 plus the number of the
// signal, 143 for SIGTERM and 130 for everything else.
func InterruptCode(ctx context.Context) int {
	var cause InterruptError
	if errors.As(context.Cause(ctx), &cause) && cause.Signal == syscall.SIGTERM {
		return 143
	}
	return 130
}
