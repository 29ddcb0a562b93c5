package loadgen

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// memoryNet is a network inside a bubble of testing/synctest: net/http's own client and server talk
// over pipes, so that a whole load runs in fake time and no stall of the machine can be seen in it.
//
//	sender -> http.Transport -> dial -> net.Pipe -> Accept -> http.Server -> handler
type memoryNet struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newMemoryNet() *memoryNet {
	return &memoryNet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memoryNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the server's end of the next connection.
func (m *memoryNet) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections.
func (m *memoryNet) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr is no real one.
func (m *memoryNet) Addr() net.Addr { return &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// fakeURL is never dialled: memoryNet takes its place.
const fakeURL = "http://127.0.0.1:1"

// listen serves handler over m until the bubble ends.
func (m *memoryNet) listen(t *testing.T, handler http.Handler) {
	t.Helper()
	server := &http.Server{Handler: handler}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(m); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve() = %v, want ErrServerClosed", err)
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
}

// reroute sends what transport sends over m; all its other settings stay those of the product.
func (m *memoryNet) reroute(t *testing.T, transport http.RoundTripper) {
	t.Helper()
	pipes, isHTTP := transport.(*http.Transport)
	if !isHTTP {
		t.Fatalf("transport %T, want net/http's", transport)
	}
	pipes.DialContext = m.dial
	t.Cleanup(pipes.CloseIdleConnections)
}

// fakeLoad makes a load against handler whose time is fake. Call it inside synctest.Test.
func fakeLoad(ctx context.Context, t *testing.T, s *Schedule, opts Options, handler http.Handler) *load {
	t.Helper()
	opts.BaseURL = fakeURL
	l, err := newLoad(ctx, s, opts)
	if err != nil {
		t.Fatalf("newLoad() error: %v", err)
	}
	m := newMemoryNet()
	m.listen(t, handler)
	for _, c := range l.classes {
		c.pacer.wait = waitFor // no sleep in the kernel: the time is fake
		m.reroute(t, c.sender.transport)
	}
	m.reroute(t, l.prober.fresh.transport)
	m.reroute(t, l.prober.pooled.transport)
	return l
}

// mustRunFake is mustRun in fake time.
func mustRunFake(
	ctx context.Context, t *testing.T, s *Schedule, opts Options, handler http.Handler,
) *Recording {
	t.Helper()
	r, err := fakeLoad(ctx, t, s, opts, handler).run(ctx, opts.Progress)
	if err != nil {
		t.Fatalf("run() error: %v", err)
	}
	checkSums(t, s, r)
	return r
}

// slowly answers like h, each time after d.
func slowly(d time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(d)
		h.ServeHTTP(w, r)
	})
}
