package scenarios

import (
	"context"
	"syscall"
	"testing"
)

func TestInterruptCode(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause error
		want  int
	}{
		{"SIGINT", InterruptError{syscall.SIGINT}, 130},
		{"SIGTERM", InterruptError{syscall.SIGTERM}, 143},
		{"something else", context.Canceled, 130},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(test.cause)
		if got := InterruptCode(ctx); got != test.want {
			t.Errorf("InterruptCode after %s = %d, want %d", test.name, got, test.want)
		}
	}
}
