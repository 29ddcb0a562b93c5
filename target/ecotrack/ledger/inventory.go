package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Total is a sum over calculations of one GWP set. Amounts are decimals in kg CO2e; nothing is
// rounded after the calculations themselves.
type Total struct {
	Scope    string `json:"scope,omitempty"`
	Category string `json:"category,omitempty"`
	Count    int64  `json:"count"`
	Complete int64  `json:"complete"` // of Count, those with status complete
	CO2e     string `json:"co2e_kg"`  // location-based
	// Market is the market-based sum; a calculation without one counts with its location-based
	// figure. It is nil when a figure in it is withheld for a review: the sum is then unknown.
	Market  *string `json:"co2e_market_kg"`
	Outside string  `json:"outside_kg"`
}

// Inventory is the roll-up of a period.
type Inventory struct {
	All   Total
	Lines []Total // by scope and category, sorted
	Other int64   // calculations of the period under another GWP set, not added in
}

// Inventory adds up what tenant has in period under one GWP set; results of different sets are
// never added together. An empty period is no error. Errors: ErrUnavailable.
func (l *Ledger) Inventory(ctx context.Context, tenant, period, gwpSet string) (Inventory, error) {
	const sql = `
SELECT grouping(scope, category) <> 0, coalesce(scope, ''), coalesce(category, ''), count(*),
    count(*) FILTER (WHERE status = 'complete'),
    coalesce(trim_scale(sum(co2e_kg)), 0)::text,
    CASE WHEN bool_or(market_held) THEN NULL
        ELSE coalesce(trim_scale(sum(coalesce(co2e_market_kg, co2e_kg))), 0)::text END,
    coalesce(trim_scale(sum(outside_kg)), 0)::text
FROM calculations WHERE tenant = $1 AND period = $2 AND gwp_set = $3
GROUP BY GROUPING SETS ((scope, category), ())
ORDER BY 2, 3`
	const other = `SELECT count(*) FROM calculations
		WHERE tenant = $1 AND period = $2 AND gwp_set <> $3`
	var inv Inventory
	err := l.read(ctx, func(ctx context.Context, c *pgx.Conn) error {
		inv = Inventory{}
		rows, err := c.Query(ctx, sql, tenant, period, gwpSet)
		if err != nil {
			return err
		}
		var t Total
		var all bool
		_, err = pgx.ForEachRow(rows, []any{
			&all, &t.Scope, &t.Category, &t.Count, &t.Complete,
			&t.CO2e, &t.Market, &t.Outside,
		}, func() error {
			if all {
				inv.All = t
				return nil
			}
			inv.Lines = append(inv.Lines, t)
			return nil
		})
		if err != nil {
			return err
		}
		return c.QueryRow(ctx, other, tenant, period, gwpSet).Scan(&inv.Other)
	})
	return inv, err
}
