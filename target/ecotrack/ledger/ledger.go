// Package ledger keeps calculations in PostgreSQL: append-only, idempotent by (tenant, key), and
// acknowledged only when the commit is as durable as the server promises.
//
//	Append -> acquire -> INSERT ... ON CONFLICT DO UPDATE -> commit waits for a standby -> receipt
//	             |                    |                          |
//	       ErrUnavailable      ErrReadOnly, refused     timeout, lost, warned: ErrOutcomeUnknown
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options tunes a Ledger. The zero value is usable.
type Options struct {
	Node             string        // written into each row; default "ecotrack"
	MaxConns         int32         // connections of the pool; default 12
	ConnectTimeout   time.Duration // one connection attempt; default 1.5 s
	AcquireTimeout   time.Duration // waiting for a connection; default 2 s
	StatementTimeout time.Duration // one statement with its commit; default 4 s
	ProbeEvery       time.Duration // how often an idle store is probed, under 2 s; default 500 ms
	// ReadOnly makes a ledger for a replica: nothing is migrated, and a server in recovery is ready.
	ReadOnly bool
	Log      *slog.Logger // default: discards
}

func (o Options) withDefaults() Options {
	if o.Node == "" {
		o.Node = "ecotrack"
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 12
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for d, standard := range map[*time.Duration]time.Duration{
		&o.ConnectTimeout:   1500 * time.Millisecond,
		&o.AcquireTimeout:   2 * time.Second,
		&o.StatementTimeout: 4 * time.Second,
		&o.ProbeEvery:       500 * time.Millisecond,
	} {
		if *d <= 0 {
			*d = standard
		}
	}
	return o
}

// readyFor is how long one proof that the store works counts.
const readyFor = 2 * time.Second

// errAcquire marks that no connection was had, so that nothing was sent.
var errAcquire = errors.New("no connection")

// Ledger is an open ledger. It is safe for concurrent use; the caller must Close it.
type Ledger struct {
	pool *pgxpool.Pool
	opts Options

	migrated atomic.Bool
	provenAt atomic.Int64 // when the store last worked, as an offset from start
	start    time.Time

	emptying sync.Mutex // held while the pool is emptied; guards emptied
	emptied  time.Time  // when that was last done

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Open returns a ledger for the database at url at once, whether or not the database can be
// reached: migrations run in the background until they succeed, and Ready tells when. The error is
// about url only. ctx bounds the ledger's background work, which Close ends as well.
func Open(ctx context.Context, url string, o Options) (*Ledger, error) {
	o = o.withDefaults()
	cfg, err := poolConfig(url, o)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{pool: pool, opts: o, start: time.Now()}
	l.provenAt.Store(int64(-2 * readyFor))
	l.migrated.Store(o.ReadOnly)
	ctx, l.stop = context.WithCancel(ctx)
	l.wg.Go(func() { l.watch(ctx) })
	return l, nil
}

// Close ends the background work and closes all connections.
func (l *Ledger) Close() {
	l.stop()
	l.wg.Wait()
	l.pool.Close()
}

// Stat returns a snapshot of the connection pool.
func (l *Ledger) Stat() *pgxpool.Stat { return l.pool.Stat() }

// Ready returns nil when the schema is in place and the store has worked within the last 2 s.
func (l *Ledger) Ready() error {
	if !l.migrated.Load() {
		return fmt.Errorf("%w: schema not in place yet", ErrUnavailable)
	}
	if age := time.Since(l.start) - time.Duration(l.provenAt.Load()); age > readyFor {
		return fmt.Errorf("%w: no successful statement within %v", ErrUnavailable, readyFor)
	}
	return nil
}

// proven records that the store has just worked.
func (l *Ledger) proven() { l.provenAt.Store(int64(time.Since(l.start))) }

// watch migrates the schema and then keeps Ready true to life. A busy ledger proves itself by its
// own statements; only an idle one is probed, so that a full pool is not taken for a dead store.
func (l *Ledger) watch(ctx context.Context) {
	ticker := time.NewTicker(l.opts.ProbeEvery)
	defer ticker.Stop()
	for {
		if err := l.attend(ctx); err != nil && ctx.Err() == nil {
			l.opts.Log.Debug("store probe", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// attend does one round of watch.
func (l *Ledger) attend(ctx context.Context) error {
	if !l.migrated.Load() {
		if err := l.migrate(ctx); err != nil {
			return err
		}
		l.migrated.Store(true)
		l.opts.Log.Info("schema in place")
	}
	if time.Since(l.start)-time.Duration(l.provenAt.Load()) < l.opts.ProbeEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyFor/2)
	defer cancel()
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var recovering bool
	err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
	if err != nil {
		l.lost(conn.Conn(), err)
		return err
	}
	if recovering && !l.opts.ReadOnly {
		l.empty(conn.Conn()) // a former primary: its connections are of no use
		return ErrReadOnly
	}
	l.proven()
	return nil
}

// write runs op on a connection and returns only when its commit is confirmed. It tries again once
// when that can help (worthRetry), which is safe because op is idempotent; the second attempt has a
// connection that was proven after the first one failed.
func (l *Ledger) write(ctx context.Context, op func(context.Context, *pgx.Conn) error) error {
	err := l.writeOnce(ctx, op)
	if !worthRetry(err) {
		return err
	}
	again := l.writeOnce(distrusting(ctx), op)
	if again != nil && errors.Is(err, ErrOutcomeUnknown) {
		// Subtle: that the second attempt was refused says nothing about the first, so errors.Is must
		// not find the second error.
		return fmt.Errorf("%w, then: %v", err, again) //nolint:errorlint // the second is not to be found
	}
	return again
}

// writeOnce runs op once. Subtle: a client that goes away ends the wait for a connection but not
// the statement itself; breaking off a commit saves nothing and costs a connection.
func (l *Ledger) writeOnce(ctx context.Context, op func(context.Context, *pgx.Conn) error) error {
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	until := time.Now().Add(l.opts.StatementTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	opCtx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	clearWarning(conn.Conn())
	err = op(opCtx, conn.Conn())
	if text := warning(conn.Conn()); text != "" {
		_ = conn.Conn().PgConn().Close(opCtx) // best effort: a warned session is not reused
		err = errors.Join(fmt.Errorf("%w: %s", errWarned, text), err)
	}
	if err != nil {
		err = writeError(err)
		if errors.Is(err, ErrReadOnly) {
			_ = conn.Conn().PgConn().Close(opCtx) // best effort: it leads to a former primary
		}
		l.lost(conn.Conn(), err)
		return err
	}
	l.proven()
	return nil
}

// read runs op on a connection, and once more on a proven one when the first was lost.
func (l *Ledger) read(ctx context.Context, op func(context.Context, *pgx.Conn) error) error {
	err := l.readOnce(ctx, op)
	if err != nil && !errors.Is(err, ErrNotFound) && worthRetry(err) {
		err = l.readOnce(distrusting(ctx), op)
	}
	return err
}

func (l *Ledger) readOnce(ctx context.Context, op func(context.Context, *pgx.Conn) error) error {
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel := context.WithTimeout(ctx, l.opts.StatementTimeout)
	defer cancel()
	if err := readError(op(ctx, conn.Conn())); err != nil {
		l.lost(conn.Conn(), err)
		return err
	}
	l.proven()
	return nil
}

// lost empties the pool when err says that c was cut or leads to a former primary: what happened to
// c has probably happened to all. Subtle: a connection that is given up because time was up says
// nothing about the others. While commits wait for a standby every statement ends like that, and to
// replace every connection each time would be a storm of sessions upon a server that is well.
func (l *Ledger) lost(c *pgx.Conn, err error) {
	if c.IsClosed() && worthRetry(err) {
		l.empty(c)
	}
}

// empty closes the idle connections of the pool, and those in use as they are released, unless that
// was done after c was dialled. Subtle: a failover is noticed by every request in flight, each at
// its own time. Only the first may empty the pool; the others would throw away what has been dialled
// since, 25 ms of the server's time each. The lock makes them wait until the dead ones are out.
func (l *Ledger) empty(c *pgx.Conn) {
	l.emptying.Lock()
	defer l.emptying.Unlock()
	if dialledAt(c).Before(l.emptied) {
		return
	}
	l.emptied = time.Now()
	l.pool.Reset()
}

// acquire returns a connection, or ErrUnavailable: then nothing was executed.
func (l *Ledger) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.AcquireTimeout)
	defer cancel()
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrUnavailable, errAcquire, err)
	}
	return conn, nil
}
