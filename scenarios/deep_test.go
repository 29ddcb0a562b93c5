package scenarios_test

import (
	"testing"
	"time"
)

// TestDeepShippedScenarios plays what is shipped as it is shipped, with its strict objectives: on a quiet machine all are met.
func TestDeepShippedScenarios(t *testing.T) {
	for _, name := range []string{"baseline", "engine-crash", "slow-network", "database-failover", "quarterly-peak"} {
		t.Run(name, func(t *testing.T) {
			code, res := own(t, name).play(t)
			if code != 0 {
				t.Errorf("squall run %s: exit %d, outcome %s, want 0 and met: %q", name, code, res.Outcome, res.Reasons)
			}
		})
	}
}

// TestDeepControlsTurnRed plays the controls on the whole system, as they are shipped.
func TestDeepControlsTurnRed(t *testing.T) {
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) { c.turnsRed(t) })
	}
}

func TestDeepKill9ThenRecover(t *testing.T) {
	for _, fault := range []string{"engine-crash", "primary-crash"} {
		t.Run(fault, func(t *testing.T) { kill9ThenRecover(t, kinds[fault]) })
	}
}

// TestDeepInterruptWhileStarting ends a run before its system is up.
func TestDeepInterruptWhileStarting(t *testing.T) {
	s := own(t, "testdata/e2e")
	p := start(t, "run", s.file, "--out", t.TempDir(), "--set", "target={nodes: "+smallNodes+"}")
	p.await(t, "node ", 4*time.Minute)
	p.interrupt(t)
	if code := p.wait(t, 3*time.Minute); code != 130 {
		t.Errorf("SIGINT while starting: exit %d, want 130", code)
	}
	s.noLeftovers(t, 0)
}
