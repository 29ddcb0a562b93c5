package scenarios

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"squall/reports"
	"squall/target"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// The size of the chart of the rate, in characters.
const (
	chartWidth = 72
	chartRows  = 6
	axisWidth  = 7 // of the figures at its left
)

// Print writes the plan for people: the seed first, then the rate as a chart with the faults marked
// under it, then tables. The same plan gives the same bytes. The error is the writer's.
func (p Plan) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\nscenario %s\n", p.Seed, p.Scenario)
	for _, line := range wrapped(p.Question, axisWidth+2+chartWidth) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nload: %s for %s, %s requests, %s arrivals, timeout %s\n\n", p.load.Profile.Kind,
		short(p.Duration), thousands(float64(p.Requests)), p.load.Arrivals, short(p.load.Timeout))
	p.printChart(&b)
	p.printTimeline(&b)
	p.printClasses(&b)
	p.printPhases(&b)
	p.printObjectives(&b)
	p.printNodes(&b)
	_, err := io.WriteString(w, reports.VisibleLines(b.String())) // a question may hold anything
	return err
}

// printChart draws the rate over time, a time axis, and a bar for each fault: solid while it is kept
// up, light while it settles.
func (p Plan) printChart(b *strings.Builder) {
	columns := p.chartColumns()
	top := slices.Max(columns)
	fmt.Fprintf(b, "%*s\n", axisWidth, "req/s")
	blocks := []rune(" ▁▂▃▄▅▆▇█")
	steps := len(blocks) - 1
	for row := chartRows - 1; row >= 0; row-- {
		label := ""
		switch row {
		case chartRows - 1:
			label = strconv.FormatFloat(top, 'f', 1, 64)
		case 0:
			label = "0"
		}
		fmt.Fprintf(b, "%*s |", axisWidth, label)
		var line strings.Builder
		for _, rate := range columns {
			height := int(math.Round(rate / max(top, math.SmallestNonzeroFloat64) * float64(chartRows*steps)))
			line.WriteRune(blocks[min(max(height-row*steps, 0), steps)])
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	fmt.Fprintf(b, "%*s +%s\n", axisWidth, "", strings.Repeat("-", chartWidth))
	fmt.Fprintf(b, "%*s  %s\n", axisWidth, "", p.axis())
	for _, f := range p.Faults {
		start, end, settled := p.column(f.At), p.column(f.End), p.column(f.Settled)
		bar := strings.Repeat(" ", start) + strings.Repeat("█", max(end-start, 1)) +
			strings.Repeat("░", max(settled-max(end, start+1), 0))
		fmt.Fprintf(b, "%*s  %s %s\n", axisWidth, "", bar, f.Name)
	}
}

// chartColumns is the mean rate in each column of the chart.
func (p Plan) chartColumns() []float64 {
	const samples = 8
	columns := make([]float64, chartWidth)
	for i := range columns {
		for j := range samples {
			share := (float64(i) + (float64(j)+0.5)/samples) / chartWidth
			columns[i] += p.Schedule.Rate(time.Duration(share*float64(p.Duration))) / samples
		}
	}
	return columns
}

// column is where an instant lies in the chart.
func (p Plan) column(at time.Duration) int {
	return min(int(math.Round(float64(at)/float64(p.Duration)*chartWidth)), chartWidth)
}

// axis writes an instant under every sixth of the chart.
func (p Plan) axis() string {
	const parts = 6
	precision := time.Second / 10
	if p.Duration < 10*time.Second {
		precision = time.Millisecond
	}
	var line strings.Builder
	for i := range parts {
		at := time.Duration(float64(p.Duration) * float64(i) / parts).Round(precision)
		fmt.Fprintf(&line, "%-*s", chartWidth/parts, short(at))
	}
	return line.String() + short(p.Duration)
}

// printTimeline lists every planned instant in order.
func (p Plan) printTimeline(b *strings.Builder) {
	type event struct {
		at   time.Duration
		text string
	}
	events := []event{
		{0, "load begins; probes of each series every " + short(p.Probes.Every)},
		{p.Duration, "load ends; ledger read back from every database node"},
	}
	if p.WarmUp > 0 {
		events = append(events, event{p.WarmUp, "warm-up over: from here on it counts"})
	}
	for _, f := range p.Faults {
		events = append(events, event{f.At, f.Name + ": " + f.What},
			event{f.End, f.Name + ": ended"}, event{f.Settled, f.Name + ": settled"})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	b.WriteString("\ntimeline\n")
	for _, e := range events {
		fmt.Fprintf(b, "  %8s  %s\n", short(e.at), e.text)
	}
}

func (p Plan) printClasses(b *strings.Builder) {
	b.WriteString("\nclasses\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "class\tshare\texpected\tbusiest second\tper hour\t")
	for _, c := range p.Classes {
		fmt.Fprintf(t, "%s\t%.1f%%\t%s\t%.1f/s\t%s/h\t\n", c.Name, 100*c.Share,
			thousands(c.Expected), c.Peak, thousands(3600*c.Peak))
	}
	_ = t.Flush() // a strings.Builder never fails
}

func (p Plan) printPhases(b *strings.Builder) {
	b.WriteString("\nphases, if every fault begins and ends on time\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tfrom\tto\tseconds judged\tmean rate\tper hour\t")
	for _, f := range p.Phases {
		fmt.Fprintf(t, "%s\t%ds\t%ds\t%d\t%.1f/s\t%s/h\t\n", f.Name, f.Start, f.End, f.Seconds, f.Rate,
			thousands(3600*f.Rate))
	}
	_ = t.Flush() // a strings.Builder never fails
}

// printObjectives sets beside each objective how many requests there will be to judge it by.
func (p Plan) printObjectives(b *strings.Builder) {
	b.WriteString("\nobjectives, and the requests that they are judged by\n")
	widest := 0
	for _, o := range p.Objectives {
		widest = max(widest, len(o.Text))
	}
	for _, o := range p.Objectives {
		line := fmt.Sprintf("  %-*s", widest, o.Text)
		if o.Samples > 0 {
			line += "  about " + thousands(o.Samples)
		}
		if o.Needed > 0 {
			line += fmt.Sprintf(", at least %s needed", thousands(float64(o.Needed)))
		}
		if o.Samples < float64(o.Needed) {
			line += ": too few to prove it"
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}

func (p Plan) printNodes(b *strings.Builder) {
	b.WriteString("\nnodes that will be started\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "role\tcount\tcores each\tmemory each\t")
	for _, n := range p.Nodes {
		cores, memory := "no limit", "no limit"
		if n.CPU > 0 {
			cores = strconv.FormatFloat(n.CPU, 'g', -1, 64)
		}
		if n.Memory > 0 {
			memory = sizeInWords(n.Memory)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t\n", n.Role, n.Count, cores, memory)
	}
	_ = t.Flush() // a strings.Builder never fails
}

// sizeInWords prints a size in the largest binary unit that fits it exactly to a tenth.
func sizeInWords(n target.Bytes) string {
	units := []struct {
		name string
		size target.Bytes
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
	for _, u := range units {
		if n >= u.size {
			return strconv.FormatFloat(math.Round(10*float64(n)/float64(u.size))/10, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10) + "B"
}

// wrapped breaks a text into lines of at most width bytes where its words allow it.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// thousands prints a number rounded to a whole, with commas: 200,000.
func thousands(v float64) string {
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
