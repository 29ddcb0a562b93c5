package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
)

// These tests need a PostgreSQL of their own, as superuser: SQUALL_TEST_DATABASE_URL. Each makes
// and drops its own database; TestContainerLedgerWaitsForStandby changes a setting of the server.

// admin returns a connection to the server of SQUALL_TEST_DATABASE_URL, closed by the test. It does
// not wait for standbys, so that tests of other packages may run at the same time.
func admin(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	url := os.Getenv("SQUALL_TEST_DATABASE_URL")
	if url == "" {
		t.Fatal("SQUALL_TEST_DATABASE_URL must name a throw-away PostgreSQL (make test starts one)")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("SQUALL_TEST_DATABASE_URL: %v", err)
	}
	if database != "" {
		cfg.Database = database
	}
	cfg.RuntimeParams["synchronous_commit"] = "local"
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect to SQUALL_TEST_DATABASE_URL: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t *testing.T, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.WithoutCancel(t.Context()), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

var databases atomic.Int64

// newDatabase makes a database with this synchronous_commit and returns its name and URL.
func newDatabase(t *testing.T, durability string) (name, url string) {
	t.Helper()
	c := admin(t, "")
	name = fmt.Sprintf("squall_test_%d_%d", os.Getpid(), databases.Add(1))
	exec(t, c, "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(t, c, "DROP DATABASE "+name+" WITH (FORCE)") })
	exec(t, c, fmt.Sprintf("ALTER DATABASE %s SET synchronous_commit = %s", name, durability))
	cfg := c.Config()
	return name, fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable",
		cfg.Host, cfg.Port, cfg.User, cfg.Password, name)
}

// patience bounds what is certain to happen, so that a test ends when it does not. It is no statement
// about speed: a machine may stall for seconds at any point of a test.
const patience = 2 * time.Minute

// patient sets the limits that o leaves open to patience. A test in which time is not the subject
// must not see the ledger give up because the machine is busy.
func patient(o Options) Options {
	for _, d := range []*time.Duration{&o.ConnectTimeout, &o.AcquireTimeout, &o.StatementTimeout} {
		if *d == 0 {
			*d = patience
		}
	}
	return o
}

// open returns a ready ledger that is patient.
func open(t *testing.T, url string, o Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), url, patient(o))
	if err != nil {
		t.Fatalf("Open(%s): %v", url, err)
	}
	t.Cleanup(l.Close)
	awaitReady(t, l)
	return l
}

func awaitReady(t *testing.T, l *Ledger) {
	t.Helper()
	await(t, "ledger ready", func() bool { return l.Ready() == nil })
}

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

func entry(key string) Entry {
	return Entry{
		Tenant: "t", Key: key, RequestHash: "h-" + key, CO2e: "1305.275", Outside: "0",
		Status: "complete", GWPSet: "AR5", Period: "2026-Q1", Scope: "1",
		Category: "stationary_combustion", Body: json.RawMessage(`{"co2e_kg": "1305.275"}`),
	}
}

func TestContainerLedgerAppend(t *testing.T) {
	_, url := newDatabase(t, "local")
	l := open(t, url, Options{Node: "engine-1"})
	first, err := l.Append(t.Context(), entry("a"))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	want := Row{
		Key: "a", ID: ID("t", "a"), RequestHash: "h-a", Hash: RowHash(entry("a")),
		CO2e: "1305.275", Node: "engine-1", Body: json.RawMessage(`{"co2e_kg": "1305.275"}`),
	}
	if diff := cmp.Diff(want, first, cmpopts.IgnoreFields(Row{}, "CreatedAt")); diff != "" {
		t.Errorf("Append (-want +got):\n%s", diff)
	}
	other := open(t, url, Options{Node: "engine-2"})
	again, err := other.Append(t.Context(), entry("a"))
	first.Replayed = true
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("Append again: error %v (-first +again):\n%s", err, diff)
	}
	got, err := other.Get(t.Context(), "t", first.ID)
	if diff := cmp.Diff(first, got); err != nil || diff != "" {
		t.Errorf("Get: error %v (-appended +got):\n%s", err, diff)
	}
	changed := entry("a")
	changed.RequestHash, changed.CO2e = "other", "1"
	if _, err := l.Append(t.Context(), changed); !errors.Is(err, ErrKeyReused) {
		t.Errorf("Append of another request under the key = %v, want ErrKeyReused", err)
	}
	if got, err = l.Get(t.Context(), "t", first.ID); err != nil || got.Hash != first.Hash || got.CO2e != first.CO2e {
		t.Errorf("Get after refusal = %+v, %v, want the first row unaltered", got, err)
	}
	if _, err := l.Get(t.Context(), "stranger", first.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get by another tenant = %v, want ErrNotFound", err)
	}
}

func TestContainerLedgerOneRowForFiftyAtOnce(t *testing.T) {
	_, url := newDatabase(t, "local")
	ledgers := []*Ledger{open(t, url, Options{Node: "engine-1"}), open(t, url, Options{Node: "engine-2"})}
	var created, replayed atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			row, err := ledgers[i%2].Append(t.Context(), entry("same"))
			switch {
			case err != nil:
				t.Errorf("Append: %v", err)
			case row.Replayed:
				replayed.Add(1)
			default:
				created.Add(1)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || replayed.Load() != 49 {
		t.Errorf("50 Appends of one key: %d created, %d replayed, want 1 and 49",
			created.Load(), replayed.Load())
	}
	inv, err := ledgers[0].Inventory(t.Context(), "t", "2026-Q1", "AR5")
	if err != nil || inv.All.Count != 1 {
		t.Errorf("Inventory = %+v, %v, want 1 row", inv, err)
	}
}

func TestContainerLedgerBatch(t *testing.T) {
	_, url := newDatabase(t, "local")
	l := open(t, url, Options{})
	if _, err := l.Append(t.Context(), entry("b")); err != nil {
		t.Fatal(err)
	}
	reused := entry("b")
	reused.RequestHash = "other"
	out, err := l.AppendBatch(t.Context(), []Entry{entry("z"), reused, entry("a"), entry("z"), entry("b")})
	if err != nil {
		t.Fatalf("AppendBatch: %v", err)
	}
	type line struct {
		Key      string
		Replayed bool
		Reused   bool
	}
	var got []line
	for _, o := range out {
		got = append(got, line{o.Row.Key, o.Row.Replayed, errors.Is(o.Err, ErrKeyReused)})
	}
	want := []line{{"z", false, false}, {"", false, true}, {"a", false, false}, {"z", true, false}, {"b", true, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("AppendBatch (-want +got):\n%s", diff)
	}
	bad := entry("y")
	bad.CO2e = "no number"
	if _, err := l.AppendBatch(t.Context(), []Entry{entry("x"), bad}); err == nil {
		t.Error("AppendBatch with a row that the server refuses: no error")
	}
	if _, err := l.Get(t.Context(), "t", ID("t", "x")); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of the good half of a refused batch = %v, want ErrNotFound", err)
	}
}

// Batches that share keys in opposite order must not lock each other out. The ledger would hide one
// deadlock by trying again, so the server is asked.
func TestContainerLedgerBatchesDoNotDeadlock(t *testing.T) {
	name, url := newDatabase(t, "local")
	l := open(t, url, Options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			batch := []Entry{entry("p"), entry("q"), entry("r")}
			if i%2 == 1 {
				batch[0], batch[2] = batch[2], batch[0]
			}
			if _, err := l.AppendBatch(t.Context(), batch); err != nil {
				t.Errorf("AppendBatch: %v", err)
			}
		})
	}
	wg.Wait()
	l.Close() // a session reports its figures at its end at the latest
	c := admin(t, "")
	await(t, "all sessions ended", func() bool {
		var n int
		err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name).Scan(&n)
		return err == nil && n == 0
	})
	var deadlocks int
	err := c.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = $1", name).Scan(&deadlocks)
	if err != nil || deadlocks != 0 {
		t.Errorf("deadlocks of 20 batches: %d, %v, want 0", deadlocks, err)
	}
}

func TestContainerLedgerInventory(t *testing.T) {
	_, url := newDatabase(t, "local")
	l := open(t, url, Options{})
	change := func(key string, f func(*Entry)) Entry {
		e := entry(key)
		f(&e)
		return e
	}
	entries := []Entry{
		change("1", func(e *Entry) { e.CO2e = "0.1" }),
		change("2", func(e *Entry) { e.CO2e, e.Status = "0.2", "partial" }),
		change("3", func(e *Entry) { e.Scope, e.Category, e.CO2e, e.Market = "2", "grid", "10", "4" }),
		change("4", func(e *Entry) { e.GWPSet = "AR6" }),
		change("5", func(e *Entry) { e.Period = "2026-Q2" }),
		change("6", func(e *Entry) { e.Tenant = "other" }),
	}
	if _, err := l.AppendBatch(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	market := func(s string) *string { return &s }
	want := Inventory{
		All: Total{Count: 3, Complete: 2, CO2e: "10.3", Market: market("4.3"), Outside: "0"},
		Lines: []Total{
			{
				Scope: "1", Category: "stationary_combustion", Count: 2, Complete: 1, CO2e: "0.3",
				Market: market("0.3"), Outside: "0",
			},
			{Scope: "2", Category: "grid", Count: 1, Complete: 1, CO2e: "10", Market: market("4"), Outside: "0"},
		},
		Other: 1,
	}
	reader := open(t, url, Options{ReadOnly: true})
	got, err := reader.Inventory(t.Context(), "t", "2026-Q1", "AR5")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Inventory: error %v (-want +got):\n%s", err, diff)
	}
	held := change("7", func(e *Entry) { e.MarketHeld = true })
	if _, err := l.Append(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	if got, err = reader.Inventory(t.Context(), "t", "2026-Q1", "AR5"); err != nil || got.All.Market != nil {
		t.Errorf("Inventory with a withheld figure: market %v, error %v, want nil", got.All.Market, err)
	}
	empty, err := reader.Inventory(t.Context(), "t", "1999-Q1", "AR5")
	if err != nil || empty.All.Count != 0 || empty.All.CO2e != "0" {
		t.Errorf("Inventory of an empty period = %+v, %v, want zeros", empty, err)
	}
}

func TestContainerLedgerJobs(t *testing.T) {
	_, url := newDatabase(t, "local")
	l := open(t, url, Options{})
	j := Job{Job: "j", Tenant: "t", RequestHash: "h", Lines: 3}
	if _, err := l.Job(t.Context(), "t", "j"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Job before it began = %v, want ErrNotFound", err)
	}
	for want := 1; want <= 2; want++ {
		kept, attempts, err := l.StartJob(t.Context(), j)
		if err != nil || attempts != want || kept.State != JobRunning {
			t.Errorf("StartJob %d = %+v, %d, %v", want, kept, attempts, err)
		}
	}
	done := j
	done.State, done.Done, done.Failed = JobDone, 2, 1
	done.Problems = []LineProblem{{1, "factor_not_found", "no factor"}}
	if err := l.SaveJob(t.Context(), done); err != nil {
		t.Fatalf("SaveJob: %v", err)
	}
	got, err := l.Job(t.Context(), "t", "j")
	if diff := cmp.Diff(done, got); err != nil || diff != "" {
		t.Errorf("Job: error %v (-saved +got):\n%s", err, diff)
	}
	slow := j
	slow.State, slow.Done = JobRunning, 1
	if err := l.SaveJob(t.Context(), slow); err != nil {
		t.Fatalf("SaveJob of a slower worker: %v", err)
	}
	if got, err = l.Job(t.Context(), "t", "j"); err != nil || got.State != JobDone || got.Done != 2 {
		t.Errorf("Job after a slower worker's progress = %+v, %v, want it still done", got, err)
	}
	if kept, _, err := l.StartJob(t.Context(), j); err != nil || kept.State != JobDone || kept.Done != 2 {
		t.Errorf("StartJob of a finished job = %+v, %v, want it still done", kept, err)
	}
	j.RequestHash = "other"
	if _, _, err := l.StartJob(t.Context(), j); !errors.Is(err, ErrKeyReused) {
		t.Errorf("StartJob of another import under the key = %v, want ErrKeyReused", err)
	}
}

func TestContainerLedgerMigratesFromFourPoolsAtOnce(t *testing.T) {
	name, url := newDatabase(t, "local")
	var ledgers []*Ledger
	for range 4 {
		l, err := Open(t.Context(), url, patient(Options{ProbeEvery: 20 * time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		ledgers = append(ledgers, l)
	}
	for _, l := range ledgers {
		awaitReady(t, l)
	}
	var applied int
	c := admin(t, name)
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM schema_migrations").Scan(&applied); err != nil || applied != 1 {
		t.Errorf("migrations applied: %d, %v, want 1", applied, err)
	}
	// A session whose migration failed and was repeated ends in its own time.
	await(t, "no advisory lock left", func() bool {
		var locks int
		err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&locks)
		return err == nil && locks == 0
	})
}
