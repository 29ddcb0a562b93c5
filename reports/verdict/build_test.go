package verdict

import (
	"fmt"
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

// run builds small recordings by hand.
type run struct {
	Input
}

// newRun is an empty run of a trustworthy generator with a schedule of so many seconds at 100/s.
func newRun(seconds int) *run {
	r := &run{Input{Recording: &loadgen.Recording{
		Duration: time.Duration(seconds) * time.Second, ProbeEvery: 200 * time.Millisecond,
		Health: loadgen.Health{Valid: true},
	}}}
	for s := range seconds {
		r.Planned = append(r.Planned, PlannedSecond{At: s, Rate: 100})
	}
	return r
}

func (r *run) objectives(t *testing.T, texts ...string) *run {
	t.Helper()
	for _, text := range texts {
		o, err := ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Objectives = append(r.Objectives, o)
	}
	return r
}

// second is what one class saw in one second: n requests answered after each of the latencies, and
// others that ended otherwise.
type second struct {
	answers                   map[time.Duration]int
	timeout, rejected, unsent uint64
	units                     uint64 // 0: one for each answer
}

// answers is a second of n requests answered in the same time.
func answers(n int, latency time.Duration) second {
	return second{answers: map[time.Duration]int{latency: n}}
}

// seconds plays the same second from the first to before the last.
func (r *run) seconds(class string, first, last int, s second) *run {
	for at := first; at < last; at++ {
		row := loadgen.Second{At: at, Class: class, Units: s.units}
		for latency, n := range s.answers {
			for range n {
				row.Response.Record(latency)
			}
			row.OK += uint64(n)
		}
		for range s.timeout {
			row.Response.Record(5 * time.Second)
		}
		if row.Units == 0 {
			row.Units = row.OK
		}
		row.Timeout, row.Rejected, row.Unsent = s.timeout, s.rejected, s.unsent
		row.Sent = row.OK + row.Failed()
		row.Planned = row.Sent + row.Unsent
		r.Recording.Seconds = append(r.Recording.Seconds, row)
	}
	return r
}

// fault adds an injection that was felt and undone.
func (r *run) fault(name string, effective, ended time.Duration) *run {
	r.Injections = append(r.Injections, chaos.Injection{
		Fault: name, Kind: "kill", Requested: effective, Effective: effective, Ended: ended,
		Settle: 2 * time.Second, Felt: true, Undone: true, Resolution: 4 * time.Second,
	})
	return r
}

// probes plays all four series up to the end, every 200 ms; those due in [from, to) fail, with a
// timeout of a second.
func (r *run) probes(end time.Duration, from, to time.Duration) *run {
	for _, series := range []string{"write-fresh", "write-pooled", "read-fresh", "read-pooled"} {
		r.series(series, end, from, to)
	}
	return r
}

func (r *run) series(series string, end time.Duration, from, to time.Duration) *run {
	for due := time.Duration(0); due < end; due += r.Recording.ProbeEvery {
		p := loadgen.Probe{Series: series, Due: due, Done: due + 10*time.Millisecond, OK: true}
		if from <= due && due < to {
			p.OK, p.Error, p.Done = false, "timeout", due+time.Second
		}
		r.Recording.Probes = append(r.Recording.Probes, p)
	}
	return r
}

// writes adds n acknowledged writes with their receipts, and the rows that prove them on a primary
// and two standbys.
func (r *run) writes(n int) *run {
	r.Recording.Writes, r.Ledger = history(n)
	return r
}

// history is n acknowledged writes and three nodes that all have them.
func history(n int) ([]loadgen.Write, []NodeLedger) {
	writes := make([]loadgen.Write, 0, n)
	ledgers := []NodeLedger{
		{Node: "db-1", Role: "primary", Complete: true},
		{Node: "db-2", Role: "standby", Complete: true},
		{Node: "replica-1", Role: "replica", Complete: true},
	}
	for i := range n {
		w := loadgen.Write{
			Key: fmt.Sprintf("k%03d", i), Class: "calculate", State: loadgen.WriteAcknowledged,
			Due: time.Duration(i) * 10 * time.Millisecond, Done: time.Duration(i)*10*time.Millisecond + 5*time.Millisecond,
			ID: fmt.Sprintf("id%03d", i), Hash: fmt.Sprintf("hash%03d", i),
			Value: fmt.Sprintf("%d.50", i), Expected: fmt.Sprintf("%d.5", i),
		}
		writes = append(writes, w)
		for l := range ledgers {
			ledgers[l].Rows = append(ledgers[l].Rows, LedgerRow{Key: w.Key, ID: w.ID, Hash: w.Hash, Value: w.Value})
		}
	}
	return writes, ledgers
}

// verdictText prints what a person would read of a verdict.
func verdictText(v Verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, exit code %d\n", v.Outcome, v.ExitCode)
	for _, reason := range v.Reasons {
		fmt.Fprintf(&b, "  because %s\n", reason)
	}
	for _, r := range v.Objectives {
		fmt.Fprintf(&b, "  %s: %s: %s, %d samples, phase %q: %s\n", r.Outcome, r.Text, r.valueText(), r.Samples, r.Phase, r.Why)
	}
	return b.String()
}
