package target

import (
	"strings"
	"testing"
)

func TestModulesScript(t *testing.T) {
	const (
		refused = `[ "$1" = env ] && { echo "https://proxy.example"; exit; }
echo "go: example.com/m@v1.0.0: Get \"https://proxy.example/m\": dial tcp 192.0.2.1:443: connect: connection refused" >&2; exit 1`
		untidy = `echo "main.go:4:2: no required module provides package example.com/m" >&2; exit 1`
	)
	tests := []struct {
		name   string
		golang string
		code   int
		says   string
		tries  int
	}{
		{"they are there", "", 0, "", 1},
		{"away for its first three tries", `[ "$(grep -c list "$CALLS")" -gt 3 ] || { ` + refused + `; }`, 0, "try 3: exit status 1", 4},
		{"away for good", refused, 5, "the Go module proxy (https://proxy.example) must answer", 6},
		{"what go printed last is shown", refused, 5, "connect: connection refused", 6},
		{"silent", `[ "$1" = env ] || exit 124`, 5, "must answer", 6},
		{"a mistake in the source is no bad minute", untidy, 1, "no required module provides package", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, output, calls := runScript(t, "modules.sh", map[string]string{"go": tt.golang})
			if code != tt.code || !strings.Contains(output, tt.says) {
				t.Errorf("exit code %d, want %d, and %q in its output:\n%s", code, tt.code, tt.says, output)
			}
			if got := strings.Count(calls, "go list"); got != tt.tries {
				t.Errorf("%d tries, want %d; its calls:\n%s", got, tt.tries, calls)
			}
		})
	}
}
