package loadgen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRunFullClass is trap T2: with MaxWorkers set vegeta blocks and then sends everything owed at
// once, and what is owed at the end vanishes. Here it is unsent, and counted.
func TestRunFullClass(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("X-Request-Id"), "probe") {
			<-release
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	spec := steady(100, 2*time.Second, get("a"))
	spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 4, 50*time.Millisecond
	spec.Timeout = 2500 * time.Millisecond
	s := mustSchedule(t, spec)
	registry := prometheus.NewRegistry()
	r := mustRun(t, t.Context(), s, Options{BaseURL: server.URL, Registry: registry})
	c := r.Classes[0]
	if c.Sent != 4 || c.Timeout != 4 || c.Unsent != s.Total()-4 {
		t.Errorf("sent %d, timeouts %d, unsent %d, want 4, 4 and %d", c.Sent, c.Timeout, c.Unsent, s.Total()-4)
	}
	if !r.Health.Valid {
		t.Errorf("health %+v: want valid, the target is to blame", r.Health)
	}
	m, err := newMetrics(nil)
	if m != nil || err != nil {
		t.Errorf("newMetrics(nil) = %v, %v, want nil, nil", m, err)
	}
	got, err := testutil.GatherAndCount(registry, "squall_load_requests_total")
	if err != nil || got != 2 {
		t.Errorf("%d request series (%v), want 2: timeout and unsent", got, err)
	}
}

// TestRunBurst: after a stall, what is owed is sent at no more than maxBurst times the rate.
func TestRunBurst(t *testing.T) {
	gate := make(chan struct{})
	var first atomic.Bool
	arrivals := make(chan time.Time, 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Request-Id"), "probe") {
			return
		}
		if first.CompareAndSwap(false, true) {
			<-gate
		}
		arrivals <- time.Now()
	}))
	t.Cleanup(server.Close)
	spec := steady(200, 3*time.Second, get("a"))
	spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 1, 5*time.Second
	s := mustSchedule(t, spec)
	opened := time.AfterFunc(700*time.Millisecond, func() { close(gate) })
	defer opened.Stop()
	start := time.Now()
	mustRun(t, t.Context(), s, Options{BaseURL: server.URL, Start: start})
	close(arrivals)
	// Second 1 follows the stall: 140 requests are owed, 200 are due, 240 may go, and a few of the
	// burst tolerance. Without the limit it would be 340.
	var inSecond int
	for at := range arrivals {
		if d := at.Sub(start); d >= 800*time.Millisecond && d < 1800*time.Millisecond {
			inSecond++
		}
	}
	if inSecond < 150 || inSecond > 265 {
		t.Errorf("%d requests in the second after the stall, want 200 to 250", inSecond)
	}
}

// TestRunSlowProgress is trap T3: vegeta's result channel is unbuffered, so whoever reads it slowly
// stalls the workers. A progress callback that never returns delays nothing.
func TestRunSlowProgress(t *testing.T) {
	_, server := newEcoTrack(t)
	spec := steady(200, 3*time.Second, Class{Name: requestCalculate, Weight: 1})
	s := mustSchedule(t, spec)
	entered := make(chan Tick, 10)
	release := time.NewTimer(4 * time.Second)
	r := mustRun(t, t.Context(), s, Options{BaseURL: server.URL, Progress: func(tick Tick) {
		entered <- tick
		<-release.C
		release.Reset(0)
	}})
	c := r.Classes[0]
	if c.OK != s.Total() {
		t.Errorf("ok %d of %d", c.OK, s.Total())
	}
	if len(entered) == 0 {
		t.Fatal("progress was never called")
	}
	tick := <-entered
	if tick.Sent < 20 || tick.OK < 20 || tick.Offered < 20 || tick.P99 <= 0 || tick.Planned == 0 {
		t.Errorf("first tick %+v: want about 200 sent and good", tick)
	}
}

// TestRunOutcomes is trap T9: vegeta keeps failures and successes in one set, so that refused
// connections make an outage look fast.
func TestRunOutcomes(t *testing.T) {
	table := []struct {
		name    string
		handler http.HandlerFunc
		want    func(Counts) uint64
		reason  string
		state   WriteState
	}{
		{
			"server error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			func(c Counts) uint64 { return c.HTTPError }, "status-500", WriteUnknown,
		},
		{"html 503", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>No server is available", http.StatusServiceUnavailable)
		}, func(c Counts) uint64 { return c.Rejected }, "status-503", WriteUnknown},
		{
			"typed 503", problemHandler(503, "store_unavailable"),
			func(c Counts) uint64 { return c.Rejected }, "status-503", WriteUnknown,
		},
		{
			"typed 503 of another code", problemHandler(503, "commit_unknown"),
			func(c Counts) uint64 { return c.Rejected }, "status-503", WriteUnknown,
		},
		{
			"quota", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
			func(c Counts) uint64 { return c.Rejected }, "status-429", WriteUnknown,
		},
		{
			"typed 422", problemHandler(422, "unit_dimension_mismatch"),
			func(c Counts) uint64 { return c.HTTPError }, "status-422", WriteRefused,
		},
		{
			"key reused", problemHandler(422, "idempotency_key_reused"),
			func(c Counts) uint64 { return c.HTTPError }, "status-422", WriteUnknown,
		},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, func(c Counts) uint64 { return c.HTTPError }, "status-302", WriteUnknown},
		{
			"no receipt", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":"x"}`)) },
			func(c Counts) uint64 { return c.Transport }, "bad-answer", WriteUnknown,
		},
		{
			"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			func(c Counts) uint64 { return c.Transport }, "closed", WriteUnknown,
		},
		{
			"timeout", hang,
			func(c Counts) uint64 { return c.Timeout }, "timeout", WriteUnknown,
		},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(row.handler)
			t.Cleanup(server.Close)
			spec := steady(40, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1})
			if row.name == "timeout" {
				spec.Timeout, spec.Probe.Timeout = 300*time.Millisecond, 300*time.Millisecond
			}
			r := mustRun(t, t.Context(), mustSchedule(t, spec), Options{BaseURL: server.URL})
			c := r.Classes[0]
			if got := row.want(c.Counts); got != c.Planned || c.Planned == 0 || c.Errors[row.reason] != got {
				t.Errorf("counts %+v errors %v: want all as %s", c.Counts, c.Errors, row.reason)
			}
			if c.Failure.Count() != c.Planned || (row.name != "timeout" && c.Response.Count() != 0) {
				t.Errorf("%d failure and %d response times, want failures apart", c.Failure.Count(), c.Response.Count())
			}
			if c.Attempts != c.Sent {
				t.Errorf("%d attempts for %d requests, want no retry", c.Attempts, c.Sent)
			}
			for _, w := range r.Writes {
				if w.State != row.state {
					t.Errorf("write %s: state %d, want %d", w.Key, w.State, row.state)
				}
			}
			for _, p := range r.Probes {
				read := strings.HasPrefix(p.Series, "read")
				if row.name != "no receipt" && (p.OK || p.Error == "") || row.name == "no receipt" && !read && p.OK {
					t.Errorf("probe %+v: want a failure with its reason", p)
				}
			}
		})
	}
}

// hang answers nothing until the client is gone, which the server only notices once the body is read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func problemHandler(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"code":"` + code + `"}`))
	}
}

// TestRunRefused: a refused connection proves that nothing was written.
func TestRunRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // the port is closed now
	spec := steady(50, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1})
	r := mustRun(t, t.Context(), mustSchedule(t, spec), Options{BaseURL: server.URL})
	if c := r.Classes[0]; c.Transport != c.Planned || c.Errors["refused"] != c.Planned || c.Attempts != 0 {
		t.Errorf("counts %+v errors %v attempts %d: want all refused", c.Counts, c.Errors, c.Attempts)
	}
	for _, w := range r.Writes {
		if w.State != WriteRefused {
			t.Errorf("write %s: state %d, want refused", w.Key, w.State)
		}
	}
	if len(r.Writes) == 0 || len(r.Probes) == 0 || r.Probes[0].Error != "refused" {
		t.Errorf("%d writes, probes %+v: want refused ones", len(r.Writes), r.Probes)
	}
}

// TestRunAborted: an interruption cuts what was planned, cancels what is in flight, and loses no
// write.
func TestRunAborted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(hang))
	t.Cleanup(server.Close)
	spec := steady(100, time.Hour, Class{Name: requestCalculate, Weight: 1})
	spec.Timeout, spec.MaxInFlight, spec.MaxLag = time.Minute, 20, time.Minute
	spec.Probe.Timeout = time.Minute
	s := mustSchedule(t, spec)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	r := mustRun(t, ctx, s, Options{BaseURL: server.URL})
	c := r.Classes[0]
	if !r.Aborted || r.AbortedAt < 600*time.Millisecond || r.AbortedAt > 20*time.Second {
		t.Errorf("aborted %v at %v, want true at about 700ms", r.Aborted, r.AbortedAt)
	}
	if c.Cancelled != 20 || c.Sent != 0 || c.Unsent == 0 {
		t.Errorf("cancelled %d, sent %d, unsent %d: want 20, 0 and the rest until then", c.Cancelled, c.Sent, c.Unsent)
	}
	if due := c.Planned + c.Cancelled; float64(due) > 200*r.AbortedAt.Seconds()+50 || due >= s.Total() {
		t.Errorf("%d planned until %v at 100/s: want no later ones", due, r.AbortedAt)
	}
	var unknown int
	for _, w := range r.Writes {
		if w.State == WriteUnknown && w.Class == requestCalculate {
			unknown++
		}
	}
	if unknown != 20 {
		t.Errorf("%d unknown writes, want the 20 in flight", unknown)
	}
}

func TestRunMetrics(t *testing.T) {
	_, server := newEcoTrack(t)
	spec := steady(100, time.Second, Class{Name: requestBatch, Weight: 1})
	s := mustSchedule(t, spec)
	registry := prometheus.NewRegistry()
	r := mustRun(t, t.Context(), s, Options{BaseURL: server.URL, Registry: registry})
	got := make(map[string]float64)
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("Gather() error: %v", err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := f.GetName() + " " + strings.Join(labels, " ")
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	ok := float64(r.Classes[0].OK)
	want := map[string]float64{
		"squall_load_requests_total batch ok":     ok,
		"squall_load_units_total batch":           ok * batchItems,
		"squall_load_response_seconds batch ok":   ok,
		"squall_load_lag_seconds batch":           ok,
		"squall_load_probes_total ok write-fresh": 5,
	}
	for name, value := range want {
		if got[name] != value || value == 0 {
			t.Errorf("%s = %v, want %v", name, got[name], value)
		}
	}
	if _, err := Run(t.Context(), s, Options{BaseURL: server.URL, Registry: registry}); err == nil {
		t.Error("Run() on a used registry: no error, want one")
	}
}

func TestRunBadTarget(t *testing.T) {
	s := mustSchedule(t, steady(1, time.Second, get("a")))
	for _, url := range []string{"", "127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://%zz"} {
		if _, err := Run(t.Context(), s, Options{BaseURL: url}); err == nil || errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("Run(%q) error = %v, want one about the address's form", url, err)
		}
	}
}
