package engine

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics counts the requests of a service.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers the metrics of a service in reg.
func newMetrics(reg *prometheus.Registry, inFlight func() float64) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecotrack_http_requests_total", Help: "Answered requests by route and class of status.",
		}, []string{"route", "code_class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ecotrack_http_request_duration_seconds", Help: "Time to answer by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ecotrack_http_requests_in_flight", Help: "Admitted requests that are not answered yet.",
	}, inFlight)
	reg.MustRegister(m.requests, m.seconds, gauge, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one answered request.
func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// RegisterPool registers the state of a connection pool in reg; stat returns a snapshot of it.
func RegisterPool(reg *prometheus.Registry, stat func() *pgxpool.Stat) {
	for _, g := range []struct {
		name, help string
		value      func(*pgxpool.Stat) float64
	}{
		{
			"max", "Connections the pool may have.",
			func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) },
		},
		{
			"acquired", "Connections in use.",
			func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) },
		},
		{
			"idle", "Connections waiting for work.",
			func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) },
		},
		{
			"constructing", "Connections being made.",
			func(s *pgxpool.Stat) float64 { return float64(s.ConstructingConns()) },
		},
	} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ecotrack_store_connections_" + g.name, Help: g.help,
		}, func() float64 { return g.value(stat()) }))
	}
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ecotrack_store_acquire_canceled_total", Help: "Waits for a connection that were given up.",
	}, func() float64 { return float64(stat().CanceledAcquireCount()) }))
}
