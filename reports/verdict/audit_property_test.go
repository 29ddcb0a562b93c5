package verdict

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAuditOrder is the property that the order of rows and of nodes does not matter.
func TestAuditOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		writes, ledgers := history(40)
		for range random.IntN(12) {
			mutate(random, ledgers)
		}
		want := AuditLedger(writes, ledgers)
		for n := range ledgers {
			rows := ledgers[n].Rows
			random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		}
		got := AuditLedger(writes, ledgers)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("the audit of shuffled rows differs, -want +got:\n%s", diff)
		}
	}
}

// mutate damages one row of one node.
func mutate(random *rand.Rand, ledgers []NodeLedger) {
	l := &ledgers[random.IntN(len(ledgers))]
	n := random.IntN(len(l.Rows))
	switch random.IntN(5) {
	case 0:
		l.Rows = slices.Delete(slices.Clone(l.Rows), n, n+1)
	case 1:
		l.Rows = append(l.Rows, l.Rows[n])
	case 2:
		l.Rows[n].Hash = strconv.Itoa(random.Int())
	case 3:
		l.Rows[n].Value = strconv.Itoa(random.IntN(10))
	case 4:
		l.Rows = append(l.Rows, LedgerRow{Key: l.Rows[n].Key, ID: strconv.Itoa(random.Int())})
	}
}

// TestAuditFindsEveryRemoval is the property that no acknowledged row can go missing unseen, from
// any node, whatever else is there.
func TestAuditFindsEveryRemoval(t *testing.T) {
	const n = 60
	for gone := range n {
		for node := range 3 {
			writes, ledgers := history(n)
			ledgers[node].Rows = slices.Delete(ledgers[node].Rows, gone, gone+1)
			got := AuditLedger(writes, ledgers)
			found := got.Lost == 1
			if node > 0 {
				found = got.Diverged == 1
			}
			if !found || len(got.Examples) == 0 || !strings.Contains(got.Examples[0], writes[gone].Key) {
				t.Fatalf("row %d removed from %s: lost %d, diverged %d, examples %q; want it found and named",
					gone, ledgers[node].Node, got.Lost, got.Diverged, got.Examples)
			}
		}
	}
}

func TestAuditExamples(t *testing.T) {
	writes, ledgers := history(100)
	ledgers[0].Rows = slices.Clone(ledgers[0].Rows[50:])
	ledgers[0].Rows[0].Hash = "tampered"
	got := AuditLedger(writes, ledgers)
	if got.Lost != 50 || got.Altered != 1 || len(got.Examples) != maxExamples {
		t.Fatalf("lost %d, altered %d, %d examples; want 50, 1, %d", got.Lost, got.Altered, len(got.Examples), maxExamples)
	}
	if !slices.ContainsFunc(got.Examples, func(s string) bool { return strings.Contains(s, "tampered") }) {
		t.Errorf("examples are %q, want the one altered row among the many lost ones", got.Examples)
	}
}

func TestSameDecimal(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"1.5", "1.50", true},
		{"0", "-0.000", true},
		{"1", "1", true},
		{"1E+3", "1000", true},
		{"1.2e-2", "0.012", true},
		{"1.5", "1.5000000000000000000000000000000001", false},
		{"", "", false},
		{"x", "x", false},
		{".", ".", false},
		{"1/2", "0.5", false},
		{"1e9999999", "1e9999999", false},
		{"0x10", "16", false},
		{"NaN", "NaN", false},
		{"--1", "--1", false},
		{"1e", "1e", false},
		{"1.1.1", "1.1.1", false},
		{"1_0", "10", false},
	} {
		if got := sameDecimal(test.a, test.b); got != test.want {
			t.Errorf("sameDecimal(%q, %q) = %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

func BenchmarkAuditLedger(b *testing.B) {
	writes, ledgers := history(100_000)
	for b.Loop() {
		AuditLedger(writes, ledgers)
	}
}
