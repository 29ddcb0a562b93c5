package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What can go wrong with the store. They are matched with errors.Is.
var (
	// ErrUnavailable means that the statement was not executed: no connection, no room, or refused.
	ErrUnavailable = errors.New("store unavailable")
	// ErrReadOnly means that the statement was not executed because the server takes no writes.
	ErrReadOnly = errors.New("store is read-only")
	// ErrOutcomeUnknown means that the write may or may not be durable. Sending it again with the
	// same key is safe and is the only way to find out.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrKeyReused means that the key already belongs to another request.
	ErrKeyReused = errors.New("idempotency key belongs to another request")
	// ErrNotFound means that the tenant has no such row.
	ErrNotFound = errors.New("not found")
)

// errStatement is a statement that the server will never accept: a mistake of ours.
var errStatement = errors.New("statement refused")

// errWarned is the cause when the server committed with a warning.
var errWarned = errors.New("server warned at commit")

// writeError names what err, returned by a statement that writes, says about the write. Subtle:
// everything that does not prove the opposite is unknown; an acknowledgement or a refusal that is
// wrong would be a lie to the client, an unknown only costs a retry.
func writeError(err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, errWarned):
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	case errors.As(err, &pg):
		return fmt.Errorf("%w: %w", classOf(pg), err)
	case pgconn.SafeToRetry(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}

// classOf sorts the server's own errors by SQLSTATE (PostgreSQL manual, appendix A). An ERROR of
// an autocommitted statement aborts it, so those are refusals; what ends the session or cancels the
// wait for a standby happens after the local commit and is unknown.
func classOf(pg *pgconn.PgError) error {
	switch {
	case pg.Code == "25006": // read_only_sql_transaction
		return ErrReadOnly
	case pg.Severity == "FATAL" || pg.Severity == "PANIC":
		return ErrOutcomeUnknown
	}
	switch class(pg.Code) {
	case "08", "57", "58", "XX": // connection, operator intervention, system and internal errors
		return ErrOutcomeUnknown
	case "40", "53", "55": // rolled back to be repeated, no room, not in the right state
		return ErrUnavailable
	default:
		return errStatement
	}
}

// class is the first half of an SQLSTATE.
func class(code string) string {
	if len(code) < 2 {
		return code
	}
	return code[:2]
}

// readError names what err, returned by a statement that only reads, means to the caller.
func readError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// worthRetry says whether a second attempt on a fresh connection can do better: the server refused
// because its role changed or two transactions met, or the connection was lost. Safe even when the
// outcome is unknown, because every write of the ledger is idempotent and waits for its own
// replicated commit. A timeout or a warning is not retried: the standby that did not answer will
// not answer faster now.
func worthRetry(err error) bool {
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, errWarned):
		return false
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, ErrReadOnly):
		return true
	case errors.As(err, &pg):
		return class(pg.Code) == "40" || strings.HasPrefix(pg.Code, "57P")
	default:
		return !errors.Is(err, errAcquire)
	}
}
