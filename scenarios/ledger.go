package scenarios

import (
	"context"
	"squall/reports/verdict"
	"squall/target"
	"time"
)

// How long the audit after the load may take before it is given up.
const (
	convergeWithin = 90 * time.Second // primary, standbys and queue caught up after the load
	primaryWithin  = 20 * time.Second // exactly one node says that it is primary
	ledgerWithin   = 60 * time.Second // the whole ledger read back from one node
)

// audited is what the audit needs of the system under test; *target.System is the real one.
type audited interface {
	Nodes() []target.Node
	Converge(ctx context.Context) error
	Primary(ctx context.Context) (target.Node, int, error)
	ReadLedger(ctx context.Context, n target.Node) ([]target.LedgerRow, error)
}

var _ audited = (*target.System)(nil)

// readLedgers waits until the system has caught up and reads the whole ledger back from every
// database node. Each question is asked again within its limit: what one answer lacked would leave
// the audit inconclusive. What could not be read stays marked as incomplete.
func readLedgers(ctx context.Context, s audited, step func(target.Step)) []verdict.NodeLedger {
	began := time.Now()
	converge, cancel := context.WithTimeout(ctx, convergeWithin)
	converged := s.Converge(converge)
	cancel()
	step(target.Step{Name: "converge", Text: "primary, standbys and queue caught up", Done: true, Took: time.Since(began)})

	var primary target.Node
	err := target.Retry(ctx, primaryWithin, func(ctx context.Context) (err error) {
		primary, _, err = s.Primary(ctx)
		return err
	})
	if err != nil {
		return []verdict.NodeLedger{{Node: "primary", Role: "primary", Error: err.Error()}}
	}
	var ledgers []verdict.NodeLedger
	for _, n := range s.Nodes() {
		if n.Role != target.RoleDatabase && n.Role != target.RoleReplica {
			continue
		}
		ledger := readNode(ctx, s, n, n.Name == primary.Name)
		if converged != nil {
			ledger.Complete, ledger.Error = false, "not caught up: "+converged.Error()
		}
		ledgers = append(ledgers, ledger)
	}
	step(target.Step{Name: "ledger", Text: "read back from every database node", Done: true, Took: time.Since(began)})
	return ledgers
}

func readNode(ctx context.Context, s audited, n target.Node, isPrimary bool) verdict.NodeLedger {
	ledger := verdict.NodeLedger{Node: n.Name, Role: "standby"}
	switch {
	case isPrimary:
		ledger.Role = "primary"
	case n.Role == target.RoleReplica:
		ledger.Role = "replica"
	}
	var rows []target.LedgerRow
	err := target.Retry(ctx, ledgerWithin, func(ctx context.Context) (err error) {
		rows, err = s.ReadLedger(ctx, n)
		return err
	})
	if err != nil {
		ledger.Error = err.Error()
		return ledger
	}
	ledger.Rows = make([]verdict.LedgerRow, len(rows))
	for i, row := range rows {
		ledger.Rows[i] = verdict.LedgerRow(row)
	}
	ledger.Complete = true
	return ledger
}
