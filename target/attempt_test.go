package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errAway = errors.New("connection refused")

// tries runs attempt in fake time and returns the seconds at which each try began.
func tries(ctx context.Context, do func(ctx context.Context, at time.Duration) error) ([]int, error) {
	var began []int
	start := time.Now()
	err := attempt(ctx, effort{step: "mmdebstrap", within: 100 * time.Second, advice: "look at the mirror"},
		func(string) {}, func(ctx context.Context) error {
			at := time.Since(start)
			began = append(began, int(at.Seconds()))
			return do(ctx, at)
		})
	return began, err
}

func TestAttempt(t *testing.T) {
	hang := func(ctx context.Context, _ time.Duration) error {
		<-ctx.Done()
		return ctx.Err()
	}
	tests := []struct {
		name string
		do   func(ctx context.Context, at time.Duration) error
		want []int  // seconds at which a try begins
		says string // part of the error; "" means success
	}{
		{"works at once", func(context.Context, time.Duration) error { return nil }, []int{0}, ""},
		{"a network that is away for its first minute", func(_ context.Context, at time.Duration) error {
			if at <= time.Minute {
				return errAway
			}
			return nil
		}, []int{0, 5, 20, 50, 95}, ""},
		{
			"refused for good", func(context.Context, time.Duration) error { return errAway },
			[]int{0, 5, 20, 50, 95, 140},
			"mmdebstrap: given up after 6 tries in 2m20s: connection refused",
		},
		{
			"swallowed for good: each try at its limit, and three of them", hang,
			[]int{0, 105, 220},
			"given up after 3 tries in 5m20s: no end within 1m40s",
		},
		{"hangs once", func(ctx context.Context, at time.Duration) error {
			if at == 0 {
				return hang(ctx, at)
			}
			return nil
		}, []int{0, 105}, ""},
		{"permanent", func(context.Context, time.Duration) error {
			return permanentError{errors.New("no space left")}
		}, []int{0}, "given up after one try in 0s: no space left"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, err := tries(t.Context(), test.do)
				if diff := cmp.Diff(test.want, began); diff != "" {
					t.Errorf("tries began at (-want +got):\n%s", diff)
				}
				if test.says == "" {
					if err != nil {
						t.Errorf("attempt() = %v, want nil", err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "look at the mirror") {
					t.Errorf("attempt() = %v, want %q and what to do", err, test.says)
				}
			})
		})
	}
}

func TestAttemptEndsWithItsContext(t *testing.T) {
	ended := errors.New("interrupted")
	refuse := func(context.Context) error { return errAway }
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := []struct {
		name    string
		after   time.Duration
		cause   error
		do      func(context.Context) error
		want    []error // all of which the error is
		notWant error
	}{
		{"in a pause", 2 * time.Second, ended, refuse, []error{ended, errAway}, nil},
		{"in the first try", 2 * time.Second, ended, hang, []error{ended}, context.Canceled},
		{"abandoned before it failed", 2 * time.Second, errAbandoned, hang, []error{errAbandoned}, nil},
		{"abandoned after it failed: its reason counts", 2 * time.Second, errAbandoned, refuse, []error{errAway}, errAbandoned},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				timer := time.AfterFunc(test.after, func() { cancel(test.cause) })
				defer timer.Stop()
				start := time.Now()
				_, err := tries(ctx, func(ctx context.Context, _ time.Duration) error { return test.do(ctx) })
				if took := time.Since(start); took != test.after {
					t.Errorf("attempt() took %s, want %s", took, test.after)
				}
				for _, want := range test.want {
					if !errors.Is(err, want) {
						t.Errorf("attempt() = %v, want it to be %v", err, want)
					}
				}
				if test.notWant != nil && errors.Is(err, test.notWant) {
					t.Errorf("attempt() = %v, want it not to be %v", err, test.notWant)
				}
			})
		})
	}
}

func TestAttemptTellsOfEachTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		fails := 2
		err := attempt(t.Context(), effort{step: "go build", within: time.Minute},
			func(s string) { told = append(told, s) }, func(context.Context) error {
				if fails--; fails >= 0 {
					return failure("go build in /x", errors.New("exit status 1"), "go: downloading x\n  dial tcp: refused")
				}
				return nil
			})
		want := []string{
			"go build: try 1: go build in /x: exit status 1: dial tcp: refused; try 2 in 5s",
			"go build: try 2: go build in /x: exit status 1: dial tcp: refused; try 3 in 15s",
		}
		if diff := cmp.Diff(want, told); err != nil || diff != "" {
			t.Errorf("attempt() = %v, told (-want +got):\n%s", err, diff)
		}
	})
}

func TestReason(t *testing.T) {
	exit := errors.New("exit status 25")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"no output", failure("pull x", exit, ""), "pull x: exit status 25"},
		{"the last line", failure("go build", exit, "go: downloading\n  dial tcp: refused"), "go build: exit status 25: dial tcp: refused"},
		{
			"apt-get's first error",
			failure("mmdebstrap", exit, "Reading\n  E: Failed to fetch x\n  E: Some failed\n  I: removing"),
			"mmdebstrap: exit status 25: E: Failed to fetch x",
		},
		{
			"a long RUN line", failure("docker build", errors.New(strings.Repeat("x", 500)), "last"),
			"docker build: " + strings.Repeat("x", reasonLength-len("docker build: ")) + "...: last",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := reason(test.err); got != test.want {
				t.Errorf("reason(%v) = %q, want %q", test.err, got, test.want)
			}
		})
	}
}

func TestFailureKnowsWhatIsPermanent(t *testing.T) {
	tests := []struct {
		name, lines string
		err         error
		want        bool
	}{
		{"a mirror that is away", "E: Failed to fetch http://deb.debian.org/x  Connection refused", errors.New("exit status 100"), false},
		{"disk full, said by the child", "tar: x: Cannot write: No space left on device", errors.New("exit status 2"), true},
		{"disk full, our own", "", fmt.Errorf("write: %w", syscall.ENOSPC), true},
		{"a forged module", "verifying module: checksum mismatch", errors.New("exit status 1"), true},
		{"an old Go", "go: go.mod requires go >= 1.26 (running go 1.22; GOTOOLCHAIN=local)", errors.New("exit status 1"), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := failure("x", test.err, test.lines)
			if _, got := errors.AsType[permanentError](err); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("failure(%q) = %v, permanent %t, want %t", test.lines, err, got, test.want)
			}
		})
	}
}

// TestAttemptOutlastsAMinute: whatever a try takes to fail, the last begins after a minute and a half.
func TestAttemptOutlastsAMinute(t *testing.T) {
	for takes := time.Duration(0); takes < time.Minute; takes += time.Second {
		synctest.Test(t, func(t *testing.T) {
			began, _ := tries(t.Context(), func(ctx context.Context, _ time.Duration) error {
				return errors.Join(errAway, pause(ctx, takes))
			})
			if last := began[len(began)-1]; len(began) < leastTries || last < 90 {
				t.Errorf("tries of %s began at %v, want at least %d and the last after 90", takes, began, leastTries)
			}
		})
	}
}

// TestSetupLimitLeavesRoom holds the promise that a cut network is known within ten minutes.
func TestSetupLimitLeavesRoom(t *testing.T) {
	if setupWithin+killAfter > 10*time.Minute {
		t.Errorf("setupWithin = %s and %s to end children, want at most 10m", setupWithin, killAfter)
	}
}
