// Package cmd is the command line: one file a command, no logic.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"squall/scenarios"
	"syscall"

	"github.com/spf13/cobra"
)

// streams are what every command reads and writes: results to Out, logs and progress to Err.
type streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// exitError carries an exit code (DESIGN.md, Command line) with the error that explains it. An
// error without one is a usage error, 2.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode gives err an exit code; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// Main runs squall with the given arguments and returns its exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	root := newRootCommand(&streams{in, out, errOut})
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(errOut, "squall:", text)
	}
	if coded, ok := errors.AsType[*exitError](err); ok {
		return coded.code
	}
	fmt.Fprintf(errOut, "see `%s --help`\n", c.CommandPath())
	return 2
}

var errInterrupted = errors.New("interrupted")

// silent is an error without a text for exit codes that the output has already explained.
func silent(code int) error {
	if code == 0 {
		return nil
	}
	return errors.New("")
}

// withSignals cancels the context on the first SIGINT or SIGTERM. Later ones are ignored, so that
// an impatient second Ctrl-C cannot stop the clean-up; SIGKILL can, and `squall recover` mends it.
func withSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case sig := <-signals:
			cancel(scenarios.InterruptError{Signal: sig})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(context.Canceled)
	}
}

func newRootCommand(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "squall",
		Short:         "Load-test a system, break it on purpose, and prove whether it kept its promises",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(newRunCommand(s), newReportCommand(s), newRecoverCommand(s))
	root.AddCommand(newAgentCommand(s))
	root.AddCommand(newListCommand(s), newCheckCommand(s), newPlanCommand(s), newSchemaCommand(s))
	root.AddCommand(newImagesCommand(s), newUpCommand(s), newDownCommand(s), newReaperCommand(s), newDoctorCommand(s))
	root.AddCommand(newEcotrackCommand(s))
	return root
}
