package target

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// killAfter is how long a child whose time is up may tidy, after SIGTERM and before SIGKILL.
const killAfter = 10 * time.Second

// runChild runs a program and returns what it printed. The end of ctx ends it together with its
// children: mmdebstrap and go build work through others, and these would go on, holding the output.
//
// Subtle: in a process group of its own the child no longer gets the terminal's Ctrl-C; it is the
// end of ctx that carries it there.
func runChild(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// What did not heed SIGTERM. Usually nobody is left, and the error says so.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if err != nil {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}
	return output.Bytes(), err
}
