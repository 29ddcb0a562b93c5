package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"squall/target/ecotrack/ledger"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAdmissionIsBounded(t *testing.T) {
	m := newMemory()
	m.block, m.entered = make(chan struct{}), make(chan struct{}, 2)
	reg := prometheus.NewRegistry()
	server := serve(t, m, ServiceOptions{MaxInFlight: 2, Timeout: time.Hour, Registry: reg})
	done := make(chan int, 2)
	for _, key := range []string{"a", "b"} {
		go func() {
			req, err := http.NewRequest(http.MethodPost, server.URL+"/v1/calculations", strings.NewReader(good))
			if err != nil {
				done <- 0
				return
			}
			req.Header.Set("Idempotency-Key", key)
			resp, err := server.Client().Do(req)
			if err != nil {
				done <- 0
				return
			}
			_ = resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-m.entered
	}
	a := do(t, server, call{"POST", "/v1/estimates", "", good})
	if a.status != 429 || decode[Problem](t, a).Code != CodeOverloaded || a.header.Get("Retry-After") == "" {
		t.Errorf("third request of two = %d %s, want 429 %s with Retry-After", a.status, a.body, CodeOverloaded)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if a := do(t, server, call{"GET", path, "", ""}); a.status != 200 {
			t.Errorf("%s under full load = %d, want 200", path, a.status)
		}
	}
	if got := value(t, reg, "ecotrack_http_requests_in_flight", ""); got != 2 {
		t.Errorf("in flight = %v, want 2", got)
	}
	close(m.block)
	for range 2 {
		if status := <-done; status != 201 {
			t.Errorf("admitted request = %d, want 201", status)
		}
	}
	if a := do(t, server, call{"POST", "/v1/estimates", "", good}); a.status != 200 {
		t.Errorf("request after the rush = %d, want 200", a.status)
	}
	const requests = "ecotrack_http_requests_total"
	if got := value(t, reg, requests, "POST /v1/calculations 2xx"); got != 2 {
		t.Errorf("counted calculations = %v, want 2", got)
	}
	if got := value(t, reg, requests, "POST /v1/estimates 4xx"); got != 1 {
		t.Errorf("counted refusals = %v, want 1", got)
	}
}

// value returns the value of a counter or gauge whose labels, route first, are these.
func value(t *testing.T, reg *prometheus.Registry, name, labels string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var got string
			for _, l := range m.GetLabel() {
				got = strings.TrimSpace(l.GetValue() + " " + got)
			}
			if f.GetName() == name && got == labels {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s with labels %q", name, labels)
	return 0
}

func TestDeadlineReachesTheStore(t *testing.T) {
	tests := []struct {
		name    string
		headers map[string]string
		want    time.Duration
	}{
		{"of the request", map[string]string{"Request-Timeout-Ms": "50"}, 50 * time.Millisecond},
		{"of the service", nil, time.Minute},
	}
	c := catalogue(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.block, m.entered = make(chan struct{}), make(chan struct{}, 1)
				s := NewService(ServiceOptions{Timeout: time.Minute})
				New(c, m, m).Register(s)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/calculations", strings.NewReader(good))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Idempotency-Key", "a")
				for name, value := range test.headers {
					req.Header.Set(name, value)
				}
				rec := &recorder{header: http.Header{}}
				began := time.Now()
				s.ServeHTTP(rec, req)
				a := answer{rec.status, rec.header, rec.body.String()}
				if a.status != 503 || decode[Problem](t, a).Code != CodeStoreUnavailable {
					t.Errorf("calculation past its deadline = %d %s, want 503", a.status, a.body)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("the store was given up after %v, want %v", took, test.want)
				}
			})
		})
	}
}

func TestReadiness(t *testing.T) {
	var notReady error
	s := NewService(ServiceOptions{Role: "engine", Node: "engine-1", Ready: func() error { return notReady }})
	ready := func() int {
		rec := &recorder{header: http.Header{}}
		s.ServeHTTP(rec, mustRequest(t, "/readyz"))
		return rec.status
	}
	if got := ready(); got != 200 {
		t.Errorf("readyz = %d, want 200", got)
	}
	notReady = ledger.ErrUnavailable
	if got := ready(); got != 503 {
		t.Errorf("readyz with the store down = %d, want 503", got)
	}
	rec := &recorder{header: http.Header{}}
	s.ServeHTTP(rec, mustRequest(t, "/healthz"))
	if rec.status != 200 {
		t.Errorf("healthz with the store down = %d, want 200", rec.status)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	var logged bytes.Buffer
	s := NewService(ServiceOptions{Log: slog.New(slog.NewJSONHandler(&logged, nil))})
	s.Handle("GET /boom", func(http.ResponseWriter, *http.Request) error { panic("secret") })
	rec := &recorder{header: http.Header{}}
	s.ServeHTTP(rec, mustRequest(t, "/boom"))
	if rec.status != 500 || strings.Contains(rec.body.String(), "secret") || !strings.Contains(logged.String(), "secret") {
		t.Errorf("panic = %d %s, log %s, want 500 and the reason in the log only", rec.status, &rec.body, &logged)
	}
}

func mustRequest(t *testing.T, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recorder is a ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// pipeListener takes connections over pipes, so that a service can be watched in fake time.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the service's end of the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is no real one.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// client returns a client whose every request is a connection of its own, as a balancer's check is.
func (l *pipeListener) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			select {
			case l.conns <- server:
				return client, nil
			case <-l.closed:
				return nil, syscall.ECONNREFUSED
			}
		},
	}}
}

// status sends a request and returns the status of its answer, or 0 when there is none.
func (l *pipeListener) status(t *testing.T, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://engine"+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Idempotency-Key", "a")
	resp, err := l.client().Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// At the signal a node is first not ready, still answers, finishes what is in flight, and ends.
func TestServeDrains(t *testing.T) {
	tests := []struct {
		name     string
		inFlight time.Duration // how long a request that is there at the signal takes from then on
		want     int           // its status; 0: none
		took     time.Duration // from the signal until Serve returns
	}{
		{"finishes during the drain", time.Second, 201, 2 * time.Second},
		{"finishes after the drain", 8 * time.Second, 201, 8 * time.Second},
		{"does not finish", time.Hour, 0, 2*time.Second + shutdownWithin},
	}
	c := catalogue(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const drain = 2 * time.Second
				m := newMemory()
				m.block, m.entered = make(chan struct{}), make(chan struct{}, 1)
				s := NewService(ServiceOptions{Drain: drain, Timeout: 30 * time.Second})
				New(c, m, m).Register(s)
				l := newPipeListener()
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Serve(ctx, l) }()
				status := make(chan int, 1)
				go func() { status <- l.status(t, http.MethodPost, "/v1/calculations", good) }()
				<-m.entered
				if got := l.status(t, http.MethodGet, "/readyz", ""); got != 200 {
					t.Errorf("readyz before the signal = %d, want 200", got)
				}
				signal := time.Now()
				stop()
				release := time.AfterFunc(test.inFlight, func() { close(m.block) })
				defer release.Stop()
				synctest.Wait()
				<-time.After(drain - time.Nanosecond) // fake time: the last instant of the drain
				for _, path := range []string{"/readyz", "/healthz"} {
					if got := l.status(t, http.MethodGet, path, ""); got != 503 {
						t.Errorf("%s while draining = %d, want 503", path, got)
					}
				}
				if got := l.status(t, http.MethodPost, "/v1/estimates", good); got != 200 {
					t.Errorf("request while draining = %d, want 200: no balancer has turned away yet", got)
				}
				<-time.After(time.Nanosecond)
				synctest.Wait()
				if got := l.status(t, http.MethodGet, "/healthz", ""); got != 0 {
					t.Errorf("healthz after the drain = %d, want no connection", got)
				}
				err := <-ended
				// Shutdown looks every half a second, at most, whether all is done.
				took := time.Since(signal)
				if took < test.took || took > test.took+time.Second {
					t.Errorf("Serve returned %v after the signal, want %v", took, test.took)
				}
				if got := <-status; got != test.want || (err == nil) != (test.want != 0) {
					t.Errorf("request in flight at the signal = %d, Serve = %v, want %d", got, err, test.want)
				}
			})
		})
	}
}

func TestProblemOfPrefersTheUnknown(t *testing.T) {
	err := errors.Join(ledger.ErrUnavailable, ledger.ErrOutcomeUnknown)
	if p := ProblemOf(err); p.Code != CodeOutcomeUnknown {
		t.Errorf("ProblemOf(%v) = %s, want %s: 'not executed' must be certain", err, p.Code, CodeOutcomeUnknown)
	}
}
