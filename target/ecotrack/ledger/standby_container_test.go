package ledger

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// withoutStandby makes every commit of a database with synchronous_commit = on wait for a standby
// that does not exist, until mend is called or the test ends.
func withoutStandby(t *testing.T, c *pgx.Conn) (mend func()) {
	t.Helper()
	set := func(value string) {
		exec(t, c, "ALTER SYSTEM SET synchronous_standby_names = '"+value+"'")
		exec(t, c, "SELECT pg_reload_conf()")
		await(t, 10*time.Second, "synchronous_standby_names = "+value, func() bool {
			var now string
			err := c.QueryRow(context.WithoutCancel(t.Context()), "SHOW synchronous_standby_names").Scan(&now)
			return err == nil && now == value
		})
	}
	t.Cleanup(func() { set("") })
	set("nobody")
	return func() { set("") }
}

// waiting counts the sessions of a database whose commit waits for a standby.
func waiting(t *testing.T, c *pgx.Conn, database string) (n int) {
	t.Helper()
	err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE wait_event = 'SyncRep' AND datname = $1`, database).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// visible counts the rows that readers of a database see.
func visible(t *testing.T, c *pgx.Conn) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM calculations").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The retry trap: a commit waits for a standby, the client's time is up, the client tries again.
// Neither may the commit be cancelled, nor may the retry be told that the row is durable.
func TestContainerLedgerWaitsForStandby(t *testing.T) {
	name, url := newDatabase(t, "on")
	l := open(t, url, Options{StatementTimeout: 500 * time.Millisecond})
	c := admin(t, name)
	mend := withoutStandby(t, c)

	for try := 1; try <= 2; try++ {
		row, err := l.Append(t.Context(), entry("k"))
		if !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatalf("Append %d without a standby = %+v, %v, want ErrOutcomeUnknown", try, row, err)
		}
		if n := visible(t, c); n != 0 {
			t.Fatalf("after Append %d %d rows are visible, want 0: the commit was cancelled", try, n)
		}
	}
	if n := waiting(t, c, name); n < 1 {
		t.Errorf("%d commits wait for a standby, want the first one still there", n)
	}
	if _, err := l.AppendBatch(t.Context(), []Entry{entry("m"), entry("n")}); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("AppendBatch without a standby = %v, want ErrOutcomeUnknown", err)
	}
	mend()
	await(t, 10*time.Second, "acknowledged replay", func() bool {
		row, err := l.Append(t.Context(), entry("k"))
		return err == nil && row.Replayed && row.Hash == RowHash(entry("k"))
	})
	if n := waiting(t, c, name); n != 0 {
		t.Errorf("%d commits still wait after the standby came back", n)
	}
}

// The control: the same with pgx as it comes. It must show the trap, or the test above proves
// nothing.
func TestContainerPlainPoolFallsIntoTheTrap(t *testing.T) {
	name, url := newDatabase(t, "on")
	open(t, url, Options{}) // makes the schema
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	l := &Ledger{opts: Options{Node: "plain"}.withDefaults()}
	c := admin(t, name)
	withoutStandby(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := pool.Exec(ctx, appendSQL, l.appendArgs(entry("k"))...); err == nil {
		t.Fatal("Exec without a standby: no error")
	}
	await(t, 10*time.Second, "row that no standby has becomes visible", func() bool {
		return visible(t, c) == 1
	})
}

func TestContainerLedgerWarnedCommitIsUnknown(t *testing.T) {
	tests := []struct {
		name string
		call func(context.Context, *Ledger) error
	}{
		{"single", func(ctx context.Context, l *Ledger) error {
			_, err := l.Append(ctx, entry("k"))
			return err
		}},
		{"batch", func(ctx context.Context, l *Ledger) error {
			_, err := l.AppendBatch(ctx, []Entry{entry("k"), entry("l")})
			return err
		}},
		{"job", func(ctx context.Context, l *Ledger) error {
			return l.SaveJob(ctx, Job{Job: "j", State: JobDone})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, url := newDatabase(t, "on")
			l := open(t, url, Options{StatementTimeout: 20 * time.Second})
			c := admin(t, name)
			withoutStandby(t, c)
			got := make(chan error, 1)
			go func() { got <- tt.call(t.Context(), l) }()
			await(t, 10*time.Second, "commit waiting", func() bool { return waiting(t, c, name) == 1 })
			exec(t, c, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
				WHERE wait_event = 'SyncRep' AND datname = $1`, name)
			if err := <-got; !errors.Is(err, ErrOutcomeUnknown) {
				t.Errorf("%s whose wait was cancelled = %v, want ErrOutcomeUnknown", tt.name, err)
			}
		})
	}
}

func TestContainerLedgerDropsAFormerPrimary(t *testing.T) {
	name, url := newDatabase(t, "local")
	l := open(t, url, Options{})
	c := admin(t, "")
	exec(t, c, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	l.pool.Reset()
	if _, err := l.Append(t.Context(), entry("a")); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("Append to a read-only server = %v, want ErrReadOnly", err)
	}
	// A connection to the read-only server lies in the pool while the server becomes writable: the
	// session keeps what it was told when it began, as one to a former primary does.
	if _, err := l.Get(t.Context(), "t", "none"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get = %v, want ErrNotFound", err)
	}
	exec(t, c, "ALTER DATABASE "+name+" RESET default_transaction_read_only")
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Errorf("Append with a stale connection in the pool = %v, want success by a fresh one", err)
	}
}

// relay is a TCP balancer that can refuse, or swallow everything in silence.
type relay struct {
	addr, to string
	mu       sync.Mutex
	ln       net.Listener
	conns    []net.Conn
	silent   *atomic.Bool // of the connections made from now on
	wg       sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String(), to: to, silent: new(atomic.Bool)}
	_ = ln.Close() // down at first; the port is taken again by up
	t.Cleanup(func() { r.down(); r.wg.Wait() })
	return r
}

// up accepts connections.
func (r *relay) up(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.ln = ln
	r.mu.Unlock()
	r.wg.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, to)
			silent := r.silent
			r.mu.Unlock()
			r.wg.Go(func() { relayBytes(to, from, silent) })
			r.wg.Go(func() { relayBytes(from, to, silent) })
		}
	})
}

// relayBytes passes bytes on until one side closes; once silent they are dropped.
func relayBytes(to, from net.Conn, silent *atomic.Bool) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if silent.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// hush makes the connections of now silent for ever: open, but nothing passes, as with a vanished
// server. Later connections are not concerned.
func (r *relay) hush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent.Store(true)
	r.silent = new(atomic.Bool)
}

// down closes the door and all connections.
func (r *relay) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		_ = r.ln.Close()
	}
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// through returns the URL of a database behind a relay.
func through(t *testing.T, name string) (*relay, string) {
	t.Helper()
	cfg := admin(t, "").Config()
	r := newRelay(t, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))))
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	return r, "host=" + host + " port=" + port + " user=" + cfg.User + " password='" + cfg.Password +
		"' dbname=" + name + " sslmode=disable"
}

func TestContainerLedgerStartsBeforeItsDatabase(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	l, err := Open(t.Context(), url, Options{ProbeEvery: 50 * time.Millisecond})
	if err != nil {
		t.Fatalf("Open with the database down: %v", err)
	}
	defer l.Close()
	if err := l.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ready with the database down = %v, want ErrUnavailable", err)
	}
	if _, err := l.Append(t.Context(), entry("a")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Append with the database down = %v, want ErrUnavailable", err)
	}
	r.up(t)
	awaitReady(t, l, 20*time.Second)
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Errorf("Append once ready: %v", err)
	}
	r.down()
	await(t, 20*time.Second, "not ready", func() bool { return l.Ready() != nil })
	r.up(t)
	awaitReady(t, l, 20*time.Second)
	if row, err := l.Append(t.Context(), entry("a")); err != nil || !row.Replayed {
		t.Errorf("Append after the outage = %+v, %v, want a replay", row, err)
	}
}

// A cut connection in the pool costs the request nothing: it is sent again on a fresh one.
func TestContainerLedgerRetriesACutConnection(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	r.up(t)
	l := open(t, url, Options{})
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Fatal(err)
	}
	r.down()
	r.up(t)
	if _, err := l.Append(t.Context(), entry("b")); err != nil {
		t.Errorf("Append with a cut connection in the pool = %v, want success by a fresh one", err)
	}
}

// The connection breaks under the statement and there is no other: the second attempt is certainly
// not executed, but the first may have been.
func TestContainerLedgerUnknownStaysUnknown(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	r.up(t)
	l := open(t, url, Options{})
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Fatal(err)
	}
	c := admin(t, name)
	exec(t, c, "BEGIN")
	exec(t, c, "LOCK TABLE calculations IN EXCLUSIVE MODE")
	got := make(chan error, 1)
	go func() {
		_, err := l.Append(t.Context(), entry("b"))
		got <- err
	}()
	await(t, 10*time.Second, "statement under way", func() bool {
		var n int
		err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = $1`, name).Scan(&n)
		return err == nil && n == 1
	})
	r.down()
	if err := <-got; !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnavailable) {
		t.Errorf("Append over a breaking connection = %v, want ErrOutcomeUnknown alone", err)
	}
	exec(t, c, "ROLLBACK")
}

// When a server vanishes without a word, the pool must not stay clogged with its connections.
func TestContainerLedgerPoolSurvivesSilence(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	r.up(t)
	const conns = 4
	l := open(t, url, Options{MaxConns: conns, StatementTimeout: 300 * time.Millisecond})
	var held []*pgxpool.Conn
	for range conns { // fill the pool, so that every place of it leads into the silence
		c, err := l.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	r.hush()
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			_, err := l.Append(t.Context(), entry(strconv.Itoa(i)))
			if !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("Append in silence = %v, want ErrOutcomeUnknown or ErrUnavailable", err)
			}
		})
	}
	wg.Wait()
	// pgx alone would hold the places of the pool for 15 s; the limit is half of it.
	began := time.Now()
	await(t, 7*time.Second, "Append on a new connection", func() bool {
		_, err := l.Append(t.Context(), entry("z"))
		return err == nil
	})
	t.Logf("first Append %v after the silence", time.Since(began).Round(time.Millisecond))
}
