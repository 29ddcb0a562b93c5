package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock says that the process that plays a run is alive: the kernel drops it when the process ends,
// however it ends. The file outlives a killed process and so tells a killed run from one that was
// kept on purpose.
type Lock struct{ file *os.File }

// LockRun takes the lock of a run. The caller must Release it.
func LockRun(runID string) (*Lock, error) {
	if err := os.MkdirAll(lockDir(), 0o700); err != nil {
		return nil, fmt.Errorf("run lock: %w", err)
	}
	file, err := os.OpenFile(lockPath(runID), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("run lock %s: %w", file.Name(), err), file.Close())
	}
	return &Lock{file}, nil
}

// Release gives the lock up: the run ended as it should.
func (l *Lock) Release() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

// KilledRuns lists the runs whose process ended without releasing its lock.
func KilledRuns() ([]string, error) {
	entries, err := os.ReadDir(lockDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run locks: %w", err)
	}
	var killed []string
	for _, e := range entries {
		id, isLock := strings.CutSuffix(e.Name(), ".lock")
		if !isLock {
			continue
		}
		lock, err := LockRun(id)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			continue // its process is alive
		case err != nil:
			return nil, err
		}
		killed = append(killed, id)
		if err := lock.file.Close(); err != nil {
			return nil, fmt.Errorf("run lock: %w", err)
		}
	}
	return killed, nil
}

// ForgetRun removes the lock file of a killed run once nothing of it is left.
func ForgetRun(runID string) error {
	err := os.Remove(lockPath(runID))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func lockDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("squall-runs-%d", os.Getuid())) }

func lockPath(runID string) string { return filepath.Join(lockDir(), runID+".lock") }
