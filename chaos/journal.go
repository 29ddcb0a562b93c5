package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Inverse says how a fault is undone by somebody who only has the journal.
type Inverse string

// The inverses. Containers of the run are also removed by their label; these are for what is kept.
const (
	InverseStart   Inverse = "start"          // start the containers that do not run
	InverseSidecar Inverse = "remove-sidecar" // end the agents, and with them their rules
)

// Entry is one line of the journal.
type Entry struct {
	Record  Record            `json:"record"`
	Written time.Time         `json:"written"`
	Run     string            `json:"run,omitempty"`
	Fault   string            `json:"fault"` // unique in a run
	Kind    string            `json:"kind"`
	Targets []EntryTarget     `json:"targets,omitempty"`
	Inverse Inverse           `json:"inverse,omitempty"`
	Before  map[string]string `json:"before,omitempty"`
	// Deadline is when the harness meant to have undone it at the latest.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Record says what an Entry is about.
type Record string

// The records of the journal.
const (
	RecordInjecting Record = "injecting" // written before the injection
	RecordUndone    Record = "undone"    // written after it was verified gone
)

// EntryTarget is a node as the journal knows it.
type EntryTarget struct {
	Name        string `json:"name"`
	ContainerID string `json:"container_id"`
}

// Journal is the file that is written before each injection, so that a killed harness leaves a
// record of what it broke. A nil Journal is not usable.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// OpenJournal opens the journal at path for appending, or makes it. A torn last line, from a harness
// that was killed while it wrote, is cut off: what it announced had not begun. The caller must
// Close it.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{file: f}
	if err := j.cutTornLine(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *Journal) cutTornLine() error {
	all, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	whole := int64(bytes.LastIndexByte(all, '\n') + 1)
	if err := j.file.Truncate(whole); err != nil {
		return err
	}
	_, err = j.file.Seek(whole, io.SeekStart)
	return err
}

// Append writes an entry and returns when it is on the disk. It sets Written.
func (j *Journal) Append(e Entry) error {
	e.Written = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Unfinished returns the injections in the journal at path that were never recorded as undone, in
// their order. A torn last line is ignored; any other line that cannot be read is an error, returned
// beside what could be read. Without a file there is nothing unfinished.
func Unfinished(path string) ([]Entry, error) {
	all, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var open []Entry
	var bad []error
	n := 0
	for line := range bytes.Lines(all) {
		n++
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // torn
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			bad = append(bad, fmt.Errorf("journal %s:%d: %w", path, n, err))
			continue
		}
		switch e.Record {
		case RecordInjecting:
			open = append(open, e)
		case RecordUndone:
			open = without(open, e)
		default:
			bad = append(bad, fmt.Errorf("journal %s:%d: unknown record %q", path, n, e.Record))
		}
	}
	return open, errors.Join(bad...)
}

func without(open []Entry, undone Entry) []Entry {
	var out []Entry
	for _, e := range open {
		if e.Fault != undone.Fault || e.Run != undone.Run {
			out = append(out, e)
		}
	}
	return out
}
