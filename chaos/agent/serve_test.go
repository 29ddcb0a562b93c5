package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeBackend remembers what is applied.
type fakeBackend struct {
	mu      sync.Mutex
	applied map[string]Rules
	closed  bool
	fails   error
}

func (f *fakeBackend) Hello() (Hello, error) { return Hello{}, f.fails }
func (f *fakeBackend) Probe() (Probe, error) { return Probe{IPv6: "no"}, f.fails }

func (f *fakeBackend) Apply(r Rules) (Status, error) {
	f.mu.Lock()
	f.applied[r.Name] = r
	f.mu.Unlock()
	return f.Status(r.Name)
}

func (f *fakeBackend) Status(name string) (Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, active := f.applied[name]
	return Status{Name: name, Active: active}, f.fails
}

func (f *fakeBackend) Undo(name string) (Status, error) {
	f.mu.Lock()
	delete(f.applied, name)
	f.mu.Unlock()
	return f.Status(name)
}

// left says how many faults are applied, and whether the backend was closed.
func (f *fakeBackend) left() (applied int, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.applied), f.closed
}

func (f *fakeBackend) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.applied)
	f.closed = true
	return nil
}

// session is an agent on pipes, as the harness sees it.
type session struct {
	backend *fakeBackend
	in      *io.PipeWriter
	out     *bufio.Scanner
	ended   chan error
	cancel  context.CancelFunc
}

func newSession(t *testing.T, ttl time.Duration) *session {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{&fakeBackend{applied: map[string]Rules{}}, inW, bufio.NewScanner(outR), make(chan error, 1), cancel}
	go func() {
		s.ended <- Serve(ctx, inR, outW, s.backend, ttl)
		outW.Close()
	}()
	t.Cleanup(func() { cancel(); inW.Close(); outR.Close() })
	return s
}

func (s *session) ask(t *testing.T, line string) Response {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatalf("write %s: %v", line, err)
	}
	if !s.out.Scan() {
		t.Fatalf("%s: no answer: %v", line, s.out.Err())
	}
	var r Response
	if err := json.Unmarshal(s.out.Bytes(), &r); err != nil {
		t.Fatalf("%s: answer %s: %v", line, s.out.Bytes(), err)
	}
	return r
}

const applySlow = `{"id":7,"op":"apply","rules":{"name":"slow","delay_ns":1000000}}`

func TestServeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t, TTL)
		for _, c := range []struct {
			name, line string
			want       Response
		}{
			{"hello", `{"id":1,"op":"hello"}`, Response{ID: 1, Hello: &Hello{Version: Version, TTL: TTL}}},
			{"probe", `{"id":2,"op":"probe"}`, Response{ID: 2, Probe: &Probe{IPv6: "no"}}},
			{"heartbeat", `{"id":3,"op":"heartbeat"}`, Response{ID: 3}},
			{"apply", applySlow, Response{ID: 7, Status: &Status{Name: "slow", Active: true}}},
			{"status", `{"id":8,"op":"status","name":"slow"}`, Response{ID: 8, Status: &Status{Name: "slow", Active: true}}},
			{"undo", `{"id":9,"op":"undo","name":"slow"}`, Response{ID: 9, Status: &Status{Name: "slow"}}},
			{"undo again", `{"id":10,"op":"undo","name":"slow"}`, Response{ID: 10, Status: &Status{Name: "slow"}}},
			{"unknown", `{"id":11,"op":"explode"}`, Response{ID: 11, Error: `unknown operation "explode"`}},
			{"apply without rules", `{"id":12,"op":"apply"}`, Response{ID: 12, Status: &Status{}, Error: "apply: no rules"}},
		} {
			if diff := cmp.Diff(c.want, s.ask(t, c.line)); diff != "" {
				t.Errorf("%s: answer (-want +got):\n%s", c.name, diff)
			}
		}
		if r := s.ask(t, "rubbish"); !strings.HasPrefix(r.Error, "request: ") {
			t.Errorf("answer to rubbish = %+v, want an error", r)
		}
		s.backend.fails = errors.New("no such kernel")
		if r := s.ask(t, `{"id":13,"op":"status","name":"x"}`); r.Error != "no such kernel" {
			t.Errorf("answer of a failing backend = %+v, want its error", r)
		}
	})
}

func TestServeUndoesWhen(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*session)
		want error
		in   time.Duration
	}{
		{"stdin ends", func(s *session) { s.in.Close() }, nil, 0},
		{"the harness is silent", func(*session) {}, ErrLease, TTL},
		{"cancelled", func(s *session) { s.cancel() }, context.Canceled, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSession(t, TTL)
				r := s.ask(t, applySlow)
				if n, _ := s.backend.left(); n != 1 {
					t.Fatalf("apply = %+v, want it applied", r)
				}
				began := time.Now()
				c.end(s)
				if err := <-s.ended; !errors.Is(err, c.want) {
					t.Errorf("Serve() = %v, want %v", err, c.want)
				}
				if took := time.Since(began); took != c.in {
					t.Errorf("Serve() ended after %s, want %s", took, c.in)
				}
				if n, closed := s.backend.left(); n != 0 || !closed {
					t.Errorf("%d applied, closed %t after Serve, want nothing left", n, closed)
				}
			})
		})
	}
}

func TestServeKeepsTheFaultWhileTheHarnessLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t, TTL)
		s.ask(t, applySlow)
		for range 30 {
			<-time.After(TTL - time.Nanosecond) // fake time
			if r := s.ask(t, `{"op":"heartbeat"}`); r.Error != "" {
				t.Fatalf("heartbeat = %+v", r)
			}
		}
		if n, _ := s.backend.left(); n != 1 {
			t.Errorf("%d applied after %s of heartbeats, want 1", n, 30*TTL)
		}
	})
}
