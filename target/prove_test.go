package target

import (
	"testing"
	"time"
)

// TestProveAKilledRunIsGone: rule 4 of DESIGN.md promises that a run killed with SIGKILL is gone within 10 s.
func TestProveAKilledRunIsGone(t *testing.T) {
	const bound = 10 * time.Second
	for range 3 {
		took := killARun(t)
		t.Logf("FIGURE a killed run is gone after %.1f s, bound %.0f s", took.Seconds(), bound.Seconds())
		if took > bound {
			t.Errorf("a killed run was gone after %s, want at most %s", took, bound)
		}
	}
}
