// Package reporting answers inventories from the read replica.
package reporting

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"squall/target/ecotrack/carbon"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/ledger"
)

var quarter = regexp.MustCompile(`^\d{4}-Q[1-4]$`)

// Store is where inventories come from: *ledger.Ledger, or an in-memory one in tests.
type Store interface {
	Inventory(ctx context.Context, tenant, period, gwpSet string) (ledger.Inventory, error)
}

// Reporting answers the routes of the reporting role.
type Reporting struct{ store Store }

// New returns a reporting role that reads from store.
func New(store Store) *Reporting { return &Reporting{store} }

// Register adds the routes to s.
func (r *Reporting) Register(s *engine.Service) {
	s.Handle("GET /v1/inventories/{period}", r.inventory)
}

// inventoryJSON is an inventory as the API shows it.
type inventoryJSON struct {
	Period  string         `json:"period"`
	Tenant  string         `json:"tenant"`
	GWPSet  string         `json:"gwp_set"`
	Total   ledger.Total   `json:"total"`
	Lines   []ledger.Total `json:"lines"` // by scope and category
	Count   int64          `json:"count"`
	Other   int64          `json:"count_other_gwp_sets"` // not added in: sets do not mix
	Covered string         `json:"coverage"`             // share of Count with status complete, 0 to 1
}

// inventory answers the roll-up of one quarter; gwp_set chooses the set, AR5 by default.
func (r *Reporting) inventory(w http.ResponseWriter, req *http.Request) error {
	tenant, err := engine.Tenant(req)
	if err != nil {
		return err
	}
	period := req.PathValue("period")
	if !quarter.MatchString(period) {
		return engine.NewProblem(http.StatusUnprocessableEntity, engine.CodePeriod,
			"a period is a quarter such as 2026-Q1, got %q", period)
	}
	set := carbon.DefaultGWPSet
	if name := req.URL.Query().Get("gwp_set"); name != "" {
		if set, err = carbon.ParseGWPSet(name); err != nil {
			return err
		}
	}
	inv, err := r.store.Inventory(req.Context(), tenant, period, string(set))
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	answer := inventoryJSON{
		Period: period, Tenant: tenant, GWPSet: string(set), Total: inv.All,
		Lines: append([]ledger.Total{}, inv.Lines...), Count: inv.All.Count, Other: inv.Other,
		Covered: coverage(inv.All.Complete, inv.All.Count),
	}
	engine.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// coverage returns complete/count with four decimals (rule R29), "0" for an empty period. It is cut
// off, not rounded: 1.0000 means every single one.
func coverage(complete, count int64) string {
	if count == 0 {
		return "0"
	}
	share := complete * 10_000 / count
	return fmt.Sprintf("%d.%04d", share/10_000, share%10_000)
}
