package reports

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"squall/reports/verdict"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// OpenMetrics writes metrics.txt: the final figures as gauges, ending in "# EOF". Values have three
// decimals (six for ratios), because GitLab compares them as strings.
func OpenMetrics(w io.Writer, rec *Record) error {
	registry := prometheus.NewRegistry()
	set := gauges{registry: registry, byName: map[string]*prometheus.GaugeVec{}}
	for _, o := range runOutcomes() {
		set.value("squall_run_outcome", "1 for how the run ended, 0 for the others.",
			oneIf(o == rec.Outcome), "outcome", string(o))
	}
	set.value("squall_run_exit_code", "Exit code of the run.", float64(rec.ExitCode))
	set.value("squall_run_duration_seconds", "Length of the run.", rec.Duration)
	if rec.Load.Sent > 0 {
		set.value("squall_send_lag_p99_seconds", "Lateness of the load generator itself.",
			round3(rec.Load.SendLagP99/1e3))
	}
	// Two series of one name would be one: the last value would hide the first.
	classes, objectives, faults, failovers := names{}, names{}, names{}, names{}
	for _, name := range slices.Sorted(maps.Keys(rec.Load.Classes)) {
		set.class(classes.unique(Visible(name)), rec.Load.Classes[name])
	}
	for _, o := range rec.Objectives {
		o.Text = objectives.unique(Visible(o.Text))
		set.objective(o)
	}
	for _, i := range rec.Injections {
		name := faults.unique(Visible(i.Fault))
		set.value("squall_fault_felt", "1 when the fault's effect was measured.", oneIf(i.Felt), "fault", name)
		set.value("squall_fault_undone", "1 when the fault was verified gone.", oneIf(i.Undone), "fault", name)
	}
	for _, f := range rec.Failover {
		f.Injection = failovers.unique(Visible(f.Injection))
		set.failover(f)
	}
	if len(rec.Audit.CheckedNodes) > 0 {
		set.audit(rec.Audit)
	}
	families, err := registry.Gather()
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToOpenMetrics(w, family); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	_, err = expfmt.FinalizeOpenMetrics(w)
	return err
}

// gauges makes each gauge the first time it is set.
type gauges struct {
	registry *prometheus.Registry
	byName   map[string]*prometheus.GaugeVec
}

// value sets one gauge; labels are name, value, name, value.
func (g gauges) value(name, help string, v float64, labels ...string) {
	names, values := []string{}, []string{}
	for pair := range slices.Chunk(labels, 2) {
		names, values = append(names, pair[0]), append(values, Visible(pair[1]))
	}
	vec := g.byName[name]
	if vec == nil {
		vec = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, names)
		g.byName[name] = vec
		g.registry.MustRegister(vec) // each name is registered once, with labels from this file
	}
	vec.WithLabelValues(values...).Set(v)
}

func (g gauges) class(name string, t Totals) {
	for result, n := range map[string]uint64{
		"ok": t.OK, "http_error": t.HTTPError,
		"rejected": t.Rejected, "timeout": t.Timeout, "transport": t.Transport, "unsent": t.Unsent,
	} {
		g.value("squall_requests", "Requests by class and how they ended.", float64(n),
			"class", name, "result", result)
	}
	for figure, ms := range map[string]*float64{
		"p50": t.P50, "p90": t.P90, "p99": t.P99,
		"p999": t.P999, "max": t.Max,
	} {
		if ms != nil {
			g.value("squall_response_seconds", "Response time from the due time; absent where nothing was answered.",
				roundTo(*ms/1e3, 1e6), "class", name, "figure", figure)
		}
	}
	if t.Planned > 0 {
		g.value("squall_error_ratio", "Failed and unsent requests of those planned.",
			roundTo(t.ErrorRatio(), 1e6), "class", name)
	}
}

func (g gauges) objective(o Objective) {
	g.value("squall_objective_met", "1 when the objective was met; squall_objective_outcome tells missed from inconclusive.", oneIf(o.Outcome == verdict.Met),
		"objective", o.Text)
	for _, outcome := range objectiveOutcomes() {
		g.value("squall_objective_outcome", "1 for how the objective ended, 0 for the others.",
			oneIf(outcome == o.Outcome), "objective", o.Text, "outcome", string(outcome))
	}
	g.value("squall_objective_bound", "Bound of the objective in its unit.", o.Bound,
		"objective", o.Text, "unit", o.Unit)
	if o.Value != nil {
		g.value("squall_objective_value", "Measured value of the objective in its unit.", *o.Value,
			"objective", o.Text, "unit", o.Unit)
	}
}

// runOutcomes are all outcomes of a run, objectiveOutcomes those of an objective, the best first.
func runOutcomes() []verdict.Outcome {
	return append(objectiveOutcomes(), verdict.Invalid, verdict.Error, verdict.Aborted)
}

func objectiveOutcomes() []verdict.Outcome {
	return []verdict.Outcome{verdict.Met, verdict.Missed, verdict.Inconclusive}
}

func (g gauges) failover(f Failover) {
	for figure, s := range map[string]*float64{
		"detection": f.Detection, "rto_write": f.RTOWrite,
		"rto_read": f.RTORead, "outage": f.Outage, "resolution": f.Resolution,
	} {
		if s != nil {
			g.value("squall_failover_seconds", "Failover times seen by the clients.", *s,
				"figure", figure, "injection", f.Injection)
		}
	}
}

func (g gauges) audit(a verdict.Audit) {
	for state, n := range map[string]int{
		"acknowledged": a.Acknowledged, "unknown": a.Unknown,
		"lost": a.Lost, "duplicate": a.Duplicate, "phantom": a.Phantom, "altered": a.Altered,
		"wrong": a.Wrong, "diverged": a.Diverged,
	} {
		g.value("squall_audit_writes", "Writes by what the audit of the ledger found.", float64(n),
			"state", state)
	}
}

func oneIf(v bool) float64 { //nolint:revive // it turns the value into a number, it steers nothing
	if v {
		return 1
	}
	return 0
}
