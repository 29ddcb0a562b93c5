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
	}
	t.Cleanup(func() { set("") })
	set("nobody")
	awaitWaiting(t, c)
	return func() { set("") }
}

// awaitWaiting returns when commits do wait for a standby. Subtle: it is the checkpointer that tells
// all sessions, and it may read the setting long after a session shows it; so a commit is tried.
func awaitWaiting(t *testing.T, c *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	probe := admin(t, "")
	exec(t, probe, "SET synchronous_commit = on")
	pid := probe.PgConn().PID()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = probe.Exec(ctx, "SELECT pg_logical_emit_message(true, 'squall', '')") // until it waits
		}
	}()
	await(t, "a commit waits for a standby", func() bool {
		var waits bool
		err := c.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE pid = $1 AND wait_event = $2`, pid, forStandby).Scan(&waits)
		return err == nil && waits
	})
	exec(t, c, "SELECT pg_terminate_backend($1)", pid)
	cancel()
	<-ended
}

// waiting counts the sessions of a database that wait for event.
func waiting(t *testing.T, c *pgx.Conn, database, event string) (n int) {
	t.Helper()
	err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE wait_event = $1 AND datname = $2`, event, database).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What a session waits for: a standby, and the transaction of another session.
const (
	forStandby = "SyncRep"
	forAnother = "transactionid"
)

// visible says whether readers of a database see the row under key.
func visible(t *testing.T, c *pgx.Conn, key string) (seen bool) {
	t.Helper()
	err := c.QueryRow(t.Context(), "SELECT count(*) > 0 FROM calculations WHERE idempotency_key = $1", key).Scan(&seen)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// unacknowledged makes a write that cannot become durable and says whether its outcome is unknown.
// The other honest answer is ErrUnavailable: on a slow machine the time may be up before anything is
// sent.
func unacknowledged(t *testing.T, write func() error) (unknown bool) {
	t.Helper()
	err := write()
	if unknown = errors.Is(err, ErrOutcomeUnknown); !unknown && !errors.Is(err, ErrUnavailable) {
		t.Fatalf("write without a standby = %v, want ErrOutcomeUnknown, or ErrUnavailable before it is sent", err)
	}
	return unknown
}

// trap makes a write with pgx as it comes, whose time is up while its commit waits, and returns when
// the row that no standby has is visible.
func trap(t *testing.T, c *pgx.Conn, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	plain := &Ledger{opts: Options{Node: "plain"}.withDefaults()}
	await(t, "row of the plain pool that no standby has becomes visible", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := pool.Exec(ctx, appendSQL, plain.appendArgs(entry("trap"))...); err == nil {
			t.Fatal("Exec without a standby: no error")
		}
		return visible(t, c, "trap")
	})
}

// The retry trap: a commit waits for a standby, the client's time is up, the client tries again.
// Neither may the commit be cancelled, nor may the retry be told that the row is durable.
//
// The control is the same with pgx as it comes: it must fall into the trap, or the test proves
// nothing. It also says when to look: it gives up after the ledger has, and once its cancel has been
// felt, one of the ledger's would have been too.
func TestContainerLedgerWaitsForStandby(t *testing.T) {
	name, url := newDatabase(t, "on")
	l := open(t, url, Options{StatementTimeout: time.Second})
	c := admin(t, name)
	mend := withoutStandby(t, c)

	unknown := false
	write := func() error {
		_, err := l.Append(t.Context(), entry("k"))
		return err
	}
	for _, event := range []string{forStandby, forAnother} { // the first Append, and one that repeats it
		await(t, "Append waits for "+event, func() bool {
			unknown = unacknowledged(t, write) || unknown
			if visible(t, c, "k") {
				t.Fatal("the row of the ledger is visible: its commit was cancelled")
			}
			return waiting(t, c, name, event) > 0
		})
	}
	if !unknown {
		t.Error("an Append whose commit waits was said not to be executed, want ErrOutcomeUnknown")
	}
	trap(t, c, url)
	if visible(t, c, "k") {
		t.Fatal("the row of the ledger is visible: its commit was cancelled")
	}
	if n := waiting(t, c, name, forStandby); n < 1 {
		t.Errorf("%d commits wait for a standby, want the first one still there", n)
	}
	await(t, "AppendBatch of unknown outcome", func() bool {
		return unacknowledged(t, func() error {
			_, err := l.AppendBatch(t.Context(), []Entry{entry("m"), entry("n")})
			return err
		})
	})
	mend()
	await(t, "acknowledged replay", func() bool {
		row, err := l.Append(t.Context(), entry("k"))
		return err == nil && row.Replayed && row.Hash == RowHash(entry("k"))
	})
	await(t, "no commit waits any more", func() bool { return waiting(t, c, name, forStandby) == 0 })
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
			l := open(t, url, Options{})
			c := admin(t, name)
			withoutStandby(t, c)
			got := make(chan error, 1)
			go func() { got <- tt.call(t.Context(), l) }()
			await(t, "commit waiting", func() bool { return waiting(t, c, name, forStandby) == 1 })
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
	// Connections to the read-only server lie in the pool while the server becomes writable: a session
	// keeps what it was told when it began, as one to a former primary does.
	fill(t, l.pool)
	exec(t, c, "ALTER DATABASE "+name+" RESET default_transaction_read_only")
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Errorf("Append with nothing but stale connections in the pool = %v, want success by a fresh one", err)
	}
}

// relay is a TCP balancer that can hang up, or swallow everything in silence. It keeps its port while
// it is down, so that nobody else takes it.
type relay struct {
	addr, to string
	ln       net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	isUp   bool
	conns  []net.Conn
	silent *atomic.Bool // of the connections made from now on
}

// newRelay returns a relay that is down.
func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String(), to: to, ln: ln, silent: new(atomic.Bool)}
	r.wg.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.pass(from) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); r.down(); r.wg.Wait() })
	return r
}

// pass connects from with the server, or hangs up.
func (r *relay) pass(from net.Conn) {
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = from.Close()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isUp {
		_, _ = from.Close(), to.Close()
		return
	}
	r.conns = append(r.conns, from, to)
	silent := r.silent
	r.wg.Go(func() { relayBytes(to, from, silent) })
	r.wg.Go(func() { relayBytes(from, to, silent) })
}

// up lets connections pass.
func (r *relay) up() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isUp = true
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

// down closes all connections and hangs up on new ones.
func (r *relay) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isUp = false
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
	l, err := Open(t.Context(), url, patient(Options{ProbeEvery: 50 * time.Millisecond}))
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
	r.up()
	awaitReady(t, l)
	if _, err := l.Append(t.Context(), entry("a")); err != nil {
		t.Errorf("Append once ready: %v", err)
	}
	r.down()
	await(t, "not ready", func() bool { return l.Ready() != nil })
	r.up()
	awaitReady(t, l)
	if row, err := l.Append(t.Context(), entry("a")); err != nil || !row.Replayed {
		t.Errorf("Append after the outage = %+v, %v, want a replay", row, err)
	}
}

// The connection breaks under the statement and there is no other: the second attempt is certainly
// not executed, but the first may have been.
func TestContainerLedgerUnknownStaysUnknown(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	r.up()
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
	eye := admin(t, "") // a session sees the activity of others as it was when its transaction first looked
	await(t, "statement under way", func() bool {
		var n int
		err := eye.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = $1`, name).Scan(&n)
		return err == nil && n == 1
	})
	r.down()
	if err := <-got; !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnavailable) {
		t.Errorf("Append over a breaking connection = %v, want ErrOutcomeUnknown alone", err)
	}
	exec(t, c, "ROLLBACK")
}

// When a server vanishes without a word, the pool must not stay clogged with its connections. How
// long is too long is what pgx does by itself: its pool keeps the places for 15 s.
func TestContainerLedgerPoolSurvivesSilence(t *testing.T) {
	name, _ := newDatabase(t, "local")
	r, url := through(t, name)
	r.up()
	const conns, limit = 4, time.Second
	l := open(t, url, Options{MaxConns: conns, StatementTimeout: limit})
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = conns
	plain, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	defer r.down() // ends the plain pool's farewells
	fill(t, l.pool)
	fill(t, plain)
	r.hush()
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			// Success is possible: a slow machine leaves the connections idle until they are pinged.
			_, err := l.Append(t.Context(), entry(strconv.Itoa(i)))
			if err != nil && !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("Append in silence = %v, want ErrOutcomeUnknown or ErrUnavailable", err)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, _ = plain.Exec(ctx, "SELECT") // of no interest
		})
	}
	wg.Wait()
	began := time.Now()
	control := make(chan error, 1)
	go func() { control <- plain.Ping(t.Context()) }()
	await(t, "Append on a new connection", func() bool {
		_, err := l.Append(t.Context(), entry("z"))
		return err == nil
	})
	t.Logf("first Append %v after the silence", time.Since(began).Round(time.Millisecond))
	select {
	case err := <-control:
		t.Errorf("Append on a new connection took longer than with a plain pool (%v)", err)
	default:
		r.down()
		t.Logf("Ping of the plain pool, when its silence was ended: %v", <-control)
	}
}

// fill makes every place of the pool hold a connection that stands.
func fill(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var held []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
}
