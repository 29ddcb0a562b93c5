package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRunFullClass is trap T2: with MaxWorkers set vegeta blocks and then sends everything owed at
// once, and what is owed at the end vanishes. Here it is unsent, and counted.
func TestRunFullClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := steady(100, 2*time.Second, get("a"))
		spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 4, 50*time.Millisecond
		spec.Timeout = 2500 * time.Millisecond
		s := mustSchedule(t, spec)
		registry := prometheus.NewRegistry()
		r := mustRunFake(t.Context(), t, s, Options{Registry: registry}, notProbes(http.HandlerFunc(hang)))
		c := r.Classes[0]
		if c.Sent != 4 || c.Timeout != 4 || c.Unsent != s.Total()-4 {
			t.Errorf("sent %d, timeouts %d, unsent %d, want 4, 4 and %d", c.Sent, c.Timeout, c.Unsent, s.Total()-4)
		}
		if !r.Health.Valid {
			t.Errorf("health %+v: want valid, the target is to blame", r.Health)
		}
		got, err := testutil.GatherAndCount(registry, "squall_load_requests_total")
		if err != nil || got != 2 {
			t.Errorf("%d request series (%v), want 2: timeout and unsent", got, err)
		}
	})
	m, err := newMetrics(nil)
	if m != nil || err != nil {
		t.Errorf("newMetrics(nil) = %v, %v, want nil, nil", m, err)
	}
}

// notProbes lets only the load reach h; the prober is answered at once.
func notProbes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("X-Request-Id"), "probe") {
			h.ServeHTTP(w, r)
		}
	})
}

// TestRunBurst: after a stall, what is owed is sent at no more than maxBurst times the rate.
func TestRunBurst(t *testing.T) {
	const rate, stall = 200, 700 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		var arrivals []time.Duration // one request at a time: no lock
		start := time.Now()
		target := notProbes(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if len(arrivals) == 0 {
				<-time.After(stall)
			}
			arrivals = append(arrivals, time.Since(start))
		}))
		spec := steady(rate, 5*time.Second, get("a"))
		spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 1, 5*time.Second
		mustRunFake(t.Context(), t, mustSchedule(t, spec), Options{Start: start}, target)
		if len(arrivals) != 5*rate {
			t.Fatalf("%d requests arrived, want %d", len(arrivals), 5*rate)
		}
		// In each second that begins in the backlog 240 may go, and a few of the burst tolerance.
		// Without the limit the first would see 340. The 140 owed at its end are caught up at 40/s.
		const most, tolerated = 240, 5
		for i, at := range arrivals[1:] {
			n := 0
			for _, later := range arrivals[1+i:] {
				if later-at < time.Second {
					n++
				}
			}
			if n > most+tolerated {
				t.Errorf("%d requests in the second from %v, want at most %v", n, at, most+tolerated)
			}
			if at < stall+2*time.Second && n < most-tolerated {
				t.Errorf("%d requests in the second from %v, want %v: what is owed goes as fast as it may", n, at, most)
			}
		}
		if last := arrivals[len(arrivals)-1]; last > 5*time.Second {
			t.Errorf("last request arrived at %v: want the backlog gone before 5s", last)
		}
	})
}

// TestRunSlowProgress is trap T3: vegeta's result channel is unbuffered, so whoever reads it slowly
// stalls the workers. A progress callback that does not return before the end delays nothing.
func TestRunSlowProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = 5 * time.Millisecond
		s := mustSchedule(t, steady(200, 3*time.Second, Class{Name: requestCalculate, Weight: 1}))
		var ticks []Tick
		start := time.Now()
		r := mustRunFake(t.Context(), t, s, Options{Start: start, Progress: func(tick Tick) {
			ticks = append(ticks, tick)
			<-time.After(time.Until(start.Add(4 * time.Second)))
		}}, slowly(service, newEcoTrack()))
		c := r.Classes[0]
		if c.OK != s.Total() || c.Response.Max() != service {
			t.Errorf("ok %d of %d, slowest %v, want all within %v", c.OK, s.Total(), c.Response.Max(), service)
		}
		if len(ticks) == 0 {
			t.Fatal("progress was never called")
		}
		first := s.classes[0].planned[0]
		tick := ticks[0]
		if tick.Elapsed != time.Second || tick.Planned != first || tick.Sent != first ||
			tick.Offered != float64(first) || tick.Achieved != float64(tick.OK) {
			t.Errorf("first tick %+v: want the %d of the first second planned and sent", tick, first)
		}
		// What is sent in the last 5 ms has no answer yet.
		if tick.OK+uint64(tick.InFlight) != tick.Sent || tick.InFlight > 5 || tick.OK == 0 {
			t.Errorf("first tick %+v: want all answered but a few in flight", tick)
		}
		if got := tick.P99; got < service || got > service+service/10 {
			t.Errorf("first tick: p99 %v, want about %v", got, service)
		}
	})
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
			synctest.Test(t, func(t *testing.T) {
				spec := steady(40, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1})
				if row.name == "timeout" {
					spec.Timeout, spec.Probe.Timeout = 300*time.Millisecond, 300*time.Millisecond
				}
				r := mustRunFake(t.Context(), t, mustSchedule(t, spec), Options{}, row.handler)
				c := r.Classes[0]
				if got := row.want(c.Counts); got != c.Planned || c.Planned == 0 || c.Errors[row.reason] != got {
					t.Errorf("counts %+v errors %v: want all as %s", c.Counts, c.Errors, row.reason)
				}
				if c.Failure.Count() != c.Planned || (row.name != "timeout" && c.Response.Count() != 0) {
					t.Errorf("%d failure and %d response times, want failures apart", c.Failure.Count(), c.Response.Count())
				}
				if row.name == "timeout" && c.Response.Max() != spec.Timeout {
					t.Errorf("slowest response %v, want the timeout of %v", c.Response.Max(), spec.Timeout)
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

// deadAddress returns an address on loopback that refuses connections until the test ends: the port
// is bound, so that nobody else gets it and no dial is joined to itself, and nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind: %v", err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// TestRunRefused: a refused connection proves that nothing was written.
func TestRunRefused(t *testing.T) {
	spec := steady(50, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1})
	r := mustRun(t.Context(), t, mustSchedule(t, spec), Options{BaseURL: "http://" + deadAddress(t)})
	if c := r.Classes[0]; c.Transport != c.Planned || c.Errors["refused"] != c.Planned || c.Attempts != 0 {
		t.Errorf("counts %+v errors %v attempts %d: want all refused", c.Counts, c.Errors, c.Attempts)
	}
	for _, w := range r.Writes {
		if w.State != WriteRefused && w.Class != probeClass {
			t.Errorf("write %s: state %d, want refused", w.Key, w.State)
		}
	}
	if len(r.Writes) == 0 {
		t.Error("no writes, want refused ones")
	}
}

// TestProbeRefused: so does one of the prober, and each probe says why it failed.
func TestProbeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := steady(50, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1})
		l := fakeLoad(t.Context(), t, mustSchedule(t, spec), Options{}, http.NotFoundHandler())
		refuse := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		for _, transport := range []http.RoundTripper{l.prober.fresh.transport, l.prober.pooled.transport} {
			transport.(*http.Transport).DialContext = refuse
		}
		r, err := l.run(t.Context(), nil)
		if err != nil {
			t.Fatalf("run() error: %v", err)
		}
		for _, w := range r.Writes {
			if w.Class == probeClass && w.State != WriteRefused {
				t.Errorf("write %s: state %d, want refused", w.Key, w.State)
			}
		}
		for _, p := range r.Probes {
			if p.Error != "refused" {
				t.Errorf("probe %+v: want it refused", p)
			}
		}
		if len(r.Probes) == 0 {
			t.Error("no probes, want refused ones")
		}
	})
}

// TestRunLoopback is the one whole load over real sockets, through the guard's own dialer.
func TestRunLoopback(t *testing.T) {
	server := httptest.NewServer(newEcoTrack())
	t.Cleanup(server.Close)
	s := mustSchedule(t, steady(100, 500*time.Millisecond, Class{Name: requestCalculate, Weight: 1}))
	r := mustRun(t.Context(), t, s, Options{BaseURL: server.URL})
	if c := r.Classes[0]; c.OK != s.Total() || c.Attempts != c.Sent || c.Response.Max() <= 0 {
		t.Errorf("ok %d, attempts %d of %d, slowest %v: want all good and measured: %v",
			c.OK, c.Attempts, s.Total(), c.Response.Max(), c.Errors)
	}
	for _, p := range r.Probes {
		if !p.OK {
			t.Errorf("probe %+v failed", p)
		}
	}
}

// TestRunAborted: an interruption cuts what was planned, cancels what is in flight, and loses no
// write.
func TestRunAborted(t *testing.T) {
	const at = 705 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		spec := steady(100, time.Hour, Class{Name: requestCalculate, Weight: 1})
		spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 20, time.Minute
		spec.Timeout, spec.Probe.Timeout = time.Minute, time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), at)
		defer cancel()
		r := mustRunFake(ctx, t, mustSchedule(t, spec), Options{}, http.HandlerFunc(hang))
		c := r.Classes[0]
		if !r.Aborted || r.AbortedAt != at {
			t.Errorf("aborted %v at %v, want true at %v", r.Aborted, r.AbortedAt, at)
		}
		// 100/s until then, 20 of them in flight.
		if c.Cancelled != 20 || c.Sent != 0 || c.Unsent < 50 || c.Unsent > 51 {
			t.Errorf("cancelled %d, sent %d, unsent %d: want 20, 0 and the 50 others due until then", c.Cancelled, c.Sent, c.Unsent)
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
	})
}

func TestRunMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustSchedule(t, steady(100, time.Second, Class{Name: requestBatch, Weight: 1}))
		registry := prometheus.NewRegistry()
		r := mustRunFake(t.Context(), t, s, Options{Registry: registry}, newEcoTrack())
		got := gather(t, registry)
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
		if _, err := Run(t.Context(), s, Options{BaseURL: fakeURL, Registry: registry}); err == nil {
			t.Error("Run() on a used registry: no error, want one")
		}
	})
}

// gather returns the counters, and the histograms' counts, by name and labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("Gather() error: %v", err)
	}
	got := make(map[string]float64)
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
	return got
}

func TestRunBadTarget(t *testing.T) {
	s := mustSchedule(t, steady(1, time.Second, get("a")))
	for _, url := range []string{"", "127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://%zz"} {
		if _, err := Run(t.Context(), s, Options{BaseURL: url}); err == nil || errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("Run(%q) error = %v, want one about the address's form", url, err)
		}
	}
}
