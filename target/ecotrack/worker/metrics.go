package worker

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Options tunes a Worker. The zero value is usable.
type Options struct {
	Registry *prometheus.Registry // default: one of its own
	Log      *slog.Logger         // default: discards
}

func (o Options) withDefaults() Options {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// metrics counts what a worker did.
type metrics struct {
	jobs     *prometheus.CounterVec
	lines    *prometheus.CounterVec
	returned prometheus.Counter
	retries  prometheus.Counter
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecotrack_worker_jobs_total", Help: "Finished jobs: done, failed or refused.",
		}, []string{"state"}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecotrack_worker_lines_total", Help: "Lines of finished jobs: kept or failed.",
		}, []string{"outcome"}),
		returned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecotrack_worker_returned_total", Help: "Messages given back to be delivered again.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecotrack_worker_store_retries_total", Help: "Statements repeated because the store failed.",
		}),
	}
	reg.MustRegister(m.jobs, m.lines, m.returned, m.retries)
	return m
}
