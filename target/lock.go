package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Lock says that the process that plays a run is alive: the kernel drops it when the process ends,
// however it ends. The file outlives a killed process and so tells a killed run from one that was
// kept on purpose.
type Lock struct {
	file *os.File
	path string
}

// lockTries bounds how often LockRun begins again, a millisecond apart: KilledRuns looks at a lock by taking it, for
// microseconds.
const lockTries = 100

// LockRun takes the lock of a run. The caller must Release it. The error is EWOULDBLOCK when another process has it.
func LockRun(runID string) (*Lock, error) {
	if err := os.MkdirAll(lockDir(), 0o700); err != nil {
		return nil, fmt.Errorf("run lock: %w", err)
	}
	for try := 1; ; try++ {
		lock, err := newLock(lockPath(runID))
		if errors.Is(err, os.ErrExist) {
			lock, err = takeOver(lockPath(runID))
		}
		again := errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist)
		if again && try < lockTries {
			<-time.After(time.Millisecond)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("run lock %s: %w", lockPath(runID), err)
		}
		return lock, nil
	}
}

// newLock makes the file of a run. It gets its name only when it is locked, so that nobody ever sees it unlocked. The
// error is ErrExist when the name is taken.
func newLock(path string) (*Lock, error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	// Best effort: it has its lasting name, or is of no use.
	defer func() { _ = os.Remove(file.Name()) }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = os.Link(file.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Lock{file, path}, nil
}

// takeOver locks the file that a killed run left. The error is EWOULDBLOCK when its process is alive, ErrNotExist when
// it ended as it should. Subtle: a file can be removed by its owner between our opening it and our locking it, and would
// then make an ended run look like a killed one; so its name must still lead to it.
func takeOver(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	ours, err := file.Stat()
	named, namedErr := os.Stat(path)
	if err = errors.Join(err, namedErr); err == nil && !os.SameFile(ours, named) {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Lock{file, path}, nil
}

// Release gives the lock up: the run ended as it should.
func (l *Lock) Release() error {
	return errors.Join(os.Remove(l.path), l.file.Close())
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
		lock, err := takeOver(lockPath(id))
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // its process is alive, or has ended as it should
		}
		if err == nil {
			err = lock.file.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("run lock: %w", err)
		}
		killed = append(killed, id)
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
