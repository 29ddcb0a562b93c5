package reports

import (
	"math"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"strconv"
	"strings"
	"time"
)

// New sums up a run. A run that was never judged is an error when it says why it ended, and
// inconclusive otherwise: a forgotten verdict is never a pass.
func New(run Run) *Record {
	recording := run.Recording
	if recording == nil {
		recording = &loadgen.Recording{}
	}
	v := run.Verdict
	r := &Record{
		Schema: Schema, Scenario: run.Scenario, Question: run.Question, Seed: run.Seed, SeedText: strconv.FormatUint(run.Seed, 10),
		StartedAt: run.StartedAt.UTC(), Duration: seconds(run.Duration),
		Outcome: v.Outcome, ExitCode: v.ExitCode, Reasons: list(v.Reasons), Error: run.Error,
		Command: run.Command, Load: newLoad(recording), Phases: newPhases(v.Phases),
		Audit: v.Audit, Health: newHealth(run.Recording, recording.Health),
		Environment: run.Environment, Nodes: list(run.Nodes), ScenarioYAML: run.ScenarioYAML,
	}
	if r.Outcome == "" {
		r.Outcome, r.ExitCode = verdict.Inconclusive, 4
		r.Reasons = append(r.Reasons, "the run was never judged")
		if run.Error != "" {
			r.Outcome, r.ExitCode = verdict.Error, 5
			r.Reasons = []string{run.Error}
		}
	}
	r.Audit.CheckedNodes, r.Audit.Examples = list(v.Audit.CheckedNodes), list(v.Audit.Examples)
	if r.Environment.Images == nil {
		r.Environment.Images = map[string]string{}
	}
	r.Injections = make([]Injection, 0, len(run.Injections))
	for _, i := range run.Injections {
		r.Injections = append(r.Injections, newInjection(i))
	}
	r.Failover = make([]Failover, 0, len(v.Failover))
	for _, f := range v.Failover {
		r.Failover = append(r.Failover, Failover{
			f.Injection, f.Write, f.Read, rounded(f.Detection), rounded(f.RTOWrite),
			rounded(f.RTORead), rounded(f.Outage), rounded(f.Resolution), round3(f.Precision),
		})
	}
	r.Unplanned = make([]Unplanned, 0, len(v.Unplanned))
	for _, u := range v.Unplanned {
		u.At = round3(u.At)
		r.Unplanned = append(r.Unplanned, Unplanned(u))
	}
	r.Objectives = newObjectives(v.Objectives, run.Objectives)
	r.Events = make([]LogLine, 0, len(run.Events))
	for _, e := range run.Events {
		r.Events = append(r.Events, LogLine{seconds(e.At), e.Level, e.Text})
	}
	r.Series = newSeries(recording, run.Planned, axisEnd(recording, run.Injections))
	return r
}

// why is every reason for the outcome once, with what ended the run first.
func (r *Record) why() []string {
	var out []string
	told := strings.Join(r.Reasons, "\n")
	if r.Error != "" && !strings.Contains(told, r.Error) {
		out = append(out, r.Error)
	}
	for _, reason := range r.Reasons {
		if reason != "" && !slices.Contains(out, reason) {
			out = append(out, reason)
		}
	}
	return out
}

func newLoad(recording *loadgen.Recording) LoadSummary {
	load := LoadSummary{Classes: map[string]Totals{}, SendLagP99: millis(recording.Health.LagP99)}
	units := map[string]uint64{}
	for _, s := range recording.Seconds {
		units[s.Class] += s.Units
	}
	var all loadgen.ClassTotal
	var allUnits uint64
	for _, c := range recording.Classes {
		load.Classes[c.Name] = newTotals(c, units[c.Name])
		all.Counts = sum(all.Counts, c.Counts)
		all.Attempts += c.Attempts
		all.Response.Merge(c.Response)
		allUnits += units[c.Name]
	}
	load.Totals = newTotals(all, allUnits)
	return load
}

func newTotals(c loadgen.ClassTotal, units uint64) Totals {
	t := Totals{
		Planned: c.Planned, Sent: c.Sent, Unsent: c.Unsent, OK: c.OK, Failed: c.Failed(),
		HTTPError: c.HTTPError, Rejected: c.Rejected, Timeout: c.Timeout, Transport: c.Transport,
		Attempts: c.Attempts, Units: units,
	}
	a := answers{c.OK, c.Response}
	t.P50, t.P90, t.P99 = rounded(a.quantile(.5)), rounded(a.quantile(.9)), rounded(a.quantile(.99))
	t.P999, t.Max = rounded(a.quantile(.999)), rounded(a.max())
	return t
}

func sum(a, b loadgen.Counts) loadgen.Counts {
	return loadgen.Counts{
		Planned: a.Planned + b.Planned, Sent: a.Sent + b.Sent, Unsent: a.Unsent + b.Unsent,
		OK: a.OK + b.OK, HTTPError: a.HTTPError + b.HTTPError, Rejected: a.Rejected + b.Rejected,
		Timeout: a.Timeout + b.Timeout, Transport: a.Transport + b.Transport,
	}
}

func newPhases(phases []verdict.Phase) []verdict.Phase {
	out := make([]verdict.Phase, 0, len(phases))
	for _, p := range phases {
		classes := make(map[string]verdict.ClassPhase, len(p.Classes))
		for name, c := range p.Classes {
			c.Rate, c.ErrorRatio = round3(c.Rate), roundTo(c.ErrorRatio, 1e6)
			for _, latency := range c.Latencies() {
				*latency = rounded(*latency)
			}
			classes[name] = c
		}
		p.Start, p.End, p.Classes = round3(p.Start), round3(p.End), classes
		out = append(out, p)
	}
	return out
}

func newInjection(i chaos.Injection) Injection {
	out := Injection{
		Fault: i.Fault, Kind: i.Kind, Target: strings.Join(i.Targets, ", "), Targets: list(i.Targets),
		Requested: seconds(i.Requested), Settle: seconds(i.Settle), Felt: i.Felt, Undone: i.Undone,
		Effect: Effect{
			i.Effect.Summary, finiteMap(i.Effect.Asked), finiteMap(i.Effect.Measured),
			i.Effect.Details,
		},
		Resolution: seconds(i.Resolution), Error: i.Error,
	}
	if i.Felt || i.Effective > 0 {
		out.Effective = new(seconds(i.Effective))
	}
	if i.Ended > 0 {
		out.Ended = new(seconds(i.Ended))
	}
	return out
}

// newObjectives joins each result with the objective it judges, by its text.
func newObjectives(results []verdict.Result, asked []verdict.Objective) []Objective {
	byText := map[string]verdict.Objective{}
	for _, o := range asked {
		byText[o.Text] = o
	}
	out := make([]Objective, 0, len(results))
	for _, r := range results {
		o, found := byText[r.Text]
		if !found { // one that the verdict adds to every run, "audit: phantom_writes == 0"
			_, sentence, _ := strings.Cut(r.Text, ": ")
			o, _ = verdict.ParseObjective(sentence) // the zero value where it is none of ours
		}
		value, bound := besideBound(r.Value, r.Bound)
		out = append(out, Objective{
			Text: r.Text, Outcome: r.Outcome, Value: value, NoValue: r.NoValue, Unit: r.Unit,
			Bound: bound, Samples: r.Samples, Phase: r.Phase, Why: r.Why,
			Metric: o.Metric, Of: o.Of, Op: o.Op,
		})
	}
	return out
}

func newHealth(recording *loadgen.Recording, h loadgen.Health) Health {
	out := Health{
		h.Valid, list(h.Reasons), millis(h.LagP99), round3(h.CPU), list(h.BadSeconds),
		millis(h.ProbeGapMax),
	}
	if recording == nil {
		out.Reasons = append(out.Reasons, "no load was recorded")
	}
	return out
}

// list makes nil an empty list, so that JSON shows [] and never null.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func seconds(d time.Duration) float64 { return round3(d.Seconds()) }
func millis(d time.Duration) float64  { return round3(float64(d) / float64(time.Millisecond)) }
func round3(v float64) float64        { return roundTo(v, 1e3) }

// roundTo rounds to 1/scale; what JSON cannot hold (NaN, infinity) becomes 0.
func roundTo(v, scale float64) float64 {
	if !finite(v) {
		return 0
	}
	return math.Round(v*scale) / scale
}

// finite is false for NaN, the infinities and what the raw files store in their place.
func finite(v float64) bool { return math.Abs(v) < math.MaxFloat64 }

func rounded(v *float64) *float64 {
	if v == nil || !finite(*v) {
		return nil
	}
	return new(round3(*v))
}

// besideBound rounds a value and its bound to six decimals, enough for a ratio and for seconds, but
// never so that one looks like the other. The value is nil where it is not finite.
func besideBound(v *float64, bound float64) (*float64, float64) {
	if v == nil || !finite(*v) {
		return nil, roundTo(bound, 1e6)
	}
	value := roundTo(*v, 1e6)
	if value == roundTo(bound, 1e6) && *v != bound {
		return new(*v), bound
	}
	return new(value), roundTo(bound, 1e6)
}

func finiteMap(in map[string]float64) map[string]float64 {
	if in == nil {
		return nil
	}
	out := make(map[string]float64, len(in))
	for k, v := range in {
		if finite(v) {
			out[k] = v
		}
	}
	return out
}
