package target

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// TestKilledRuns: a run is killed when its lock file is there and nobody holds it.
func TestKilledRuns(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if killed, err := KilledRuns(); err != nil || len(killed) != 0 {
		t.Fatalf("KilledRuns() without any run = %v, %v; want none", killed, err)
	}
	alive, err := LockRun("alive")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockRun("alive"); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("LockRun of a run that is played = %v, want EWOULDBLOCK", err)
	}
	ended, err := LockRun("ended")
	if err != nil {
		t.Fatal(err)
	}
	if err := ended.Release(); err != nil {
		t.Fatal(err)
	}
	dead, err := LockRun("dead")
	if err != nil {
		t.Fatal(err)
	}
	// The kernel does this when the process is killed.
	if err := dead.file.Close(); err != nil {
		t.Fatal(err)
	}
	if killed, err := KilledRuns(); err != nil || !slices.Equal(killed, []string{"dead"}) {
		t.Errorf("KilledRuns() = %v, %v; want dead alone", killed, err)
	}
	if err := errors.Join(ForgetRun("dead"), ForgetRun("dead")); err != nil {
		t.Errorf("ForgetRun, twice = %v, want nil", err)
	}
	if killed, err := KilledRuns(); err != nil || len(killed) != 0 {
		t.Errorf("KilledRuns() after ForgetRun = %v, %v; want none", killed, err)
	}
	if err := alive.Release(); err != nil {
		t.Error(err)
	}
}

// TestALockThatIsReleasedIsNoKilledRun: somebody looks for killed runs all the time while others begin and end as they should.
func TestALockThatIsReleasedIsNoKilledRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var runs sync.WaitGroup
	for i := range 4 {
		runs.Go(func() {
			for range 500 {
				lock, err := LockRun(fmt.Sprintf("run-%d", i))
				if err != nil {
					t.Errorf("LockRun: %v", err)
					return
				}
				if err := lock.Release(); err != nil {
					t.Errorf("Release: %v", err)
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { runs.Wait(); close(ended) }()
	for {
		killed, err := KilledRuns()
		if err != nil {
			t.Fatal(err)
		}
		if len(killed) != 0 {
			t.Fatalf("KilledRuns() = %v, but every run ends as it should", killed)
		}
		select {
		case <-ended:
			if killed, err := KilledRuns(); err != nil || len(killed) != 0 {
				t.Errorf("KilledRuns() at the end = %v, %v, want none", killed, err)
			}
			return
		default:
		}
	}
}
