package target

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRunChildReturnsOutputAndReason(t *testing.T) {
	output, err := runChild(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3"))
	exit, ok := errors.AsType[*exec.ExitError](err)
	if string(output) != "out\nerr\n" || !ok || exit.ExitCode() != 3 {
		t.Errorf("runChild() = %q, %v, want both outputs and exit status 3", output, err)
	}
}

// TestRunChildEndsGrandchildren has a shell start another process and wait for it.
func TestRunChildEndsGrandchildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	output, err := runChild(ctx, exec.CommandContext(ctx, "sh", "-c", "sleep 300 & echo $!; wait"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("runChild() = %v, want that its time was up", err)
	}
	if took := time.Since(start); took > killAfter {
		t.Errorf("runChild() took %s, want less than %s: a grandchild held the output", took, killAfter)
	}
	pid := strings.TrimSpace(string(output))
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatalf("output %q, want a process id", output)
	}
	for deadline := time.Now().Add(5 * time.Second); alive(t, pid); {
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives on after runChild", pid)
		}
		if err := pause(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// alive says whether a process runs; one that ended and that init has not taken yet does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	state, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", pid).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}
