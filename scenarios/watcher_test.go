package scenarios_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// watcher collects what a process prints and lets a test await a text in it.
type watcher struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at each write
}

func newWatcher() *watcher { return &watcher{changed: make(chan struct{})} }

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
	return w.text.Write(p)
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits for a text. It gives up after the limit, and at once when ended is closed and the text was not written.
func (w *watcher) await(text string, ended <-chan struct{}, limit time.Duration) error {
	deadline := time.After(limit)
	for over := false; ; {
		w.mu.Lock()
		found, changed := strings.Contains(w.text.String(), text), w.changed
		w.mu.Unlock()
		switch {
		case found:
			return nil
		case over:
			return fmt.Errorf("%q was not printed before the end", text)
		}
		select {
		case <-changed:
		case <-ended:
			over = true // look once more: everything has been written by now
		case <-deadline:
			return fmt.Errorf("%q was not printed within %s", text, limit)
		}
	}
}

func TestWatcherEndsWithItsProcess(t *testing.T) {
	ended := make(chan struct{})
	w := newWatcher()
	go func() {
		fmt.Fprint(w, "effec")
		fmt.Fprint(w, "tive")
		close(ended)
	}()
	if err := w.await("effective", ended, time.Minute); err != nil {
		t.Errorf("await(what was written) = %v, want nil", err)
	}
	if err := w.await("gone", ended, time.Hour); err == nil || !strings.Contains(err.Error(), "before the end") {
		t.Errorf("await(what was never written) = %v, want an error at the end of the process", err)
	}
	if err := w.await("gone", nil, time.Millisecond); err == nil || !strings.Contains(err.Error(), "within 1ms") {
		t.Errorf("await(what is never written) = %v, want an error after the limit", err)
	}
}
