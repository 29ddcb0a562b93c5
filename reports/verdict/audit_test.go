package verdict

import (
	"slices"
	"squall/loadgen"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clean is the audit of an untouched history of n writes.
func clean(n int) Audit {
	return Audit{Acknowledged: n, Complete: true, CheckedNodes: []string{"db-1", "db-2", "replica-1"}, Examples: []string{}}
}

// TestAuditLedger plants one fault at a time in a good history of ten writes: each must be found,
// counted once, and named.
func TestAuditLedger(t *testing.T) {
	type rows = []LedgerRow
	everywhere := func(ledgers []NodeLedger, change func(rows) rows) {
		for n := range ledgers {
			ledgers[n].Rows = change(ledgers[n].Rows)
		}
	}
	tests := []struct {
		name   string
		plant  func(writes []loadgen.Write, ledgers []NodeLedger) ([]loadgen.Write, []NodeLedger)
		change func(want *Audit)
		says   string // part of the first example
	}{
		{name: "an untouched history is clean"},
		{
			name: "a row removed from every node is lost",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				everywhere(l, func(r rows) rows { return slices.Delete(r, 3, 4) })
				return w, l
			},
			change: func(a *Audit) { a.Lost = 1 },
			says:   "key k003 (calculate), acknowledged at 0.035 s, is missing on db-1\n",
		},
		{
			name: "a row removed from the primary alone is lost, and its copies diverge",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[0].Rows = slices.Delete(l[0].Rows, 3, 4)
				return w, l
			},
			change: func(a *Audit) { a.Lost, a.Diverged = 1, 2 },
			says:   "k003 (calculate), acknowledged at 0.035 s, is missing on db-1, though present on db-2, replica-1",
		},
		{
			name: "a row removed from a standby has diverged",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[1].Rows = slices.Delete(l[1].Rows, 3, 4)
				return w, l
			},
			change: func(a *Audit) { a.Diverged = 1 },
			says:   "key k003 (calculate) is on db-1 and missing on db-2",
		},
		{
			name: "a row altered on a standby has diverged",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[2].Rows[5].Hash = "other"
				return w, l
			},
			change: func(a *Audit) { a.Diverged = 1 },
			says:   "key k005 (calculate) is not the same on db-1 and replica-1",
		},
		{
			name: "a row that only a standby has, has diverged",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[1].Rows = append(l[1].Rows, LedgerRow{Key: "zombie", ID: "z"})
				return w, l
			},
			change: func(a *Audit) { a.Diverged = 1 },
			says:   "key zombie is on db-2 and missing on db-1",
		},
		{
			name: "a row twice is a duplicate, counted once for all nodes",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				everywhere(l, func(r rows) rows { return append(r, r[3], r[3]) })
				return w, l
			},
			change: func(a *Audit) { a.Duplicate = 1 },
			says:   "key k003 has 3 rows on db-1",
		},
		{
			name: "a row twice on a standby only is a duplicate and has diverged",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[1].Rows = append(l[1].Rows, l[1].Rows[3])
				return w, l
			},
			change: func(a *Audit) { a.Duplicate, a.Diverged = 1, 1 },
			says:   "key k003 has 2 rows on db-2",
		},
		{
			name: "one key acknowledged with two ids is a duplicate",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				again := w[4]
				again.ID = "idABC"
				return append(w, again), l
			},
			change: func(a *Audit) { a.Duplicate = 1 },
			says:   "key k004 (calculate) was acknowledged twice, as id004 and as idABC",
		},
		{
			name: "one key acknowledged twice with one id is one write",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return append(w, w[4]), l
			},
		},
		{
			name: "a row that nobody asked for is a phantom",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				everywhere(l, func(r rows) rows { return append(r, LedgerRow{Key: "stranger", ID: "s", Value: "1"}) })
				return w, l
			},
			change: func(a *Audit) { a.Phantom = 1 },
			says:   "key stranger is on db-1 and was never asked for",
		},
		{
			name: "a refused write that exists is a phantom",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[6].State, w[6].ID, w[6].Hash, w[6].Value = loadgen.WriteRefused, "", "", ""
				return w, l
			},
			change: func(a *Audit) { a.Acknowledged, a.Refused, a.Phantom = 9, 1, 1 },
			says:   "key k006 (calculate) was refused at 0.065 s and is on db-1 all the same",
		},
		{
			name: "a refused write that does not exist is fine",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return append(w, loadgen.Write{Key: "r", State: loadgen.WriteRefused, Expected: "1"}), l
			},
			change: func(a *Audit) { a.Refused = 1 },
		},
		{
			name: "a refused attempt behind an acknowledged one is no phantom",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				refused := loadgen.Write{Key: w[2].Key, State: loadgen.WriteRefused}
				return append([]loadgen.Write{refused}, w...), l
			},
		},
		{
			name: "an unknown write that exists is recovered, one that does not is fine",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[6].State, w[6].ID, w[6].Hash, w[6].Value = loadgen.WriteUnknown, "", "", ""
				return append(w, loadgen.Write{Key: "u", State: loadgen.WriteUnknown, Expected: "1"}), l
			},
			change: func(a *Audit) { a.Acknowledged, a.Unknown, a.Recovered = 9, 2, 1 },
		},
		{
			name: "a recovered write with a wrong value is wrong",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[6].State, w[6].ID, w[6].Hash, w[6].Value = loadgen.WriteUnknown, "", "", ""
				w[6].Expected = "6.51"
				return w, l
			},
			change: func(a *Audit) { a.Acknowledged, a.Unknown, a.Recovered, a.Wrong = 9, 1, 1, 1 },
			says:   `key k006 (calculate): "6.50" on db-1, want "6.51"`,
		},
		{
			name: "a write without a state may exist",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return append(w, loadgen.Write{Key: "z"}), l
			},
			change: func(a *Audit) { a.Unknown = 1 },
		},
		{
			name: "another hash than the receipt's is altered",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				everywhere(l, func(r rows) rows { r[3].Hash = "tampered"; return r })
				return w, l
			},
			change: func(a *Audit) { a.Altered = 1 },
			says:   `key k003 (calculate), acknowledged at 0.035 s: the receipt's hash is "hash003", the row's "tampered" on db-1`,
		},
		{
			name: "another id than the receipt's is altered",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[3].ID = "idother"
				return w, l
			},
			change: func(a *Audit) { a.Altered = 1 },
			says:   `the receipt's id is "idother", the row's "id003"`,
		},
		{
			name: "another value than the answer's is altered and wrong",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				everywhere(l, func(r rows) rows { r[3].Value = "3.5000001"; return r })
				return w, l
			},
			change: func(a *Audit) { a.Altered, a.Wrong = 1, 1 },
			says:   `the answer's value is "3.50", the row's "3.5000001"`,
		},
		{
			name: "the same wrong value in answer and row is wrong, not altered",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[3].Value = "3.4"
				everywhere(l, func(r rows) rows { r[3].Value = "3.4"; return r })
				return w, l
			},
			change: func(a *Audit) { a.Wrong = 1 },
			says:   `key k003 (calculate): "3.4" on db-1, want "3.5"`,
		},
		{
			name: "what is no number is wrong",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[3].Value = ""
				everywhere(l, func(r rows) rows { r[3].Value = "NaN"; return r })
				return w, l
			},
			change: func(a *Audit) { a.Wrong = 1 },
			says:   `"NaN" on db-1, want "3.5"`,
		},
		{
			name: "the line of an import needs no receipt",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[3].ID, w[3].Hash, w[3].Value = "", "", ""
				return w, l
			},
		},
		{
			name: "the line of an import must exist",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return append(w, loadgen.Write{Key: "i-7", Class: "import", State: loadgen.WriteAcknowledged, Expected: "1"}), l
			},
			change: func(a *Audit) { a.Acknowledged, a.Lost = 11, 1 },
			says:   "key i-7 (import)",
		},
		{
			name: "a write without an expected value is not recomputed",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				w[3].Expected = ""
				return w, l
			},
		},
		{
			name: "without a primary nothing is checked",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return w, l[1:]
			},
			change: func(a *Audit) { a.Complete, a.CheckedNodes = false, []string{"db-2", "replica-1"} },
		},
		{
			name: "with two primaries nothing is checked",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[1].Role = "primary"
				return w, l
			},
			change: func(a *Audit) { a.Complete = false },
		},
		{
			name: "without a ledger nothing is checked",
			plant: func(w []loadgen.Write, _ []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				return w, nil
			},
			change: func(a *Audit) { a.Complete, a.CheckedNodes = false, []string{} },
		},
		{
			name: "a primary that was not read to its end cannot show a loss",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[0].Complete, l[0].Rows = false, l[0].Rows[:5]
				return w, l
			},
			change: func(a *Audit) { a.Complete, a.CheckedNodes = false, []string{"db-2", "replica-1"} },
		},
		{
			name: "an error counts as not read to its end",
			plant: func(w []loadgen.Write, l []NodeLedger) ([]loadgen.Write, []NodeLedger) {
				l[1].Error, l[1].Rows = "connection refused", nil
				return w, l
			},
			change: func(a *Audit) { a.Complete, a.CheckedNodes = false, []string{"db-1", "replica-1"} },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			writes, ledgers := history(10)
			want := clean(10)
			if test.plant != nil {
				writes, ledgers = test.plant(writes, ledgers)
			}
			if test.change != nil {
				test.change(&want)
			}
			got := AuditLedger(writes, ledgers)
			examples := got.Examples
			got.Examples = []string{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("AuditLedger differs, -want +got:\n%s\nexamples: %q", diff, examples)
			}
			if test.says == "" && len(examples) > 0 || test.says != "" && !strings.Contains(strings.Join(examples, "\n")+"\n", test.says) {
				t.Errorf("examples are %q, want one that says %q", examples, test.says)
			}
		})
	}
}

// TestAuditAttempts holds what several attempts with one key amount to: one acknowledgement decides,
// and a write is refused only when every attempt was.
func TestAuditAttempts(t *testing.T) {
	const ack, refused, unknown = loadgen.WriteAcknowledged, loadgen.WriteRefused, loadgen.WriteUnknown
	for _, test := range []struct {
		states []loadgen.WriteState
		want   loadgen.WriteState
	}{
		{[]loadgen.WriteState{ack, unknown}, ack},
		{[]loadgen.WriteState{unknown, ack}, ack},
		{[]loadgen.WriteState{ack, refused}, ack},
		{[]loadgen.WriteState{refused, ack}, ack},
		{[]loadgen.WriteState{refused, unknown}, unknown},
		{[]loadgen.WriteState{unknown, refused}, unknown},
		{[]loadgen.WriteState{refused, refused}, refused},
		{[]loadgen.WriteState{unknown, unknown}, unknown},
		{[]loadgen.WriteState{unknown, refused, ack}, ack},
		{[]loadgen.WriteState{0, refused}, unknown},
	} {
		var writes []loadgen.Write
		for _, state := range test.states {
			w := loadgen.Write{Key: "k", State: state}
			if state == ack {
				w.ID = "id"
			}
			writes = append(writes, w)
		}
		_, ledgers := history(0)
		got := AuditLedger(writes, ledgers)
		want := clean(0)
		switch test.want {
		case ack:
			want.Acknowledged, want.Lost = 1, 1
		case refused:
			want.Refused = 1
		default:
			want.Unknown = 1
		}
		got.Examples = []string{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts %v, -want +got:\n%s", test.states, diff)
		}
	}
}
