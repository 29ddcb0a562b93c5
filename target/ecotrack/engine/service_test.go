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
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAdmissionIsBounded(t *testing.T) {
	m := newMemory()
	m.block, m.entered = make(chan struct{}), make(chan struct{}, 2)
	reg := prometheus.NewRegistry()
	server := serve(t, m, ServiceOptions{MaxInFlight: 2, Registry: reg})
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
	m := newMemory()
	m.block, m.entered = make(chan struct{}), make(chan struct{}, 1)
	server := serve(t, m, ServiceOptions{Timeout: time.Minute})
	a := do(t, server, call{"POST", "/v1/calculations", keyA + "\nRequest-Timeout-Ms: 50", good})
	if a.status != 503 || decode[Problem](t, a).Code != CodeStoreUnavailable {
		t.Errorf("calculation past its deadline = %d %s, want 503", a.status, a.body)
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

// At the signal a node is first not ready, still answers, finishes what is in flight, and ends.
func TestServeDrains(t *testing.T) {
	m := newMemory()
	m.block, m.entered = make(chan struct{}), make(chan struct{}, 1)
	s := NewService(ServiceOptions{Drain: time.Second})
	New(catalogue(t), m, m).Register(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	base := "http://" + ln.Addr().String()
	status := make(chan int, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPost, base+"/v1/calculations", strings.NewReader(good))
		if err != nil {
			status <- 0
			return
		}
		req.Header.Set("Idempotency-Key", "a")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-m.entered
	stop()
	for _, path := range []string{"/readyz", "/healthz"} {
		await(t, path+" is 503 while draining", func() bool {
			resp, err := http.Get(base + path)
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusServiceUnavailable
		})
	}
	close(m.block)
	if got := <-status; got != 201 {
		t.Errorf("request in flight at the signal = %d, want 201", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the port is still open after Serve returned")
	}
}

func TestProblemOfPrefersTheUnknown(t *testing.T) {
	err := errors.Join(ledger.ErrUnavailable, ledger.ErrOutcomeUnknown)
	if p := ProblemOf(err); p.Code != CodeOutcomeUnknown {
		t.Errorf("ProblemOf(%v) = %s, want %s: 'not executed' must be certain", err, p.Code, CodeOutcomeUnknown)
	}
}
