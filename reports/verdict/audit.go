package verdict

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"squall/loadgen"
	"strings"
	"time"
)

const (
	rolePrimary = "primary"
	maxExamples = 20
	// maxDecimal bounds the digits of a value: an exact decimal needs memory for each.
	maxDecimal = 400
)

// AuditLedger holds every write that was asked for against the ledger as each node has it. The
// primary's ledger is the reference; the others are compared with it row by row. Writes with the
// same key are one: acknowledged when one of them was, refused when all were. Writes without a
// receipt (the lines of an import) must exist once and hold the expected value. The order of rows
// does not matter. Time and memory grow with the writes and rows, not with their product.
func AuditLedger(writes []loadgen.Write, ledgers []NodeLedger) Audit {
	found, _ := audit(writes, ledgers)
	return found
}

func audit(writes []loadgen.Write, ledgers []NodeLedger) (Audit, exampleBox) {
	a := auditor{
		rows: make([]rowIndex, 0, len(ledgers)), ledgers: ledgers,
		audit: Audit{CheckedNodes: []string{}},
	}
	a.merge(writes)
	if primary := a.readLedgers(); primary >= 0 {
		a.checkPrimary(primary)
		a.checkPhantoms(primary)
		a.checkCopies(primary)
	}
	a.audit.Duplicate = len(a.duplicates)
	a.audit.Examples = a.examples.pick(maxExamples)
	return a.audit, a.examples
}

// whole says whether the ledger may be trusted to have every row of its node.
func (l NodeLedger) whole() bool { return l.Complete && l.Error == "" }

// auditor is an audit under way.
type auditor struct {
	audit      Audit
	keys       []string              // of the writes, each once, in the order of their first
	ops        map[string]*operation // by key
	ledgers    []NodeLedger
	rows       []rowIndex      // of each ledger
	duplicates map[string]bool // keys
	examples   exampleBox
}

// operation is everything that was asked for under one key.
type operation struct {
	loadgen.Write                 // the acknowledged attempt, else the first
	answers       []loadgen.Write // further acknowledged attempts
}

func (a *auditor) merge(writes []loadgen.Write) {
	a.ops = make(map[string]*operation, len(writes))
	a.duplicates = map[string]bool{}
	for _, w := range writes {
		op := a.ops[w.Key]
		switch {
		case op == nil:
			a.ops[w.Key] = &operation{Write: w}
			a.keys = append(a.keys, w.Key)
		case w.State == loadgen.WriteAcknowledged && op.State == w.State:
			op.answers = append(op.answers, w)
		case w.State == loadgen.WriteAcknowledged,
			w.State != loadgen.WriteRefused && op.State == loadgen.WriteRefused:
			op.Write = w
		}
	}
	for _, key := range a.keys {
		op := a.ops[key]
		switch op.State {
		case loadgen.WriteAcknowledged:
			a.audit.Acknowledged++
		case loadgen.WriteRefused:
			a.audit.Refused++
		default: // a write without a state may exist: nothing is known of it
			a.audit.Unknown++
		}
		for _, again := range op.answers {
			if again.ID != op.ID && again.ID != "" && op.ID != "" && !a.duplicates[key] {
				a.duplicates[key] = true
				a.examples.add(duplicateExample, "%s was acknowledged twice, as %s and as %s", op.name(), op.ID, again.ID)
			}
		}
	}
}

// readLedgers indexes every ledger and returns the number of the reference; -1 when there is not
// exactly one.
func (a *auditor) readLedgers() int {
	primary, primaries := -1, 0
	a.audit.Complete = len(a.ledgers) > 0
	for n, l := range a.ledgers {
		if l.Role == rolePrimary {
			primary = n
			primaries++
		}
		if l.whole() {
			a.audit.CheckedNodes = append(a.audit.CheckedNodes, l.Node)
		} else {
			a.audit.Complete = false
		}
		index := indexRows(l.Rows)
		a.rows = append(a.rows, index)
		for _, key := range index.twice() {
			if !a.duplicates[key] {
				a.duplicates[key] = true
				a.examples.add(duplicateExample, "key %s has %d rows on %s", key, len(index.more[key]), l.Node)
			}
		}
	}
	if primaries != 1 {
		a.audit.Complete = false
		return -1
	}
	return primary
}

// checkPrimary compares every write with the reference.
func (a *auditor) checkPrimary(n int) {
	primary, index := a.ledgers[n], a.rows[n]
	for _, key := range a.keys {
		op := a.ops[key]
		rows := index.of(key)
		switch {
		case op.State == loadgen.WriteAcknowledged && len(rows) == 0 && primary.whole():
			a.audit.Lost++
			a.examples.add(lostExample, "%s, acknowledged at %s, is missing on %s%s",
				op.name(), offset(op.Done), primary.Node, a.elsewhere(key, n))
		case op.State == loadgen.WriteRefused && len(rows) > 0:
			a.audit.Phantom++
			a.examples.add(phantomExample, "%s was refused at %s and is on %s all the same",
				op.name(), offset(op.Done), primary.Node)
		case op.State != loadgen.WriteAcknowledged && op.State != loadgen.WriteRefused && len(rows) > 0:
			a.audit.Recovered++
		}
		a.checkValues(op, rows, primary.Node)
	}
}

// checkValues compares receipt, answer and row of one operation.
func (a *auditor) checkValues(op *operation, rows []LedgerRow, node string) {
	if op.State == loadgen.WriteAcknowledged && len(rows) > 0 {
		best := ""
		for n, row := range rows {
			difference := op.differs(row)
			if n == 0 || difference == "" {
				best = difference
			}
		}
		if best != "" {
			a.audit.Altered++
			a.examples.add(alteredExample, "%s, acknowledged at %s: %s on %s", op.name(), offset(op.Done), best, node)
		}
	}
	if op.Expected == "" || op.State == loadgen.WriteRefused {
		return
	}
	for _, row := range rows {
		if !sameDecimal(row.Value, op.Expected) {
			a.audit.Wrong++
			a.examples.add(wrongExample, "%s: %q on %s, want %q", op.name(), row.Value, node, op.Expected)
			return
		}
	}
	if op.Value != "" && !sameDecimal(op.Value, op.Expected) {
		a.audit.Wrong++
		a.examples.add(wrongExample, "%s: answered %q, want %q", op.name(), op.Value, op.Expected)
	}
}

// differs says in what a row is not what the receipt promised; empty when nothing differs.
func (op *operation) differs(row LedgerRow) string {
	switch {
	case op.ID != "" && op.ID != row.ID:
		return fmt.Sprintf("the receipt's id is %q, the row's %q", op.ID, row.ID)
	case op.Hash != "" && op.Hash != row.Hash:
		return fmt.Sprintf("the receipt's hash is %q, the row's %q", op.Hash, row.Hash)
	case op.Value != "" && op.Value != row.Value && !sameDecimal(op.Value, row.Value):
		return fmt.Sprintf("the answer's value is %q, the row's %q", op.Value, row.Value)
	}
	return ""
}

// checkPhantoms finds rows on the primary that no write asked for.
func (a *auditor) checkPhantoms(n int) {
	primary, index := a.ledgers[n], a.rows[n]
	var keys []string
	for key := range index.first {
		if a.ops[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	a.audit.Phantom += len(keys)
	for _, key := range keys[:min(len(keys), maxExamples)] {
		a.examples.add(phantomExample, "key %s is on %s and was never asked for", key, primary.Node)
	}
}

// checkCopies compares every other node that was read whole with the primary.
func (a *auditor) checkCopies(reference int) {
	primary, want := a.ledgers[reference], a.rows[reference]
	if !primary.whole() {
		return
	}
	for n, l := range a.ledgers {
		if n == reference || !l.whole() {
			continue
		}
		got := a.rows[n]
		var differing []string
		for key := range want.first {
			if !want.same(got, key) {
				differing = append(differing, key)
			}
		}
		for key := range got.first {
			if _, both := want.first[key]; !both {
				differing = append(differing, key)
			}
		}
		slices.Sort(differing)
		a.audit.Diverged += len(differing)
		for _, key := range differing[:min(len(differing), maxExamples)] {
			a.examples.add(divergedExample, "%s", a.divergence(key, want.of(key), got.of(key), primary.Node, l.Node))
		}
	}
}

func (a *auditor) divergence(key string, want, got []LedgerRow, primary, node string) string {
	name := "key " + key
	if op := a.ops[key]; op != nil {
		name = op.name()
	}
	switch {
	case len(got) == 0:
		return fmt.Sprintf("%s is on %s and missing on %s", name, primary, node)
	case len(want) == 0:
		return fmt.Sprintf("%s is on %s and missing on %s", name, node, primary)
	}
	return fmt.Sprintf("%s is not the same on %s and %s", name, primary, node)
}

// elsewhere names the nodes that still have a key which the primary lacks.
func (a *auditor) elsewhere(key string, primary int) string {
	var nodes []string
	for n, index := range a.rows {
		if n != primary && len(index.of(key)) > 0 {
			nodes = append(nodes, a.ledgers[n].Node)
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	return ", though present on " + strings.Join(nodes, ", ")
}

func (op *operation) name() string {
	if op.Class == "" {
		return "key " + op.Key
	}
	return fmt.Sprintf("key %s (%s)", op.Key, op.Class)
}

func offset(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// rowIndex finds the rows of a key. Nearly every key has one row, so only the others have a slice.
type rowIndex struct {
	first map[string]LedgerRow
	more  map[string][]LedgerRow // all rows of the keys that have several, sorted
}

func indexRows(rows []LedgerRow) rowIndex {
	index := rowIndex{first: make(map[string]LedgerRow, len(rows)), more: map[string][]LedgerRow{}}
	for _, row := range rows {
		first, known := index.first[row.Key]
		switch {
		case !known:
			index.first[row.Key] = row
		case index.more[row.Key] == nil:
			index.more[row.Key] = []LedgerRow{first, row}
		default:
			index.more[row.Key] = append(index.more[row.Key], row)
		}
	}
	for _, several := range index.more {
		slices.SortFunc(several, func(a, b LedgerRow) int {
			return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Value, b.Value))
		})
	}
	return index
}

func (x rowIndex) of(key string) []LedgerRow {
	if several := x.more[key]; several != nil {
		return several
	}
	if row, known := x.first[key]; known {
		return []LedgerRow{row}
	}
	return nil
}

// same says whether both have the same rows of a key that x has.
func (x rowIndex) same(other rowIndex, key string) bool {
	if x.more[key] == nil && other.more[key] == nil { // nearly always: without a slice
		row, known := other.first[key]
		return known && sameRow(x.first[key], row)
	}
	return slices.EqualFunc(x.of(key), other.of(key), sameRow)
}

// twice are the keys with more than one row, sorted.
func (x rowIndex) twice() []string {
	keys := make([]string, 0, len(x.more))
	for key := range x.more {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func sameRow(a, b LedgerRow) bool {
	return a.ID == b.ID && a.Hash == b.Hash && (a.Value == b.Value || sameDecimal(a.Value, b.Value))
}

// sameDecimal compares two decimals exactly: 1.50 is 1.5. What is not a decimal is the same as
// nothing, not even itself.
func sameDecimal(a, b string) bool {
	if !isDecimal(a) || !isDecimal(b) {
		return false
	}
	if a == b {
		return true
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

// isDecimal admits digits with a sign, a point and an exponent of up to three digits: with a longer
// one, such as 1e999999999, the exact value would fill the memory.
func isDecimal(s string) bool {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	return len(s) <= maxDecimal && isDigits(mantissa, 1) &&
		(!scientific || len(exponent) <= 4 && isDigits(exponent, 0))
}

// isDigits admits one sign, at least one digit and at most so many points.
func isDigits(s string, points int) bool {
	digits := strings.TrimLeft(s, "+-")
	dots := strings.Count(digits, ".")
	return len(s)-len(digits) <= 1 && dots <= points && len(digits) > dots &&
		strings.Trim(digits, "0123456789.") == ""
}
