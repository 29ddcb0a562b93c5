package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxMarkdown keeps summary.md far below the 1 MiB at which GitHub drops a step summary, so that
// several runs fit into one job.
const maxMarkdown = 100 << 10

// Rows and runes of one table beyond which a summary is no longer one.
const (
	maxMarkdownRows = 100
	maxMarkdownCell = 240
)

// Markdown writes summary.md, made for $GITHUB_STEP_SUMMARY: less than 100 KiB, with the verdict
// first. What did not fit is said, and stands in report.html.
func Markdown(w io.Writer, rec *Record) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s %s: %s\n\n", mark(rec.Outcome), strings.ToUpper(string(rec.Outcome)),
		plainMD(rec.Scenario))
	if rec.Question != "" {
		fmt.Fprintf(&b, "> %s\n\n", plainMD(rec.Question))
	}
	fmt.Fprintf(&b, "%s Exit code %d.\n\n", sentence(rec.Outcome), rec.ExitCode)
	for _, reason := range rec.why()[:min(len(rec.why()), 20)] {
		fmt.Fprintf(&b, "- %s\n", plainMD(reason))
	}
	fmt.Fprintf(&b, "\n%s planned, %s sent, %s unsent, %s failed (%s bad) in %s; p50 %s, p99 %s, max %s.\n",
		plural(rec.Load.Planned, "request"), count(rec.Load.Sent), count(rec.Load.Unsent),
		count(rec.Load.Failed), badShare(rec.Load.Planned, rec.Load.ErrorRatio()), timeS(rec.Duration),
		latency(rec.Load.P50), latency(rec.Load.P99), latency(rec.Load.Max))
	markdownTable(&b, "Objectives", []string{"", "objective", "value", "bound", "samples", "phase", "why"},
		objectiveRows(rec), 1)
	markdownTable(&b, "Faults: requested and measured", []string{
		"fault", "kind", "target", "requested",
		"effective", "ended", "measured effect", "felt", "undone",
	}, faultRows(rec), 0)
	markdownTable(&b, "Failover, seen by the clients", []string{
		"fault", "detected", "RTO write",
		"RTO read", "longest outage", "full redundancy", "precision",
	}, failoverRows(rec), 0)
	if len(rec.Unplanned) > 0 {
		markdownTable(&b, "Unplanned: what no fault asked for", []string{"at", "what", "whose doing", "why"},
			unplannedRows(rec), -1)
	}
	fmt.Fprintf(&b, "\n### Audit of the ledger\n\n%s\n", plainMD(auditLine(rec.Audit)))
	if len(rec.Audit.Examples) > 0 {
		b.WriteString("\n")
	}
	for _, example := range rec.Audit.Examples[:min(len(rec.Audit.Examples), 20)] {
		fmt.Fprintf(&b, "- %s\n", plainMD(example))
	}
	fmt.Fprintf(&b, "\n### Repeat\n\nSeed `%d`, squall %s, %s, %.1f GiB:\n\n    %s\n", rec.Seed,
		codeMD(rec.Environment.SquallVersion), plural(rec.Environment.Cores, "core"),
		float64(rec.Environment.MemoryBytes)/(1<<30), visible(rec.Command))
	_, err := w.Write(atMost(b.Bytes(), maxMarkdown))
	return err
}

// markdownTable writes rows under a heading; the cell of column code becomes a code span.
func markdownTable(b *bytes.Buffer, title string, head []string, rows [][]string, code int) {
	fmt.Fprintf(b, "\n### %s\n\n", title)
	if len(rows) == 0 {
		b.WriteString("None.\n")
		return
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, row := range rows[:min(len(rows), maxMarkdownRows)] {
		for i, cell := range row {
			if i == code {
				fmt.Fprintf(b, "| %s ", codeMD(cell))
				continue
			}
			fmt.Fprintf(b, "| %s ", plainMD(cell))
		}
		b.WriteString("|\n")
	}
	if more := len(rows) - maxMarkdownRows; more > 0 {
		fmt.Fprintf(b, "\n%s more in report.html.\n", count(more))
	}
}

// objectiveRows, faultRows, failoverRows and unplannedRows are the tables that every text view shows.
func objectiveRows(rec *Record) [][]string {
	var rows [][]string
	for _, o := range rec.Objectives {
		value, bound := o.texts()
		rows = append(rows, []string{
			mark(o.Outcome) + " " + string(o.Outcome), o.Text, value,
			bound, count(o.Samples), o.Phase, o.Why,
		})
	}
	return rows
}

func faultRows(rec *Record) [][]string {
	var rows [][]string
	for _, i := range rec.Injections {
		effect := i.Effect.Summary
		if i.Error != "" {
			effect = strings.TrimSpace(effect + " error: " + i.Error)
		}
		rows = append(rows, []string{
			i.Fault, i.Kind, i.Target, timeS(i.Requested),
			timeOr(i.Effective, "never"), timeOr(i.Ended, "–"), effect, yesNo(i.Felt), yesNo(i.Undone),
		})
	}
	return rows
}

func failoverRows(rec *Record) [][]string {
	var rows [][]string
	for _, f := range rec.Failover {
		rows = append(rows, []string{
			f.Injection, timeOr(f.Detection, "no probe failed"),
			rto(f.RTOWrite), rto(f.RTORead), timeOr(f.Outage, "–"),
			timeOr(f.Resolution, "not verified"), "± " + timeS(f.Precision),
		})
	}
	return rows
}

func unplannedRows(rec *Record) [][]string {
	var rows [][]string
	for _, u := range rec.Unplanned {
		rows = append(rows, []string{timeS(u.At), u.Text, u.Doing(), u.Why})
	}
	return rows
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
