package ledger

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// warningKey is where a connection keeps the last warning of the server.
	warningKey = "ecotrack.warning"
	// dialledKey is where a connection keeps when its dialling began.
	dialledKey = "ecotrack.dialled"
	// pingAfter is how long a connection may be idle before it is pinged on its way out of the pool;
	// it is the default of pgx.
	pingAfter = time.Second
	// farewell bounds how long a connection that is given up may linger. pgx waits 15 s for the
	// server's last bytes while the connection keeps its place in the pool; with a vanished server
	// that empties the pool for as long.
	farewell = 500 * time.Millisecond
)

// errNoCancel refuses the connection over which pgx would send a query cancel.
var errNoCancel = errors.New("query cancel is never sent")

// poolConfig turns a connection URL into the pool's settings.
func poolConfig(url string, o Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.ConnectTimeout = o.ConnectTimeout
	cfg.ConnConfig.RuntimeParams["application_name"] = "ecotrack " + o.Node
	// A balancer of TCP connections keeps a session on one server, so named prepared statements are
	// safe; a new session after a failover prepares them again.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	cfg.ConnConfig.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if severity(n) == "WARNING" {
			c.CustomData()[warningKey] = n.Message
		}
	}
	cfg.MaxConns = o.MaxConns
	cfg.MaxConnLifetime = 10 * time.Minute
	cfg.MaxConnLifetimeJitter = time.Minute
	cfg.MaxConnIdleTime = time.Minute
	cfg.HealthCheckPeriod = 5 * time.Second
	cfg.PingTimeout = time.Second
	cfg.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		since, ok := ctx.Value(distrustKey{}).(time.Time)
		return ok && dialledAt(p.Conn).Before(since) || p.IdleDuration > pingAfter
	}
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		withoutCancel(c)
		return nil
	}
	// A polite goodbye to a server that has vanished must not take 15 s either.
	cfg.BeforeClose = func(c *pgx.Conn) {
		_ = c.PgConn().Conn().SetDeadline(time.Now().Add(farewell)) // closed already: nothing to bound
	}
	return cfg, nil
}

// severity is the notice's severity whatever language the server speaks.
func severity(n *pgconn.Notice) string {
	if n.SeverityUnlocalized != "" {
		return n.SeverityUnlocalized
	}
	return n.Severity
}

// distrustKey is where a context keeps the instant from distrusting.
type distrustKey struct{}

// distrusting marks ctx as that of a second attempt: a connection that was dialled before now must
// answer a ping before it is handed out. empty makes sure that there are hardly any.
func distrusting(ctx context.Context) context.Context {
	return context.WithValue(ctx, distrustKey{}, time.Now())
}

// dialledAt returns when the dialling of c began.
func dialledAt(c *pgx.Conn) time.Time {
	at, _ := c.PgConn().CustomData()[dialledKey].(time.Time)
	return at
}

// withoutCancel makes the connection that c describes one that never cancels a statement, and notes
// when it is made.
//
// Subtle: when a context ends, pgx does not only close the connection, it first dials the server
// again and sends a cancel request (pgconn.asyncClose). A commit that waits for a standby and is
// cancelled stays committed on this server alone and becomes visible, so that a retry would be
// told that it is durable. The only door is DialFunc: once the session stands, any further dial of
// this configuration can only be a cancel request.
func withoutCancel(c *pgx.ConnConfig) {
	var established atomic.Bool
	began := time.Now()
	dialer := &net.Dialer{KeepAlive: 5 * time.Second}
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if established.Load() {
			return nil, errNoCancel
		}
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &briefConn{conn}, nil
	}
	c.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[dialledKey] = began
		established.Store(true)
		return nil
	}
}

// briefConn is a connection whose deadlines are never further away than farewell. pgx sets
// deadlines only when it gives a connection up.
type briefConn struct{ net.Conn }

// SetDeadline sets the deadline, or an earlier one.
func (c *briefConn) SetDeadline(t time.Time) error {
	if limit := time.Now().Add(farewell); t.After(limit) {
		t = limit
	}
	return c.Conn.SetDeadline(t)
}

// clearWarning forgets the warnings of earlier statements.
func clearWarning(c *pgx.Conn) { delete(c.PgConn().CustomData(), warningKey) }

// warning returns what the server warned of since clearWarning, or "".
func warning(c *pgx.Conn) string {
	text, _ := c.PgConn().CustomData()[warningKey].(string)
	return text
}
