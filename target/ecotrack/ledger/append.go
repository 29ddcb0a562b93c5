package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Entry is what a client asks to be kept: one calculation under its idempotency key. All amounts
// are decimals in kg CO2e in canonical form.
type Entry struct {
	Tenant      string
	Key         string
	RequestHash string // identifies the request: the same key with another hash is refused
	CO2e        string
	Market      string // market-based figure; "" when there is none
	MarketHeld  bool   // the market-based figure applies but is withheld until reviewed
	Outside     string // memo CO2 outside of the scopes
	Status      string
	GWPSet      string
	Period      string // such as 2026-Q1; "" when the activity names none
	Scope       string
	Category    string
	Body        json.RawMessage // the calculation without its receipt, a JSON object
}

// Row is an entry as it is kept.
type Row struct {
	Key         string
	ID          string
	RequestHash string
	Hash        string // row hash, see RowHash
	CO2e        string
	Node        string // the node that wrote the row first
	CreatedAt   time.Time
	Body        json.RawMessage
	Replayed    bool // true when the row was there before this request
}

// Outcome is the result of one entry of a batch: a row, or ErrKeyReused.
type Outcome struct {
	Row Row
	Err error
}

// ID returns the identifier of the calculation that tenant keeps under key, in the form of a UUID
// of version 8 (RFC 9562, 5.8). It is a pure function, so every retry gets the same one.
func ID(tenant, key string) string {
	sum := digest("ecotrack-id-v1", tenant, key)
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// RowHash returns the SHA-256, in hex, of what must never change in a row. It does not depend on
// which node wrote the row or when, so that a retry after a failover gives the same hash.
func RowHash(e Entry) string {
	sum := digest("ecotrack-row-v1", e.Tenant, e.Key, ID(e.Tenant, e.Key), e.RequestHash, e.CO2e,
		e.Market, e.Outside, e.Status, e.GWPSet, e.Period, e.Scope, e.Category)
	return hex.EncodeToString(sum[:])
}

// digest hashes parts, each with its length before it, so that no two lists collide by shifting.
func digest(parts ...string) [sha256.Size]byte {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

// appendSQL inserts a row or, when the key is taken, counts the replay. Subtle: the count is there
// for its commit. Reading the existing row instead could acknowledge one that no standby has; an
// update commits behind the insert and waits for the standby itself.
const appendSQL = `
INSERT INTO calculations (tenant, idempotency_key, id, request_hash, row_hash, co2e_kg,
    co2e_market_kg, market_held, outside_kg, status, gwp_set, period, scope, category, body, node)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (tenant, idempotency_key) DO UPDATE SET replays = calculations.replays + 1
RETURNING ` + rowColumns + `, replays > 0`

const rowColumns = `idempotency_key, id, request_hash, row_hash, co2e_kg::text, node, created_at, body`

func (l *Ledger) appendArgs(e Entry) []any {
	var market any
	if e.Market != "" {
		market = e.Market
	}
	return []any{
		e.Tenant, e.Key, ID(e.Tenant, e.Key), e.RequestHash, RowHash(e), e.CO2e,
		market, e.MarketHeld, e.Outside, e.Status, e.GWPSet, e.Period, e.Scope, e.Category,
		string(e.Body), l.opts.Node,
	}
}

func scanRow(row pgx.Row, r *Row) error {
	return row.Scan(&r.Key, &r.ID, &r.RequestHash, &r.Hash, &r.CO2e, &r.Node, &r.CreatedAt, &r.Body,
		&r.Replayed)
}

// Append keeps e and returns its row once the commit is confirmed. A repeated entry returns the
// first row with Replayed set. Errors: ErrKeyReused, ErrUnavailable, ErrReadOnly (nothing was
// kept), ErrOutcomeUnknown.
func (l *Ledger) Append(ctx context.Context, e Entry) (Row, error) {
	var r Row
	err := l.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		r = Row{}
		return scanRow(c.QueryRow(ctx, appendSQL, l.appendArgs(e)...), &r)
	})
	if err != nil {
		return Row{}, err
	}
	if r.RequestHash != e.RequestHash {
		return Row{}, ErrKeyReused
	}
	return r, nil
}

// AppendBatch keeps all entries in one transaction and returns their outcomes in the same order.
// An entry whose key is taken by another request gets ErrKeyReused and does not hinder the others.
// An error means that none is acknowledged; it is one of Append's.
func (l *Ledger) AppendBatch(ctx context.Context, entries []Entry) ([]Outcome, error) {
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	// One order of keys for everybody, so that two batches cannot lock each other out.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(entries[a].Tenant, entries[b].Tenant),
			cmp.Compare(entries[a].Key, entries[b].Key))
	})
	rows := make([]Row, len(entries))
	err := l.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		batch := &pgx.Batch{}
		for _, i := range order {
			batch.Queue(appendSQL, l.appendArgs(entries[i])...).QueryRow(func(row pgx.Row) error {
				rows[i] = Row{}
				return scanRow(row, &rows[i])
			})
		}
		// One pipeline is one transaction; Close reads to its end, which comes after the commit.
		return c.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(entries))
	for i, r := range rows {
		if r.RequestHash != entries[i].RequestHash {
			outcomes[i].Err = ErrKeyReused
			continue
		}
		outcomes[i].Row = r
	}
	return outcomes, nil
}

// Get returns the row with this id, or ErrNotFound, ErrUnavailable.
func (l *Ledger) Get(ctx context.Context, tenant, id string) (Row, error) {
	const sql = `SELECT ` + rowColumns + `, true FROM calculations WHERE id = $1 AND tenant = $2`
	var r Row
	err := l.read(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return scanRow(c.QueryRow(ctx, sql, id, tenant), &r)
	})
	return r, err
}
