package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How long the set-up keeps trying. A step that fails at once is tried after 0, 5, 20, 50, 95 and
// 140 seconds, and one whose tries take long three times: however long they take, the last begins
// after a minute and a half, so that a network that is away for a minute costs time and no more.
const (
	leastTries = 3
	patience   = 3 * time.Minute // after it no new try begins, once there were leastTries

	// setupWithin is the limit of EnsureImages as a whole: less than the ten minutes after which
	// somebody who waits must know, and three times what two cores need for everything.
	setupWithin = 9*time.Minute + 30*time.Second

	reasonLength = 120 // bytes of an error that a line of progress shows
)

var (
	errSetupLimit = fmt.Errorf("the set-up as a whole took longer than %s", setupWithin)

	// errAbandoned ends the steps that are under way when another has failed for good.
	errAbandoned = errors.New("abandoned, because another image cannot be made")
)

// effort is a step of the set-up that may fail for a while and then work: whatever needs a network.
type effort struct {
	step   string        // what is done: "mmdebstrap"
	within time.Duration // the limit of one try
	advice string        // what a person can do when it failed for good
}

// StepError says which step of the set-up failed for good, what it said last, and what to do.
type StepError struct {
	Step   string
	Tries  int
	Took   time.Duration
	Advice string
	Err    error
}

func (e *StepError) Error() string {
	tries := fmt.Sprintf("%d tries", e.Tries)
	if e.Tries == 1 {
		tries = "one try"
	}
	return fmt.Sprintf("%s: given up after %s in %s: %v\n  what to do: %s",
		e.Step, tries, e.Took.Round(time.Second), e.Err, e.Advice)
}

func (e *StepError) Unwrap() error { return e.Err }

// permanentError marks a failure that another try would only repeat.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// attempt is how every step of the set-up is tried: each try has a limit, the pauses between them
// grow, and it goes on until patience is over, at least three times. A permanentError, or the end
// of ctx, ends it at once. It tells of each failed try, and returns a *StepError.
func attempt(ctx context.Context, e effort, tell func(string), do func(context.Context) error) error {
	start := time.Now()
	var last error // the reason of the last try that ended by itself
	for try := 1; ; try++ {
		err := tryOnce(ctx, e.within, do)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
			wait := pauseAfter(try)
			_, permanent := errors.AsType[permanentError](err)
			over := try >= leastTries && time.Since(start)+wait > patience
			if !permanent && !over {
				tell(fmt.Sprintf("%s: try %d: %s; try %d in %s", e.step, try, reason(err), try+1, wait))
				if pause(ctx, wait) == nil {
					continue
				}
			}
		}
		return &StepError{
			Step: e.step, Tries: try, Took: time.Since(start), Advice: e.advice,
			Err: because(last, context.Cause(ctx)),
		}
	}
}

// because joins the step's own reason with that of the end of its context. A step that was
// abandoned has nothing to say but its own.
func because(last, ended error) error {
	switch {
	case last == nil:
		return ended
	case ended == nil, errors.Is(ended, errAbandoned):
		return last
	default:
		return fmt.Errorf("%w; the last failure: %w", ended, last)
	}
}

// tryOnce gives do its limit, and says so when it was that which ended it.
func tryOnce(ctx context.Context, within time.Duration, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := do(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no end within %s: %w", within, err)
	}
	return err
}

// pauseAfter returns the pause after the given try, which counts from one.
func pauseAfter(try int) time.Duration {
	pauses := []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, 45 * time.Second}
	return pauses[min(try, len(pauses))-1]
}

// failure makes an error of a program that failed and the last lines that it printed. It is
// permanent when they say so: what a child prints is all that is known of its reasons.
func failure(what string, err error, lines string) error {
	err = fmt.Errorf("%s: %w", what, err)
	if lines != "" {
		err = fmt.Errorf("%w; last lines:\n  %s", err, lines)
	}
	if errors.Is(err, syscall.ENOSPC) || hopeless(err.Error()) {
		return permanentError{err}
	}
	return err
}

// hopeless says whether an output names something that no further try mends.
func hopeless(output string) bool {
	output = strings.ToLower(output)
	for _, phrase := range []string{
		"no space left on device",
		"verifying module: checksum mismatch", // a module that is not the one of go.sum
		"gotoolchain=local)",                  // the Go tool is too old and may not get another
	} {
		if strings.Contains(output, phrase) {
			return true
		}
	}
	return false
}

// reason is an error in one line: what failed, and of its output apt-get's first error, or the last
// line. The daemon names a failed RUN line by its whole text, which is cut.
func reason(err error) string {
	first, output, found := strings.Cut(err.Error(), "\n")
	first = strings.TrimSuffix(first, "; last lines:")
	if len(first) > reasonLength {
		first = first[:reasonLength] + "..."
	}
	if !found {
		return first
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	said := lines[len(lines)-1]
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "E: ") }); i >= 0 {
		said = lines[i]
	}
	return first + ": " + strings.TrimSpace(said)
}
