package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	defaultInFlight = 128              // requests at once; more would only wait for the 12 connections
	defaultTimeout  = 10 * time.Second // deadline of a request that names none
	maxTimeout      = time.Minute      // the longest that Request-Timeout-Ms may ask for
	defaultDrain    = time.Second      // two failed checks of the balancer
	shutdownWithin  = 7 * time.Second  // with defaultDrain inside of Docker's 10 s
)

// ServiceOptions tunes a Service. The zero value is usable.
type ServiceOptions struct {
	Role, Node, Zone string
	MaxInFlight      int           // admitted requests at once; default 128
	Timeout          time.Duration // deadline of a request without Request-Timeout-Ms; default 10 s
	Drain            time.Duration // not ready but still serving, before the shutdown; default 1 s
	Ready            func() error  // nil when the store can be used; default always
	Registry         *prometheus.Registry
	Log              *slog.Logger // default: discards
}

// Service is the HTTP side that every role has: probes, metrics, admission, deadlines, request ids
// and problems.
//
//	request -> id -> route -> admitted? -> deadline -> handler -> JSON
//	                              no: 429             error: problem
type Service struct {
	opts     ServiceOptions
	mux      *http.ServeMux
	metrics  *metrics
	inFlight atomic.Int64
	draining atomic.Bool
}

// Handler answers a request, or returns the error that ProblemOf describes to the client.
type Handler func(http.ResponseWriter, *http.Request) error

// NewService returns a service with its probes and metrics, and no other routes.
func NewService(o ServiceOptions) *Service {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultInFlight
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{opts: o, mux: http.NewServeMux()}
	s.metrics = newMetrics(o.Registry, func() float64 { return float64(s.inFlight.Load()) })
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("/", s.unrouted)
	return s
}

// Handle adds a route. pattern is one of http.ServeMux with a method, and the metrics' label.
func (s *Service) Handle(pattern string, h Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &statusWriter{ResponseWriter: w}
		err := s.answer(rec, r, h)
		if err != nil {
			writeProblem(rec, ProblemOf(err))
		}
		took := time.Since(began)
		s.metrics.observe(pattern, rec.status, took)
		level := slog.LevelDebug // a line for every request would cost more than many of them
		if rec.status >= 500 {
			level = slog.LevelWarn
		}
		s.opts.Log.LogAttrs(r.Context(), level, "request", slog.String("route", pattern),
			slog.Int("status", rec.status), slog.Duration("took", took), slog.Any("error", err),
			slog.String("request_id", w.Header().Get("X-Request-Id")))
	})
}

// answer admits the request, sets its deadline and runs h; a panic becomes an error.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, h Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("handler panicked: %v: %s", v, debug.Stack())
		}
	}()
	defer s.inFlight.Add(-1)
	if s.inFlight.Add(1) > int64(s.opts.MaxInFlight) {
		return NewProblem(http.StatusTooManyRequests, CodeOverloaded, "%d requests are in flight",
			s.opts.MaxInFlight)
	}
	timeout, err := requestTimeout(r, s.opts.Timeout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return h(w, r.WithContext(ctx))
}

// requestTimeout returns what Request-Timeout-Ms asks for, or standard.
func requestTimeout(r *http.Request, standard time.Duration) (time.Duration, error) {
	text := r.Header.Get("Request-Timeout-Ms")
	if text == "" {
		return standard, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 1 || ms > maxTimeout.Milliseconds() {
		return 0, NewProblem(http.StatusBadRequest, CodeTimeout,
			"Request-Timeout-Ms must be 1 to %d, got %q", maxTimeout.Milliseconds(), text)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 128 {
		w.Header().Set("X-Request-Id", id)
	}
	if s.opts.Node != "" {
		w.Header().Set("X-Node", s.opts.Node)
	}
	s.mux.ServeHTTP(w, r)
}

// healthz says whether the node takes requests at all: until it drains. Unlike readyz it does not
// depend on the store, so that a balancer that asks here leaves an engine in service that answers
// estimates and imports while the database fails over.
func (s *Service) healthz(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		writeProblem(w, NewProblem(http.StatusServiceUnavailable, CodeDraining, "draining"))
		return
	}
	WriteJSON(w, http.StatusOK, map[string]string{"status": "ok", "role": s.opts.Role, "node": s.opts.Node})
}

// readyz says whether the node can do all of its work: it is not draining and its store is usable.
func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.healthz(w, r)
		return
	}
	if err := s.opts.Ready(); err != nil {
		writeProblem(w, NewProblem(http.StatusServiceUnavailable, CodeStoreUnavailable, "%v", err))
		return
	}
	WriteJSON(w, http.StatusOK, map[string]string{"status": "ready", "role": s.opts.Role, "node": s.opts.Node})
}

// unrouted answers what no route matches: 405 when another method would, else 404.
func (s *Service) unrouted(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, NewProblem(http.StatusMethodNotAllowed, CodeMethod, "use %s",
			strings.Join(allowed, " or ")))
		return
	}
	writeProblem(w, NewProblem(http.StatusNotFound, CodeNotFound, "there is no such route"))
}

// Serve answers requests on ln until ctx ends. Then it is not ready but serves on for Drain, so
// that balancers turn away first, and finishes what is in flight. It closes ln.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      maxTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute, // longer than a balancer keeps an idle connection
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	s.opts.Log.Info("serving", slog.String("role", s.opts.Role), slog.String("addr", ln.Addr().String()))
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.opts.Log.Info("draining")
	drain := time.NewTimer(s.opts.Drain)
	defer drain.Stop()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-drain.C:
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
	defer cancel()
	if err := server.Shutdown(stopCtx); err != nil {
		_ = server.Close() // what is still in flight has had its time
		return fmt.Errorf("shut down: %w", err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// statusWriter remembers the status for the metrics.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}
