package verdict

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Objective is one sentence of the `objectives:` block, such as `p99(calculate) <= 300ms before`.
//
// The grammar, in EBNF; blanks may stand between any two tokens:
//
//	objective  = latency | throughput | ratio | count | failover | ledger .
//	latency    = ("p50" | "p90" | "p95" | "p99" | "p999" | "max" | "mean") [of] op duration [phase] .
//	throughput = "throughput" [of] op rate [phase] .
//	ratio      = "error_ratio" [of] op (number "%" | number) [phase] .
//	count      = ("failed" | "unsent") [of] (op | "==") whole [phase] .
//	failover   = ("rto" "(" ("write" | "read") ")" | "outage" ["(" "write" ")"] | "detection")
//	             op duration ["during" fault] .
//	ledger     = ("lost_writes" | "duplicate_writes" | "phantom_writes" | "altered_writes" |
//	             "wrong_values" | "diverged_rows" | "acknowledged_writes") (op | "==") whole .
//	of         = "(" class ")" .
//	op         = "<=" | "<" | ">=" | ">" .
//	duration   = number ("ms" | "s") .
//	rate       = number ("/s" | "/m" | "/h") .
//	phase      = "before" | "at" "peak" | "during" fault | "after" | "outside" "faults" | "throughout" .
//	number     = digit {digit} ["." digit {digit}] .
//	whole      = digit {digit} .
//
// Without a class a metric counts all classes of the load together. Without a phase it counts
// throughout the run, after the warm-up; the metrics of failover then mean the only fault there is.
// `error_ratio == 0` is allowed too. Latency is judged to the precision of a histogram bucket
// (0.1 %), so `<` and `<=` say the same of it.
type Objective struct {
	Text   string  `json:"text"`   // as it was written
	Metric string  `json:"metric"` // p50, p90, p99, p999, max, throughput, error_ratio, failed, rto, outage, lost_writes, ...
	Of     string  `json:"of"`     // the class, or read/write for rto and outage; empty: all classes, or the metric takes none
	Op     string  `json:"op"`     // <=, <, >=, >, ==
	Bound  float64 `json:"bound"`  // in Unit
	Unit   string  `json:"unit"`   // ms, s, /s (rates per minute and hour are converted), ratio, or empty for a count
	Phase  string  `json:"phase"`  // before, peak, "during <fault>", after, "outside faults", throughout; empty for the ledger and for the only fault
}

// The names of phases, in Objective.Phase and Phase.Name. A fault's own phase is named "during "
// and the name of the fault.
const (
	PhaseBefore     = "before"
	PhasePeak       = "peak"
	PhaseAfter      = "after"
	PhaseOutside    = "outside faults"
	PhaseThroughout = "throughout"

	duringPrefix = "during "
)

// maxBoundSeconds bounds durations: a day is longer than any run, and a time.Duration holds it.
const maxBoundSeconds = 86400

// family says which rules a metric is judged by.
type family int

const (
	latencyFamily family = iota + 1
	throughputFamily
	ratioFamily
	countFamily
	failoverFamily
	ledgerFamily
)

// familyOf is the catalogue of metrics; 0 for a name that is none.
func familyOf(metric string) family {
	switch metric {
	case "p50", "p90", "p95", "p99", "p999", "max", "mean":
		return latencyFamily
	case "throughput":
		return throughputFamily
	case "error_ratio":
		return ratioFamily
	case "failed", "unsent":
		return countFamily
	case "rto", "outage", "detection":
		return failoverFamily
	case "lost_writes", "duplicate_writes", "phantom_writes", "altered_writes", "wrong_values",
		"diverged_rows", "acknowledged_writes":
		return ledgerFamily
	}
	return 0
}

// Metrics returns the names of all metrics in the order in which documentation lists them.
func Metrics() []string {
	return []string{
		"p50", "p90", "p95", "p99", "p999", "max", "mean", "throughput", "error_ratio", "failed",
		"unsent", "rto", "outage", "detection", "lost_writes", "duplicate_writes",
		"phantom_writes", "altered_writes", "wrong_values", "diverged_rows", "acknowledged_writes",
	}
}

// Fault returns the name of the fault in whose phase the objective is judged; "" when it is judged
// in another phase, or of the only fault.
func (o Objective) Fault() string {
	fault, found := strings.CutPrefix(o.Phase, duringPrefix)
	if !found {
		return ""
	}
	return fault
}

// String returns the objective in its canonical form, which ParseObjective reads to the same
// objective.
func (o Objective) String() string {
	var b strings.Builder
	b.WriteString(o.Metric)
	if o.Of != "" {
		b.WriteString("(" + o.Of + ")")
	}
	b.WriteString(" " + o.Op + " " + strconv.FormatFloat(o.Bound, 'f', -1, 64))
	if o.Unit != "ratio" {
		b.WriteString(o.Unit)
	}
	switch o.Phase {
	case "":
	case PhasePeak:
		b.WriteString(" at peak")
	default:
		b.WriteString(" " + o.Phase)
	}
	return b.String()
}

// UnmarshalYAML reads one sentence. Its error is a *yaml.TypeError with line and column, so that
// yaml.v3 collects the mistakes of a whole file.
func (o *Objective) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return objectiveError(n, "want a sentence such as \"p99(calculate) <= 300ms\", got a "+nodeKind(n))
	}
	v, err := ParseObjective(n.Value)
	if err != nil {
		return objectiveError(n, err.Error())
	}
	*o = v
	return nil
}

func objectiveError(n *yaml.Node, message string) error {
	return &yaml.TypeError{Errors: []string{
		fmt.Sprintf("line %d: column %d: %s", n.Line, n.Column, message),
	}}
}

func nodeKind(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode {
		return "list"
	}
	return "mapping"
}

// ParseObjective reads one sentence; the grammar is at Objective. Text keeps it as it was written.
// The error quotes the sentence and says what is wrong with it and what the choices are; the
// objective is then the zero value.
func ParseObjective(text string) (Objective, error) {
	s := sentence{rest: strings.TrimSpace(text), o: Objective{Text: text}}
	for _, step := range []func() error{s.metric, s.of, s.op, s.bound, s.phase} {
		if err := step(); err != nil {
			return Objective{}, fmt.Errorf("objective %q: %w", text, err)
		}
	}
	if err := s.o.provesNothing(); err != nil {
		return Objective{}, fmt.Errorf("objective %q: %w", text, err)
	}
	return s.o, nil
}

// sentence is an objective being read: each step takes its part off the front of rest.
type sentence struct {
	rest   string
	o      Objective
	family family
}

// take cuts the longest prefix made of characters that match, then the blanks behind it.
func (s *sentence) take(match func(r rune) bool) string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !match(r) })
	if end < 0 {
		end = len(s.rest)
	}
	word := s.rest[:end]
	s.rest = strings.TrimSpace(s.rest[end:])
	return word
}

func (s *sentence) metric() error {
	name := s.take(func(r rune) bool { return !strings.ContainsRune("(<>= \t\r\n", r) })
	if name == "" {
		return fmt.Errorf("want a metric first; metrics: %s", strings.Join(Metrics(), ", "))
	}
	if s.family = familyOf(name); s.family == 0 {
		return fmt.Errorf("unknown metric %q%s", name, choices(name, "metrics", Metrics()))
	}
	s.o.Metric = name
	return nil
}

func (s *sentence) of() error {
	if inner, found := strings.CutPrefix(s.rest, "("); found {
		name, rest, closed := strings.Cut(inner, ")")
		if !closed {
			return fmt.Errorf("no closing bracket after %q", s.o.Metric+"(")
		}
		if s.o.Of = strings.TrimSpace(name); s.o.Of == "" {
			return fmt.Errorf("nothing between the brackets of %s()", s.o.Metric)
		}
		s.rest = strings.TrimSpace(rest)
	}
	switch {
	case s.o.Metric == "rto" && s.o.Of != "write" && s.o.Of != "read":
		return fmt.Errorf("want rto(write) or rto(read), got %s", s.subject())
	case s.o.Metric == "outage" && s.o.Of == "":
		s.o.Of = "write"
	case s.o.Metric == "outage" && s.o.Of != "write":
		return fmt.Errorf("want outage(write), got %s", s.subject())
	case (s.family == ledgerFamily || s.o.Metric == "detection") && s.o.Of != "":
		return fmt.Errorf("%s takes nothing in brackets, got %s", s.o.Metric, s.subject())
	}
	return nil
}

func (s *sentence) subject() string {
	if s.o.Of == "" {
		return s.o.Metric
	}
	return s.o.Metric + "(" + s.o.Of + ")"
}

func (s *sentence) op() error {
	op := s.take(func(r rune) bool { return strings.ContainsRune("<>=!≤≥≠~", r) })
	s.o.Op = op
	switch op {
	case "<=", "<", ">=", ">":
		return nil
	case "==":
		if s.family == countFamily || s.family == ledgerFamily || s.family == ratioFamily {
			return nil
		}
		return fmt.Errorf("%s cannot be compared with ==; want <=, <, >= or >", s.o.Metric)
	case "":
		return fmt.Errorf("want <=, <, >=, > or == after %s, got %q", s.subject(), s.rest)
	}
	return fmt.Errorf("unknown comparison %q; want <=, <, >=, > or ==", op)
}

// bound reads the number and its unit, and checks both against the metric.
func (s *sentence) bound() error {
	start := s.rest
	isNumber := func(r rune) bool { return r >= '0' && r <= '9' || r == '.' || r == '-' || r == '+' }
	number := s.take(isNumber)
	v, err := strconv.ParseFloat(number, 64)
	plain := strings.Trim(number, "0123456789.") == "" && !strings.HasSuffix(number, ".")
	unit := s.unit(strings.TrimPrefix(start, number))
	if err != nil || !plain || strings.HasPrefix(number, ".") || math.IsInf(v, 0) {
		return fmt.Errorf("want after %s %s, got %q", s.o.Op, s.wantBound(), firstWord(start))
	}
	divisor, normal, ok := s.unitDivisor(unit)
	if !ok {
		return fmt.Errorf("want after %s %s, got %q", s.o.Op, s.wantBound(), number+unit)
	}
	s.o.Bound, s.o.Unit = v/divisor, normal
	switch {
	case (s.family == latencyFamily || s.family == throughputFamily) && s.o.Bound == 0:
		return fmt.Errorf("the bound of %s must be above zero", s.o.Metric)
	case unit == "s" && v > maxBoundSeconds || unit == "ms" && v > 1000*maxBoundSeconds:
		return fmt.Errorf("the bound of %s must be at most %d s, got %s", s.o.Metric, maxBoundSeconds, number+unit)
	case s.family == ratioFamily && s.o.Bound > 1:
		return fmt.Errorf("the bound of %s must be from 0%% to 100%%, got %s", s.o.Metric, number+unit)
	case s.family == ratioFamily && s.o.Op == "==" && s.o.Bound != 0:
		return fmt.Errorf("%s can be compared with == only with 0", s.o.Metric)
	case (s.family == countFamily || s.family == ledgerFamily) && v != math.Trunc(v):
		return fmt.Errorf("want a whole number after %s, got %s", s.o.Op, number)
	}
	return nil
}

// unit takes what follows the number: glued to it, or the next word when it can only be a unit.
func (s *sentence) unit(glued string) string {
	word := firstWord(s.rest)
	if glued == s.rest {
		s.rest = strings.TrimSpace(strings.TrimPrefix(s.rest, word))
		return word
	}
	switch word {
	case "ms", "s", "%", "/s", "/m", "/h":
		s.rest = strings.TrimSpace(strings.TrimPrefix(s.rest, word))
		return word
	}
	return ""
}

// unitDivisor is what a number with this unit is divided by, and the unit that it is then in.
func (s *sentence) unitDivisor(unit string) (divisor float64, normal string, ok bool) {
	switch s.family {
	case latencyFamily, failoverFamily:
		return 1, unit, unit == "ms" || unit == "s"
	case throughputFamily:
		per := map[string]float64{"/s": 1, "/m": 60, "/h": 3600}[unit]
		return per, "/s", per != 0
	case ratioFamily:
		per := map[string]float64{"": 1, "%": 100}[unit]
		return per, "ratio", per != 0
	case countFamily, ledgerFamily:
	}
	return 1, "", unit == ""
}

func (s *sentence) wantBound() string {
	switch s.family {
	case latencyFamily, failoverFamily:
		return "a duration in ms or s, such as 300ms or 5s"
	case throughputFamily:
		return "a rate with its unit, such as 200/s, 50/m or 200000/h"
	case ratioFamily:
		return "a share, such as 0.1% or 0.001"
	case countFamily, ledgerFamily:
	}
	return "a whole number without a unit, such as 0"
}

func (s *sentence) phase() error {
	words := strings.Fields(s.rest)
	text := strings.Join(words, " ")
	fault, during := strings.CutPrefix(text, duringPrefix)
	switch {
	case text == "" && (s.family == ledgerFamily || s.family == failoverFamily):
		return nil
	case text == "":
		s.o.Phase = PhaseThroughout
		return nil
	case s.family == ledgerFamily:
		return fmt.Errorf("%s is counted over the whole run and takes no phase, got %q", s.o.Metric, text)
	case text == "during":
		return errors.New("want the name of a fault after during")
	case during:
		s.o.Phase = duringPrefix + fault
		return nil
	case s.family == failoverFamily:
		return fmt.Errorf("%s belongs to a fault: want \"during <fault>\" or nothing, got %q", s.o.Metric, text)
	case text == "at peak":
		s.o.Phase = PhasePeak
		return nil
	case text == PhaseBefore, text == PhaseAfter, text == PhaseOutside, text == PhaseThroughout:
		s.o.Phase = text
		return nil
	}
	return fmt.Errorf("unknown phase %q%s", text, choices(text, "phases",
		[]string{"before", "at peak", "during <fault>", "after", PhaseOutside, "throughout"}))
}

func firstWord(s string) string {
	if words := strings.Fields(s); len(words) > 0 {
		return words[0]
	}
	return ""
}
