package target

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Duration is a time.Duration that reads and prints as "30s" in YAML and JSON.
type Duration time.Duration

// UnmarshalYAML reads a duration with its unit, such as 30s or 1m30s.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return typeError(n, "a duration with its unit, such as 30s or 1m30s")
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON prints the duration as a string with its unit.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// Bytes is a size in bytes that reads as "256MiB", "1GiB" or "500MB" in YAML.
type Bytes int64

// UnmarshalYAML reads a size with its unit: B, kB, MB, GB, KiB, MiB, GiB.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error {
	units := []struct {
		suffix string
		factor float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}
	for _, u := range units {
		text, found := strings.CutSuffix(n.Value, u.suffix)
		if !found {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || v <= 0 {
			break
		}
		*b = Bytes(v * u.factor)
		return nil
	}
	return typeError(n, "a size with its unit, such as 256MiB")
}

// typeError says where a scalar is wrong and what would be right. yaml.v3 collects TypeErrors, so
// that all mistakes of a file are reported at once.
func typeError(n *yaml.Node, want string) error {
	return &yaml.TypeError{Errors: []string{
		fmt.Sprintf("line %d: column %d: want %s, got %q", n.Line, n.Column, want, n.Value),
	}}
}
