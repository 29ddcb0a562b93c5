package reports

import (
	"fmt"
	"io"
	"slices"
	"squall/reports/verdict"
	"text/tabwriter"
)

// Repeats writes what several runs of one scenario have in common: the outcomes and, for each
// injection, min, median and max of the failover figures over the runs that have them.
func Repeats(w io.Writer, runs []Run) error {
	outcomes := map[verdict.Outcome]int{}
	figures := map[string][]float64{}
	var order []string
	add := func(name string, v *float64) {
		if v == nil {
			return
		}
		if _, seen := figures[name]; !seen {
			order = append(order, name)
		}
		figures[name] = append(figures[name], *v)
	}
	for _, run := range runs {
		outcomes[run.Verdict.Outcome]++
		for _, f := range run.Verdict.Failover {
			add(f.Injection+" detection", f.Detection)
			add(f.Injection+" rto(write)", f.RTOWrite)
			add(f.Injection+" rto(read)", f.RTORead)
			add(f.Injection+" outage", f.Outage)
		}
	}
	fmt.Fprintf(w, "\n%d runs:", len(runs))
	for _, o := range runOutcomes() {
		if outcomes[o] > 0 {
			fmt.Fprintf(w, " %d %s", outcomes[o], o)
		}
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "seconds\tmin\tmedian\tmax\truns")
	for _, name := range order {
		values := slices.Sorted(slices.Values(figures[name]))
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.2f\t%d of %d\n", Visible(name), values[0],
			median(values), values[len(values)-1], len(values), len(runs))
	}
	return table.Flush()
}

// median of sorted values; the mean of the middle two when their number is even.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
