package factors

import "testing"

func TestLoadReturnsTheWholeSet(t *testing.T) {
	catalogue, err := Load()
	if err != nil {
		t.Fatalf("Load() = %v", err)
	}
	if got := catalogue.Len(); got != 3382 {
		t.Errorf("Load().Len() = %d, want 3382", got)
	}
}
