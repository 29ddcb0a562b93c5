package ledger

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A failover cuts every connection of the pool. It costs no request anything: each is sent again on
// a connection that lives.
func TestContainerLedgerRetriesWhenAllConnectionsAreCut(t *testing.T) {
	const conns = 8
	calls := []struct {
		name string
		call func(context.Context, *Ledger, string) error
	}{
		{"Append", func(ctx context.Context, l *Ledger, key string) error {
			_, err := l.Append(ctx, entry(key))
			return err
		}},
		{"AppendBatch", func(ctx context.Context, l *Ledger, key string) error {
			_, err := l.AppendBatch(ctx, []Entry{entry(key), entry(key + "b")})
			return err
		}},
		{"Get", func(ctx context.Context, l *Ledger, key string) error {
			if _, err := l.Get(ctx, "t", ID("t", key)); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		}},
	}
	for _, c := range calls {
		for _, requests := range []int{1, conns} {
			t.Run(c.name+" "+strconv.Itoa(requests), func(t *testing.T) {
				name, _ := newDatabase(t, "local")
				r, url := through(t, name)
				r.up()
				l := unwatched(t, url, Options{MaxConns: conns})
				fill(t, l.pool)
				r.down()
				r.up()
				var wg sync.WaitGroup
				for i := range requests {
					wg.Go(func() {
						if err := c.call(t.Context(), l, strconv.Itoa(i)); err != nil {
							t.Errorf("%s with %d cut connections in the pool = %v, want success", c.name, conns, err)
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// unwatched returns a ready ledger that no longer probes the store, so that the connections of its
// pool are used by nobody but the test.
func unwatched(t *testing.T, url string, o Options) *Ledger {
	t.Helper()
	l := open(t, url, o)
	l.stop()
	l.wg.Wait()
	return l
}

// end ends the session of a backend, and returns when it is gone.
func end(t *testing.T, c *pgx.Conn, pid uint32) {
	t.Helper()
	exec(t, c, "SELECT pg_terminate_backend($1)", pid)
	await(t, "session ended", func() bool {
		var n int
		err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid).Scan(&n)
		return err == nil && n == 0
	})
}

// A request that learns late that its connection was lost, when others have dialled new ones since:
// it neither throws those away nor believes in them.
func TestContainerLedgerLearnsLateOfALoss(t *testing.T) {
	tests := []struct {
		name   string
		cutNew bool
	}{
		{"the new connection lives and is used", false},
		{"the new connection was cut as well", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, url := newDatabase(t, "local")
			l := unwatched(t, url, Options{MaxConns: 2})
			fill(t, l.pool)
			c := admin(t, name)
			exec(t, c, "BEGIN")
			plain := &Ledger{opts: Options{Node: "plain"}.withDefaults()}
			exec(t, c, appendSQL, plain.appendArgs(entry("late"))...)
			late := make(chan error, 1)
			go func() { // waits for the transaction above
				_, err := l.Append(t.Context(), entry("late"))
				late <- err
			}()
			eye := admin(t, "") // not c: a transaction sees the activity as it was when it first looked
			var busy uint32
			await(t, "Append under way", func() bool { busy = waiter(t, eye, name); return busy != 0 })
			var used []uint32
			err := l.write(t.Context(), func(ctx context.Context, c *pgx.Conn) error {
				used = append(used, c.PgConn().PID())
				if len(used) == 1 {
					// Under the statement, so that no ping finds out first.
					end(t, eye, used[0]) //nolint:contextcheck // another session, which lives as long as the test
				}
				_, err := c.Exec(ctx, "SELECT")
				return err
			})
			if err != nil || len(used) != 2 || used[1] == busy || used[1] == used[0] {
				t.Fatalf("write whose session ends = %v, in sessions %v, want success in a second one", err, used)
			}
			fresh := used[1]
			if tt.cutNew {
				end(t, eye, fresh)
			}
			end(t, eye, busy)
			await(t, "Append under way again", func() bool {
				select {
				case err := <-late:
					t.Fatalf("Append that learnt late of the loss = %v, want a second attempt", err)
				default:
				}
				return waiter(t, eye, name) != 0
			})
			if again := waiter(t, eye, name); (again == fresh) == tt.cutNew {
				t.Errorf("second attempt in session %d, the new one is %d; cut: %v", again, fresh, tt.cutNew)
			}
			exec(t, c, "ROLLBACK")
			if err := <-late; err != nil {
				t.Errorf("Append that learnt late of the loss = %v, want success", err)
			}
		})
	}
}

// waiter returns the backend that waits for another's transaction; 0 without.
func waiter(t *testing.T, c *pgx.Conn, database string) (pid uint32) {
	t.Helper()
	err := c.QueryRow(t.Context(), `SELECT coalesce(max(pid), 0) FROM pg_stat_activity
		WHERE wait_event = $1 AND datname = $2`, forAnother, database).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// A statement that runs out of time says nothing about the other connections. While commits wait
// for a standby all do, and replacing the whole pool each time would be a storm of sessions.
func TestContainerLedgerKeepsThePoolWhenTimeIsUp(t *testing.T) {
	name, url := newDatabase(t, "local")
	l := unwatched(t, url, Options{StatementTimeout: time.Second})
	c := admin(t, name)
	exec(t, c, "BEGIN")
	exec(t, c, "LOCK TABLE calculations IN EXCLUSIVE MODE")
	await(t, "Append whose time is up", func() bool {
		return unacknowledged(t, func() error {
			_, err := l.Append(t.Context(), entry("a"))
			return err
		})
	})
	if !l.emptied.IsZero() {
		t.Error("the pool was emptied because one statement ran out of time")
	}
}
