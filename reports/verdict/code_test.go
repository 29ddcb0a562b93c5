package verdict

import "testing"

// TestWorstCode holds DESIGN.md's order: 1 > 5 > 3 > 4 > 0.
func TestWorstCode(t *testing.T) {
	order := []int{1, 5, 3, 4, 0}
	for i, worse := range order {
		for _, better := range order[i:] {
			if got := WorstCode(worse, better); got != worse {
				t.Errorf("WorstCode(%d, %d) = %d, want %d", worse, better, got, worse)
			}
			if got := WorstCode(better, worse); got != worse {
				t.Errorf("WorstCode(%d, %d) = %d, want %d", better, worse, got, worse)
			}
		}
	}
	if got := WorstCode(0, 130); got != 130 {
		t.Errorf("WorstCode(0, 130) = %d, want 130: an unknown code never hides", got)
	}
}
