package target

import (
	"fmt"
	"testing"
	"time"
)

// TestDeepHealthChecksDecideWhatADeadEngineCosts shows the balancer with its checks off beside
// the default: with them the death of an engine is hidden soon, without them it keeps its share.
func TestDeepHealthChecksDecideWhatADeadEngineCosts(t *testing.T) {
	tests := []struct {
		checks               string
		leastShare, maxShare float64 // of requests that fail
	}{
		{"on", 0, 0.1},      // none but what a busy machine costs
		{"off", 0.15, 0.55}, // a third, in a small sample
	}
	for _, test := range tests {
		t.Run(test.checks, func(t *testing.T) {
			system := testUp(t, Spec{
				HealthChecks: test.checks, Failover: "stock",
				Nodes: map[Role]NodeSpec{RoleConsensus: {Count: 1}, RoleQueue: {Count: 1}},
			})
			engine, _ := system.Node("engine-1")
			if err := system.Kill(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
			// Longer than the checks need, and than the balancer needs to ask for names again.
			if err := pause(t.Context(), 5*time.Second); err != nil {
				t.Fatal(err)
			}
			const requests = 60
			failures := 0
			for i := range requests {
				if !post(system, fmt.Sprintf("key-%d", i)) {
					failures++
				}
			}
			if share := float64(failures) / requests; share < test.leastShare || share > test.maxShare {
				t.Errorf("%d of %d requests failed, want a share within %g and %g", failures, requests,
					test.leastShare, test.maxShare)
			}
		})
	}
}
