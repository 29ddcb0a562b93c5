package reporting

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/ledger"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixed is a Store that always gives the same answer and remembers the question.
type fixed struct {
	inventory ledger.Inventory
	err       error
	asked     []string
}

// Inventory returns the fixed inventory.
func (f *fixed) Inventory(_ context.Context, tenant, period, set string) (ledger.Inventory, error) {
	f.asked = []string{tenant, period, set}
	return f.inventory, f.err
}

func get(t *testing.T, f *fixed, path, tenant string) (int, map[string]any) {
	t.Helper()
	s := engine.NewService(engine.ServiceOptions{})
	New(f).Register(s)
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	req.Header.Set("X-Tenant", tenant)
	s.ServeHTTP(rec, req)
	var v map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, rec.Body)
	}
	return rec.Code, v
}

func TestInventory(t *testing.T) {
	market := "4.3"
	f := &fixed{inventory: ledger.Inventory{
		All:   ledger.Total{Count: 3, Complete: 2, CO2e: "10.3", Market: &market, Outside: "0"},
		Lines: []ledger.Total{{Scope: "1", Category: "c", Count: 3, Complete: 2, CO2e: "10.3", Outside: "0"}},
		Other: 1,
	}}
	status, got := get(t, f, "/v1/inventories/2026-Q1?gwp_set=AR6", "acme")
	want := map[string]any{
		"period": "2026-Q1", "tenant": "acme", "gwp_set": "AR6", "count": 3.0, "count_other_gwp_sets": 1.0,
		"coverage": "0.6666",
		"total": map[string]any{
			"count": 3.0, "complete": 2.0, "co2e_kg": "10.3", "co2e_market_kg": "4.3",
			"outside_kg": "0",
		},
		"lines": []any{map[string]any{
			"scope": "1", "category": "c", "count": 3.0, "complete": 2.0,
			"co2e_kg": "10.3", "co2e_market_kg": nil, "outside_kg": "0",
		}},
	}
	if diff := cmp.Diff(want, got); status != 200 || diff != "" {
		t.Errorf("inventory = %d (-want +got):\n%s", status, diff)
	}
	if diff := cmp.Diff([]string{"acme", "2026-Q1", "AR6"}, f.asked); diff != "" {
		t.Errorf("asked of the store (-want +got):\n%s", diff)
	}
}

func TestInventoryProblems(t *testing.T) {
	tests := []struct {
		name, path, tenant string
		err                error
		status             int
		code               string
	}{
		{"no quarter", "/v1/inventories/2026", "", nil, 422, engine.CodePeriod},
		{"unknown GWP set", "/v1/inventories/2026-Q1?gwp_set=AR7", "", nil, 422, "gwp_set_unknown"},
		{"bad tenant", "/v1/inventories/2026-Q1", "a b", nil, 400, engine.CodeTenant},
		{"replica down", "/v1/inventories/2026-Q1", "", ledger.ErrUnavailable, 503, engine.CodeStoreUnavailable},
		{"no such route", "/v1/estimates", "", nil, 404, engine.CodeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, got := get(t, &fixed{err: tt.err}, tt.path, tt.tenant)
			if status != tt.status || got["code"] != tt.code {
				t.Errorf("GET %s = %d %v, want %d %s", tt.path, status, got, tt.status, tt.code)
			}
		})
	}
}

func TestCoverage(t *testing.T) {
	tests := []struct {
		complete, count int64
		want            string
	}{{3, 3, "1.0000"}, {2, 3, "0.6666"}, {99_999, 100_000, "0.9999"}, {0, 3, "0.0000"}, {0, 0, "0"}}
	for _, tt := range tests {
		if got := coverage(tt.complete, tt.count); got != tt.want {
			t.Errorf("coverage(%d, %d) = %s, want %s", tt.complete, tt.count, got, tt.want)
		}
	}
}
