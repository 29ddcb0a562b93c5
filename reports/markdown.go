package reports

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"squall/reports/verdict"
	"strings"
)

// maxMarkdown keeps summary.md far below the 1 MiB at which GitHub drops a step summary, so that
// several runs fit into one job.
const maxMarkdown = 100 << 10

// Rows and runes of one table beyond which a summary is no longer one.
const (
	maxMarkdownRows = 100
	maxMarkdownCell = 240
	maxMarkdownLine = 1000 // of what must be read whole: the audit's sentence, the command
)

// Markdown writes summary.md, made for $GITHUB_STEP_SUMMARY: less than 100 KiB, with the verdict
// first and what was missed before what was met. Each part has its share of the bytes; what did not
// fit is counted, by outcome, and stands in report.html.
func Markdown(w io.Writer, rec *Record) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s %s: %s\n\n", mark(rec.Outcome), strings.ToUpper(string(rec.Outcome)),
		plainMD(rec.Scenario))
	if rec.Question != "" {
		fmt.Fprintf(&b, "> %s\n\n", plainMD(rec.Question))
	}
	fmt.Fprintf(&b, "%s Exit code %d.\n\n", sentence(rec.Outcome), rec.ExitCode)
	markdownList(&b, "reason", rec.why(), 12<<10)
	fmt.Fprintf(&b, "\n%s planned, %s sent, %s unsent, %s failed (%s bad) in %s; p50 %s, p99 %s, max %s.\n",
		plural(rec.Load.Planned, "request"), count(rec.Load.Sent), count(rec.Load.Unsent),
		count(rec.Load.Failed), badShare(rec.Load.Planned, rec.Load.ErrorRatio()), timeS(rec.Duration),
		latency(rec.Load.P50), latency(rec.Load.P99), latency(rec.Load.Max))
	for _, t := range []table{objectiveTable(rec), faultTable(rec), failoverTable(rec)} {
		t.write(&b)
	}
	if len(rec.Unplanned) > 0 {
		unplannedTable(rec).write(&b)
	}
	fmt.Fprintf(&b, "\n### Audit of the ledger\n\n%s\n", escapeMD(clip(Visible(auditLine(rec.Audit)), maxMarkdownLine)))
	if len(rec.Audit.Examples) > 0 {
		b.WriteString("\n")
	}
	markdownList(&b, "example", rec.Audit.Examples, 8<<10)
	fmt.Fprintf(&b, "\n### Repeat\n\nSeed `%d`, squall %s, %s, %.1f GiB:\n\n    %s\n", rec.Seed,
		codeMD(rec.Environment.SquallVersion), plural(rec.Environment.Cores, "core"),
		float64(rec.Environment.MemoryBytes)/(1<<30), clip(Visible(rec.Command), maxMarkdownLine))
	_, err := w.Write(atMost(b.Bytes(), maxMarkdown))
	return err
}

// markdownList writes up to 20 texts and limit bytes, and how many more there are.
func markdownList(b *bytes.Buffer, noun string, texts []string, limit int) {
	end := b.Len() + limit
	for n, text := range texts {
		line := fmt.Sprintf("- %s\n", plainMD(text))
		if n == 20 || b.Len()+len(line) > end {
			fmt.Fprintf(b, "- and %s more in report.html\n", plural(len(texts)-n, noun))
			return
		}
		b.WriteString(line)
	}
}

// table is one table of the summary.
type table struct {
	title    string
	head     []string
	rows     [][]string
	outcomes []verdict.Outcome // of the rows; empty where a row has none
	code     int               // the column that becomes a code span; -1: none
	limit    int               // bytes
}

// write writes the rows that fit under the heading, and says how many of which outcome did not.
func (t table) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### %s\n\n", t.title)
	if len(t.rows) == 0 {
		b.WriteString("None.\n")
		return
	}
	end := b.Len() + t.limit
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat(" --- |", len(t.head)))
	for n, row := range t.rows {
		line := t.line(row)
		if n == maxMarkdownRows || b.Len()+len(line) > end {
			fmt.Fprintf(b, "\n**Left out: %s.** All of them stand in report.html.\n", t.leftOut(n))
			return
		}
		b.WriteString(line)
	}
}

func (t table) line(row []string) string {
	var b strings.Builder
	for i, cell := range row {
		text := plainMD(cell)
		if i == t.code {
			text = codeMD(cell)
		}
		fmt.Fprintf(&b, "| %s ", text)
	}
	b.WriteString("|\n")
	return b.String()
}

// leftOut counts the rows from n on, by outcome where they have one: "2 missed, 31 met".
func (t table) leftOut(n int) string {
	if len(t.outcomes) == 0 {
		return plural(len(t.rows)-n, "row")
	}
	var parts []string
	for _, o := range []verdict.Outcome{verdict.Error, verdict.Missed, verdict.Inconclusive, verdict.Met} {
		number := 0
		for _, other := range t.outcomes[n:] {
			if other == o {
				number++
			}
		}
		if number > 0 {
			parts = append(parts, count(number)+" "+string(o))
		}
	}
	return strings.Join(parts, ", ")
}

// objectiveTable has the missed first, then what was not decided: a late miss must not be cut off.
func objectiveTable(rec *Record) table {
	t := table{
		title: "Objectives", head: []string{"", "objective", "value", "bound", "samples", "phase", "why"},
		code: 1, limit: 36 << 10,
	}
	sorted := slices.Clone(rec.Objectives)
	slices.SortStableFunc(sorted, func(a, b Objective) int { return urgency(a.Outcome) - urgency(b.Outcome) })
	for _, o := range sorted {
		value, bound := o.texts()
		t.rows = append(t.rows, []string{
			mark(o.Outcome) + " " + string(o.Outcome), o.Text, value,
			bound, count(o.Samples), o.Phase, o.Why,
		})
		t.outcomes = append(t.outcomes, o.Outcome)
	}
	return t
}

// urgency orders the outcomes of objectives: the lowest must be read first.
func urgency(o verdict.Outcome) int {
	switch o {
	case verdict.Missed:
		return 0
	case verdict.Met:
		return 2
	default:
		return 1
	}
}

func faultTable(rec *Record) table {
	t := table{title: "Faults: requested and measured", head: []string{
		"fault", "kind", "target", "requested",
		"effective", "ended", "measured effect", "felt", "undone",
	}, limit: 14 << 10}
	for _, i := range rec.Injections {
		effect := i.Effect.Summary
		if i.Error != "" {
			effect = strings.TrimSpace(effect + " error: " + i.Error)
		}
		t.rows = append(t.rows, []string{
			i.Fault, i.Kind, i.Target, timeS(i.Requested),
			timeOr(i.Effective, "never"), timeOr(i.Ended, "–"), effect, yesNo(i.Felt), yesNo(i.Undone),
		})
		t.outcomes = append(t.outcomes, i.outcome())
	}
	return t
}

func failoverTable(rec *Record) table {
	t := table{title: "Failover, seen by the clients", head: []string{
		"fault", "detected", "RTO write",
		"RTO read", "longest outage", "full redundancy", "precision",
	}, limit: 8 << 10}
	for _, f := range rec.Failover {
		t.rows = append(t.rows, []string{
			f.Injection, timeOr(f.Detection, "no probe failed"),
			rto(f.RTOWrite, f.Write), rto(f.RTORead, f.Read), timeOr(f.Outage, "–"),
			timeOr(f.Resolution, "not verified"), "± " + timeS(f.Precision),
		})
	}
	return t
}

func unplannedTable(rec *Record) table {
	t := table{
		title: "Unplanned: what no fault asked for", head: []string{"at", "what", "whose doing", "why"},
		code: -1, limit: 8 << 10,
	}
	for _, u := range rec.Unplanned {
		t.rows = append(t.rows, []string{timeS(u.At), u.Text, u.Doing(), u.Why})
	}
	return t
}

// Doing says whose it was.
func (u Unplanned) Doing() string {
	if u.HostStoodStill {
		return "the host's"
	}
	return "the target's own"
}

// atMost cuts at the end of a line so that the result, with the note about it, fits into limit.
func atMost(content []byte, limit int) []byte {
	if len(content) < limit {
		return content
	}
	const note = "\n_Cut here: the rest stands in report.html._\n"
	content = content[:limit-len(note)-1]
	return append(content[:bytes.LastIndexByte(content, '\n')+1:len(content)], note...)
}
