package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// TTL is how long the agent keeps a fault up without hearing from the harness. Heartbeats come
// every second, so five may be missed on a busy machine.
const TTL = 5 * time.Second

// maxLine bounds a request: 64 KiB hold the addresses of over a thousand peers.
const maxLine = 64 << 10

// ErrLease says that the harness fell silent; everything was undone.
var ErrLease = errors.New("lease: no word from the harness")

// Backend does the work. Kernel is the real one.
type Backend interface {
	Hello() (Hello, error)
	Probe() (Probe, error)
	Apply(Rules) (Status, error)
	Status(name string) (Status, error)
	Undo(name string) (Status, error)
	// Close undoes whatever is still applied.
	Close() error
}

// Serve answers requests until in ends, ctx is done, or no request came for ttl; then it undoes
// everything and returns. The end of in is the normal end and gives nil; silence gives ErrLease. Serve
// closes in and b.
func Serve(
	ctx context.Context, in io.ReadCloser, out io.Writer, b Backend, ttl time.Duration,
) (err error) {
	lines := make(chan []byte)
	done := make(chan struct{})
	readErr := make(chan error, 1)
	// Subtle: a read of stdin cannot be interrupted, so the reader is not waited for. It ends with
	// its input, at the latest with the process.
	go func() { readErr <- read(in, lines, done) }()
	defer func() {
		close(done)
		err = errors.Join(err, b.Close())
		// Best effort: the reader or the process ends anyway.
		_ = in.Close()
	}()
	lease := time.NewTimer(ttl)
	defer lease.Stop()
	enc := json.NewEncoder(out)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lease.C:
			return fmt.Errorf("%w for %s", ErrLease, ttl)
		case err := <-readErr:
			return err
		case line := <-lines:
			if err := enc.Encode(answer(b, line, ttl)); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
			lease.Reset(ttl)
		}
	}
}

// read hands over each line of in until it ends or done is closed.
func read(in io.Reader, lines chan<- []byte, done <-chan struct{}) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	for s.Scan() {
		select {
		case lines <- append([]byte(nil), s.Bytes()...):
		case <-done:
			return nil
		}
	}
	if err := s.Err(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("read request: %w", err)
	}
	return nil
}

// answer does what one line asks for. A line that is no request is answered with an error, so that a
// harness with a bug learns of it.
func answer(b Backend, line []byte, ttl time.Duration) Response {
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		return Response{Error: "request: " + err.Error()}
	}
	r := Response{ID: q.ID}
	var err error
	switch q.Op {
	case OpHeartbeat:
	case OpHello:
		var h Hello
		h, err = b.Hello()
		h.Version, h.TTL = Version, ttl
		r.Hello = &h
	case OpProbe:
		var p Probe
		p, err = b.Probe()
		r.Probe = &p
	case OpApply, OpStatus, OpUndo:
		var s Status
		s, err = change(b, q)
		r.Status = &s
	default:
		err = fmt.Errorf("unknown operation %q", q.Op)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func change(b Backend, q Request) (Status, error) {
	switch {
	case q.Op == OpApply && q.Rules == nil:
		return Status{}, errors.New("apply: no rules")
	case q.Op == OpApply:
		return b.Apply(*q.Rules)
	case q.Op == OpUndo:
		return b.Undo(q.Name)
	default:
		return b.Status(q.Name)
	}
}
