package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"squall/target/ecotrack/ledger"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// testStore is what every Store must keep to.
func testStore(t *testing.T, s Store) {
	t.Helper()
	calculator := NewCalculator(catalogue(t))
	entry := func(key, quantity string) ledger.Entry {
		e, _, err := calculator.Entry("t", key, Request{Activity: Activity{
			Kind:   KindFactor,
			Factor: anthracite, Quantity: quantity, Unit: "mmBtu", Period: "2026-Q1",
		}})
		if err != nil {
			t.Fatalf("Entry: %v", err)
		}
		return e
	}
	t.Run("append, replay, reuse", func(t *testing.T) {
		first, err := s.Append(t.Context(), entry("a", "12.5"))
		if err != nil || first.Replayed || first.CO2e != "1305.275" || first.Hash != ledger.RowHash(entry("a", "12.5")) {
			t.Errorf("Append = %+v, %v, want a new row of 1305.275 kg", first, err)
		}
		again, err := s.Append(t.Context(), entry("a", "12.5"))
		if err != nil || !again.Replayed || again.ID != first.ID || again.Hash != first.Hash {
			t.Errorf("Append again = %+v, %v, want the same row replayed", again, err)
		}
		if _, err := s.Append(t.Context(), entry("a", "13")); !errors.Is(err, ledger.ErrKeyReused) {
			t.Errorf("Append of another request = %v, want ErrKeyReused", err)
		}
		got, err := s.Get(t.Context(), "t", first.ID)
		if err != nil || got.Hash != first.Hash || got.CO2e != first.CO2e {
			t.Errorf("Get = %+v, %v, want the first row unaltered", got, err)
		}
		fromStore, err := withReceipt(got)
		fromAppend, err2 := withReceipt(first)
		if diff := cmp.Diff(fromAppend, fromStore); err != nil || err2 != nil || diff != "" {
			t.Errorf("calculation read back: %v, %v (-appended +got):\n%s", err, err2, diff)
		}
	})
	t.Run("batch keeps its order", func(t *testing.T) {
		out, err := s.AppendBatch(t.Context(), []ledger.Entry{entry("c", "1"), entry("a", "13"), entry("b", "2"), entry("a", "12.5")})
		if err != nil || len(out) != 4 {
			t.Fatalf("AppendBatch = %+v, %v", out, err)
		}
		if out[0].Row.Key != "c" || !errors.Is(out[1].Err, ledger.ErrKeyReused) || out[2].Row.Key != "b" || !out[3].Row.Replayed {
			t.Errorf("AppendBatch = %+v, want c, reused, b, a replayed", out)
		}
	})
	t.Run("one row for fifty at once", func(t *testing.T) {
		rows := make([]ledger.Row, 50)
		var unknown atomic.Int64
		var wg sync.WaitGroup
		for i := range rows {
			wg.Go(func() {
				var err error
				for ctx := t.Context(); ctx.Err() == nil; {
					rows[i], err = s.Append(ctx, entry("same", "1"))
					if errors.Is(err, ledger.ErrOutcomeUnknown) {
						unknown.Add(1)
					} else if !errors.Is(err, ledger.ErrUnavailable) {
						break
					}
				}
				if err != nil {
					t.Errorf("Append: %v", err)
				}
			})
		}
		wg.Wait()
		created := 0
		for _, row := range rows {
			if !row.Replayed {
				created++
			}
			row.Replayed = rows[0].Replayed
			if diff := cmp.Diff(rows[0], row); diff != "" {
				t.Errorf("Appends of one key gave two rows (-first +other):\n%s", diff)
			}
		}
		// An Append of unknown outcome may be the one that created the row.
		if created != 1 && (created != 0 || unknown.Load() == 0) {
			t.Errorf("50 Appends of one key created %d rows, want 1", created)
		}
	})
	t.Run("not found", func(t *testing.T) {
		if _, err := s.Get(t.Context(), "t", "none"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("Get = %v, want ErrNotFound", err)
		}
		if _, err := s.Get(t.Context(), "stranger", ledger.ID("t", "a")); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("Get by another tenant = %v, want ErrNotFound", err)
		}
		if _, err := s.Job(t.Context(), "t", "none"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("Job = %v, want ErrNotFound", err)
		}
	})
}

func TestMemoryStore(t *testing.T) { testStore(t, newMemory()) }

func TestContainerStore(t *testing.T) { testStore(t, openLedger(t, newDatabase(t))) }

var databases atomic.Int64

// newDatabase makes a database on the server of SQUALL_TEST_DATABASE_URL and returns its URL.
func newDatabase(t *testing.T) string {
	t.Helper()
	url := os.Getenv("SQUALL_TEST_DATABASE_URL")
	if url == "" {
		t.Fatal("SQUALL_TEST_DATABASE_URL must name a throw-away PostgreSQL (make test starts one)")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("SQUALL_TEST_DATABASE_URL: %v", err)
	}
	cfg.RuntimeParams["synchronous_commit"] = "local" // tests of package ledger take standbys away
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect to SQUALL_TEST_DATABASE_URL: %v", err)
	}
	ctx := context.WithoutCancel(t.Context())
	name := fmt.Sprintf("squall_engine_test_%d_%d", os.Getpid(), databases.Add(1))
	t.Cleanup(func() {
		if _, err := c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
		_ = c.Close(ctx)
	})
	for _, sql := range []string{"CREATE DATABASE " + name, "ALTER DATABASE " + name + " SET synchronous_commit = local"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable",
		cfg.Host, cfg.Port, cfg.User, cfg.Password, name)
}

func openLedger(t *testing.T, url string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), url, ledger.Options{
		Node: "engine-1", ConnectTimeout: patience, AcquireTimeout: patience, StatementTimeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	await(t, "ledger ready", func() bool { return l.Ready() == nil })
	return l
}

// patience bounds what is certain to happen, so that a test ends when it does not. It is no statement
// about speed: a machine may stall for seconds at any point of a test.
const patience = 2 * time.Minute

// await polls until ok, with patience.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, patience)
		case <-ticker.C:
		}
	}
}
