package target

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// childRun names the run that a copy of this test program starts and then dies with.
const childRun = "SQUALL_TEST_CHILD_RUN"

// TestContainerReaperRemovesAKilledRun kills, with SIGKILL, a process that has a system up.
func TestContainerReaperRemovesAKilledRun(t *testing.T) {
	if id := os.Getenv(childRun); id != "" {
		bringUpAndWait(t, id)
		return
	}
	killARun(t)
}

// TestDeepReaperOfTheNextRun kills a run and starts the next one from the same shell right after it, which a reaper that is
// shared by shell would remove, or not have.
func TestDeepReaperOfTheNextRun(t *testing.T) {
	killARun(t)
	killARun(t)
}

// killARun returns how long after the kill nothing was left.
func killARun(t *testing.T) time.Duration {
	t.Helper()
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	testImages(t)
	id := testRun(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestContainerReaperRemovesAKilledRun$")
	child.Env = append(os.Environ(), childRun+"="+id, "SQUALL_BINARY="+binary)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = RemoveRun(context.Background(), id) })
	awaitText(t, output, "UP "+id)
	if left := remainsOf(t, id); len(left.containers) < 4 || len(left.networks) != 1 {
		t.Fatalf("before the kill: %s, want a system", left)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it says that it was killed
	killed := time.Now()
	// How soon is a figure (TestProveAKilledRunIsGone); here it must happen at all.
	awaitNothing(t, id, 3*time.Minute)
	return time.Since(killed)
}

// bringUpAndWait is the child: a small system, so that the test is about the reaper.
func bringUpAndWait(t *testing.T, id string) {
	t.Helper()
	spec := Spec{Nodes: map[Role]NodeSpec{RoleConsensus: {Count: 1}, RoleQueue: {Count: 1}, RoleEngine: {Count: 1}}}
	system, err := Up(t.Context(), spec, Options{RunID: id, Images: testImages(t), Reap: true})
	if err != nil {
		if system != nil {
			_ = system.Down(t.Context())
		}
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("UP " + id + "\n"); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done() // never: the parent kills this process
}

// awaitText reads until the text appears.
func awaitText(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), want) {
		n, err := r.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			t.Fatalf("the child ended before it said %q; it said:\n%s", want, seen.String())
		}
	}
}

// pipeListener takes connections over pipes, so that a reaper can be watched in fake time.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the reaper's end of the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is called once, by awaitAlone.
func (l *pipeListener) Close() error { close(l.closed); return nil }

// Addr is no real one.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// connect returns the connection of a client that the reaper counts.
func (l *pipeListener) connect(t *testing.T) net.Conn {
	t.Helper()
	client, reaper := net.Pipe()
	l.conns <- reaper
	if err := greet(t.Context(), client); err != nil {
		t.Fatalf("greet() = %v, want nil", err)
	}
	return client
}

func TestAwaitAlone(t *testing.T) {
	opts := ReapOptions{First: time.Minute, Grace: time.Second}
	tests := []struct {
		name    string
		clients func(*testing.T, *pipeListener)
		want    time.Duration // from the start
	}{
		{"nobody ever connects", func(*testing.T, *pipeListener) {}, opts.First},
		{"the last client goes", func(t *testing.T, l *pipeListener) {
			t.Helper()
			first, last := l.connect(t), l.connect(t)
			first.Close()
			<-time.After(time.Hour) // fake time, here and below
			last.Close()
		}, time.Hour + opts.Grace},
		{"a client comes back within the grace", func(t *testing.T, l *pipeListener) {
			t.Helper()
			l.connect(t).Close()
			<-time.After(opts.Grace - time.Nanosecond)
			again := l.connect(t)
			<-time.After(time.Hour)
			again.Close()
		}, time.Hour + 2*opts.Grace - time.Nanosecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipeListener()
				began := time.Now()
				ended := make(chan error, 1)
				go func() { ended <- awaitAlone(t.Context(), listener, opts) }()
				test.clients(t, listener)
				if err := <-ended; err != nil {
					t.Errorf("awaitAlone() = %v, want nil", err)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("awaitAlone() returned after %v, want %v", took, test.want)
				}
			})
		})
	}
}

// TestDialReaper is the client's side, over a real socket. Nothing here can be late: the reaper
// waits for an hour, and ends because it is cancelled.
func TestDialReaper(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- awaitAlone(ctx, listener, ReapOptions{First: time.Hour, Grace: time.Hour}) }()
	conn, err := dialReaper(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("awaitAlone() = %v, want %v", err, context.Canceled)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open after awaitAlone returned")
	}
}

func TestAwaitAloneIsCancelled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitAlone(ctx, listener, ReapOptions{}); err == nil {
		t.Error("awaitAlone(cancelled) = nil, want an error: it must not remove anything")
	}
}

func TestReapRefusesARunIDThatIsNone(t *testing.T) {
	for _, id := range []string{"", "a b", "x,squall.run", "-x"} {
		if err := Reap(t.Context(), ReapOptions{RunID: id, Listen: "127.0.0.1:0"}, nil); err == nil {
			t.Errorf("Reap(run %q) = nil, want an error", id)
		}
	}
}
