package scenarios

import (
	"context"
	"errors"
	"squall/reports/verdict"
	"squall/target"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeAudited is a primary, a standby and a replica with a row each; some questions fail at first.
type fakeAudited struct {
	converge error
	leader   time.Time            // from when on there is a primary
	readable map[string]time.Time // by node, from when on its ledger can be read
}

func (f *fakeAudited) Nodes() []target.Node {
	return []target.Node{
		{Name: "db-1", Role: target.RoleDatabase},
		{Name: "db-2", Role: target.RoleDatabase},
		{Name: "engine-1", Role: target.RoleEngine},
		{Name: "replica-1", Role: target.RoleReplica},
	}
}

func (f *fakeAudited) Converge(context.Context) error { return f.converge }

func (f *fakeAudited) Primary(context.Context) (target.Node, int, error) {
	if time.Now().Before(f.leader) {
		return target.Node{}, 0, target.ErrNoPrimary
	}
	return f.Nodes()[1], 2, nil
}

func (f *fakeAudited) ReadLedger(_ context.Context, n target.Node) ([]target.LedgerRow, error) {
	<-time.After(time.Millisecond) // so that no asking falls on the very end of a limit
	if time.Now().Before(f.readable[n.Name]) {
		return nil, errors.New("ledger: the database system is starting up")
	}
	return []target.LedgerRow{{Key: "k", ID: "1", Hash: "h", Value: "1.5"}}, nil
}

// TestReadLedgers: what is not answered yet is asked again, each question within its own limit.
func TestReadLedgers(t *testing.T) {
	rows := []verdict.LedgerRow{{Key: "k", ID: "1", Hash: "h", Value: "1.5"}}
	whole := []verdict.NodeLedger{
		{Node: "db-1", Role: "standby", Complete: true, Rows: rows},
		{Node: "db-2", Role: "primary", Complete: true, Rows: rows},
		{Node: "replica-1", Role: "replica", Complete: true, Rows: rows},
	}
	with := func(n int, ledger verdict.NodeLedger) []verdict.NodeLedger {
		changed := append([]verdict.NodeLedger(nil), whole...)
		changed[n] = ledger
		return changed
	}
	for _, test := range []struct {
		name     string
		converge error
		leader   time.Duration
		db1      time.Duration
		want     []verdict.NodeLedger
	}{
		{name: "all at once", want: whole},
		{name: "no primary for a moment", leader: 5 * time.Second, want: whole},
		{name: "a node that is starting", db1: 40 * time.Second, want: whole},
		{
			name: "a node that never answers costs no other its ledger", db1: time.Hour,
			want: with(0, verdict.NodeLedger{
				Node: "db-1", Role: "standby",
				Error: "ledger: the database system is starting up (tried 200 times in 1m0s)",
			}),
		},
		{
			name: "not caught up", converge: errors.New("db-1 is 8 bytes behind"),
			want: []verdict.NodeLedger{
				{Node: "db-1", Role: "standby", Error: "not caught up: db-1 is 8 bytes behind", Rows: rows},
				{Node: "db-2", Role: "primary", Error: "not caught up: db-1 is 8 bytes behind", Rows: rows},
				{Node: "replica-1", Role: "replica", Error: "not caught up: db-1 is 8 bytes behind", Rows: rows},
			},
		},
		{
			name: "no primary at all", leader: time.Hour,
			want: []verdict.NodeLedger{{
				Node: "primary", Role: "primary", Error: "no database node is primary (tried 67 times in 20s)",
			}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeAudited{
					converge: test.converge, leader: time.Now().Add(test.leader),
					readable: map[string]time.Time{"db-1": time.Now().Add(test.db1)},
				}
				got := readLedgers(t.Context(), s, func(target.Step) {})
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("readLedgers() (-want +got):\n%s", diff)
				}
			})
		})
	}
}
