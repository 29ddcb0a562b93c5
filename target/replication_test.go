package target

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDeepAsyncLosesAcknowledgedWrites shows that the control does what it is for: with
// `replication: async` a SIGKILL of the primary loses writes that were acknowledged, each time.
func TestDeepAsyncLosesAcknowledgedWrites(t *testing.T) {
	system := testUp(t, Spec{
		Replication: "async",
		Nodes:       map[Role]NodeSpec{RoleConsensus: {Count: 1}, RoleQueue: {Count: 1}, RoleEngine: {Count: 1}},
	})
	for kill := 1; kill <= 3; kill++ {
		acked, old := writeUntilKilled(t, system, fmt.Sprintf("kill-%d", kill))
		present := ledgerOfNewPrimary(t, system, old)
		lost := 0
		for _, key := range acked {
			if !present[key] {
				lost++
			}
		}
		t.Logf("kill %d: %d writes acknowledged, %d lost", kill, len(acked), lost)
		if lost == 0 {
			t.Errorf("kill %d: none of %d acknowledged writes was lost, want some", kill, len(acked))
		}
		if err := system.Start(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if err := system.WaitHealthy(within(t, 3*time.Minute), old); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled writes about 70 times a second for a while that differs from kill to kill, then
// kills the primary. It returns the keys whose write was acknowledged before, and the victim.
func writeUntilKilled(t *testing.T, system *System, prefix string) (acked []string, old Node) {
	t.Helper()
	old, _, err := system.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ticker := time.NewTicker(14 * time.Millisecond)
	defer ticker.Stop()
	for i := range 300 {
		<-ticker.C
		wg.Go(func() {
			key := fmt.Sprintf("%s-%d", prefix, i)
			if post(system, key) {
				mu.Lock()
				defer mu.Unlock()
				acked = append(acked, key)
			}
		})
	}
	wg.Wait()
	if err := system.Kill(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	return acked, old
}

// post writes one calculation and says whether it was acknowledged.
func post(system *System, key string) bool {
	request, err := http.NewRequest(http.MethodPost, system.BaseURL()+"/v1/calculations", strings.NewReader(oneCalculation))
	if err != nil {
		return false
	}
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusCreated
}

// ledgerOfNewPrimary waits for another primary and returns the keys that it holds.
func ledgerOfNewPrimary(t *testing.T, system *System, old Node) map[string]bool {
	t.Helper()
	for ctx := within(t, 2*time.Minute); ; {
		now, _, err := system.Primary(ctx)
		if err == nil && now.Name != old.Name {
			rows, err := system.ReadLedger(ctx, now)
			if err == nil {
				present := make(map[string]bool, len(rows))
				for _, r := range rows {
					present[r.Key] = true
				}
				return present
			}
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			t.Fatalf("no other primary than %s within two minutes: %v", old.Name, err)
		}
	}
}
