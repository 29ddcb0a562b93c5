package ledger

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrationLock is the advisory lock under which one node migrates while the others wait. The
	// number is arbitrary: "ecotrack" in ASCII.
	migrationLock = 0x65636f747261636b
	// migrationTimeout bounds one attempt; the server gives the lock up after half of it.
	migrationTimeout = 20 * time.Second
)

// migrate brings the schema up to date. Any number of nodes may do so at once.
func (l *Ledger) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := migrateLocked(ctx, conn.Conn()); err != nil {
		// The lock belongs to the session: ending the session is the surest way to release it.
		_ = conn.Conn().PgConn().Close(ctx)
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func migrateLocked(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "SET lock_timeout = '10s'"); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	_, err := c.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
		name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`)
	if err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := applyOnce(ctx, c, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	_, err = c.Exec(ctx, "RESET lock_timeout")
	return err
}

// applyOnce runs one migration and notes it, both in one transaction, unless it is noted already.
func applyOnce(ctx context.Context, c *pgx.Conn, name string) error {
	sql, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx,
			"INSERT INTO schema_migrations (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, string(sql))
		return err
	})
}
