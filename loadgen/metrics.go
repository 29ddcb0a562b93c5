package loadgen

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the load's own, by class and outcome: closed sets, never a URL or an error text. A
// nil *metrics records nothing.
type metrics struct {
	requests *prometheus.CounterVec
	response *prometheus.HistogramVec
	lag      *prometheus.HistogramVec
	units    *prometheus.CounterVec
	probes   *prometheus.CounterVec
}

// newMetrics registers the metrics; it fails when they are registered already.
func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	if registry == nil {
		return nil, nil //nolint:nilnil // no registry, no metrics: every method takes a nil receiver
	}
	// 1 ms to 16 s in steps of 2: wide enough for a failover, fine enough to watch. The recording
	// has the exact figures.
	seconds := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "squall_load_requests_total", Help: "Planned requests by how they ended.",
		}, []string{"class", "outcome"}),
		response: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "squall_load_response_seconds", Help: "Response time from the due time.",
			Buckets: seconds,
		}, []string{"class", "outcome"}),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "squall_load_lag_seconds", Help: "Time from due to sent.", Buckets: seconds,
		}, []string{"class"}),
		units: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "squall_load_units_total", Help: "Units of work acknowledged.",
		}, []string{"class"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "squall_load_probes_total", Help: "Probes by series and result.",
		}, []string{"series", "result"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.response, m.lag, m.units, m.probes} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("load metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) record(class string, x sample) {
	if m == nil {
		return
	}
	name := x.outcome.String()
	m.requests.WithLabelValues(class, name).Inc()
	m.response.WithLabelValues(class, name).Observe((x.done - x.due).Seconds())
	m.lag.WithLabelValues(class).Observe((x.sent - x.due).Seconds())
	m.units.WithLabelValues(class).Add(float64(x.units))
}

func (m *metrics) unsent(class string) {
	if m != nil {
		m.requests.WithLabelValues(class, "unsent").Inc()
	}
}

func (m *metrics) probe(p Probe) {
	if m == nil {
		return
	}
	result := "failed"
	if p.OK {
		result = "ok"
	}
	m.probes.WithLabelValues(p.Series, result).Inc()
}
