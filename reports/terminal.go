package reports

import (
	"bytes"
	"fmt"
	"io"
	"squall/reports/verdict"
	"strings"
	"unicode/utf8"
)

// maxTerminalRows is how many changes the end of a run shows; the others stand in result.json.
const maxTerminalRows = 10

// Terminal writes the verdict as text for the end of a run: outcome, objectives, faults, failover
// and audit in aligned columns. With color it uses ANSI colours; the marks tell the same without.
func Terminal(w io.Writer, rec *Record, color bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s\n", paint(rec.Outcome, color, mark(rec.Outcome)+" "+strings.ToUpper(string(rec.Outcome))),
		Visible(rec.Scenario))
	if rec.Question != "" {
		fmt.Fprintf(&b, "  %s\n", Visible(rec.Question))
	}
	why := rec.why()
	for _, reason := range why[:min(len(why), 8)] {
		fmt.Fprintf(&b, "  %s\n", Visible(reason))
	}
	if len(why) > 8 {
		fmt.Fprintf(&b, "  and %s more in result.json\n", plural(len(why)-8, "reason"))
	}
	fmt.Fprintf(&b, "\nload  %s planned, %s ok, %s failed, %s unsent (%s bad); p50 %s, p99 %s, max %s\n",
		count(rec.Load.Planned), count(rec.Load.OK), count(rec.Load.Failed), count(rec.Load.Unsent),
		badShare(rec.Load.Planned, rec.Load.ErrorRatio()), latency(rec.Load.P50), latency(rec.Load.P99), latency(rec.Load.Max))
	rows := [][]string{}
	outcomes := []verdict.Outcome{}
	for _, o := range rec.Objectives {
		word := ""
		if o.Outcome != verdict.Met {
			word = strings.ToUpper(string(o.Outcome))
		}
		value, bound := o.texts()
		rows = append(rows, []string{
			mark(o.Outcome), o.Text, value, bound,
			plural(o.Samples, "sample"), word,
		})
		outcomes = append(outcomes, o.Outcome)
	}
	columns(&b, "objectives", rows, outcomes, color)
	rows, outcomes = nil, nil
	for _, i := range rec.Injections {
		outcome := i.outcome()
		state := map[verdict.Outcome]string{
			verdict.Met: "felt, undone", verdict.Inconclusive: "NOT FELT", verdict.Error: "NOT UNDONE",
		}[outcome]
		rows = append(rows, []string{
			mark(outcome), i.Fault, i.Kind, i.Target,
			timeOr(i.Effective, "never") + " to " + timeOr(i.Ended, "–"), state, i.Effect.Summary,
		})
		outcomes = append(outcomes, outcome)
	}
	columns(&b, "faults", rows, outcomes, color)
	rows = nil
	for _, f := range rec.Failover {
		rows = append(rows, []string{
			"", f.Injection, "write " + rto(f.RTOWrite, f.Write), "read " + rto(f.RTORead, f.Read),
			"outage " + timeOr(f.Outage, "–"), "redundant " + timeOr(f.Resolution, "not verified"),
			"± " + timeS(f.Precision),
		})
	}
	columns(&b, "failover", rows, nil, color)
	terminalUnplanned(&b, rec.Unplanned, color)
	fmt.Fprintf(&b, "\naudit\n  %s\n", Visible(auditLine(rec.Audit)))
	examples := rec.Audit.Examples
	for _, e := range examples[:min(len(examples), 5)] {
		fmt.Fprintf(&b, "    %s\n", Visible(e))
	}
	if len(examples) > 5 {
		fmt.Fprintf(&b, "    and %s more in result.json\n", plural(len(examples)-5, "example"))
	}
	fmt.Fprintf(&b, "\nrepeat  %s\n", Visible(rec.Command))
	_, err := w.Write(b.Bytes())
	return err
}

func terminalUnplanned(b *bytes.Buffer, list []Unplanned, color bool) {
	var rows [][]string
	var outcomes []verdict.Outcome
	for _, u := range list[:min(len(list), maxTerminalRows)] {
		outcome := verdict.Inconclusive
		if u.HostStoodStill {
			outcome = verdict.Invalid
		}
		rows = append(rows, []string{mark(outcome), timeS(u.At), u.Text, u.Doing() + " doing", u.Why})
		outcomes = append(outcomes, outcome)
	}
	columns(b, "unplanned", rows, outcomes, color)
	if more := len(list) - len(rows); more > 0 {
		fmt.Fprintf(b, "  and %s more in result.json\n", plural(more, "change"))
	}
}

// columns writes a titled table whose first cell is a mark, painted by the outcome of its row.
// Nothing is written for no rows.
func columns(b *bytes.Buffer, title string, rows [][]string, outcomes []verdict.Outcome, color bool) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = clip(Visible(row[i]), 90)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for r, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padded := cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 && r < len(outcomes) {
				padded = paint(outcomes[r], color, padded)
			}
			line.WriteString("  " + padded)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// paint colours a text by outcome: green, red or yellow, bold.
func paint(o verdict.Outcome, color bool, text string) string { //nolint:revive // a property of the terminal, handed down
	if !color {
		return text
	}
	code := "33"
	switch o {
	case verdict.Met:
		code = "32"
	case verdict.Missed, verdict.Error:
		code = "31"
	case verdict.Inconclusive, verdict.Invalid, verdict.Aborted:
	}
	return "\x1b[1;" + code + "m" + text + "\x1b[0m"
}
