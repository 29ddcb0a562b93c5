package loadgen

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Rate is requests per second; it reads as "200/s", "50/m" or "200000/h" in YAML.
type Rate float64

// UnmarshalYAML reads a rate with its unit.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	v, err := ParseRate(n.Value)
	if err != nil {
		return typeError(n, "a rate with its unit, such as 200/s or 200000/h")
	}
	*r = v
	return nil
}

// ParseRate reads "200/s", "50/m" or "200000/h"; the rate must be above zero.
func ParseRate(text string) (Rate, error) {
	number, unit, found := strings.Cut(strings.TrimSpace(text), "/")
	per := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	v, err := strconv.ParseFloat(number, 64)
	if !found || per == 0 || err != nil || !(v > 0) {
		return 0, fmt.Errorf("rate %q: want a number above zero and its unit, such as 200/s", text)
	}
	return Rate(v / per), nil
}

// Compress says how much calendar passes in how much run time; it reads as "1d=45s" in YAML.
type Compress struct {
	Calendar time.Duration `json:"calendar"`
	Run      time.Duration `json:"run"`
}

// UnmarshalYAML reads "1d=45s", "12h=20s" and the like; a day is 24 h.
func (c *Compress) UnmarshalYAML(n *yaml.Node) error {
	left, right, _ := strings.Cut(n.Value, "=")
	if days, found := strings.CutSuffix(left, "d"); found {
		if v, err := strconv.ParseFloat(days, 64); err == nil {
			left = fmt.Sprintf("%gh", v*24)
		}
	}
	calendar, err1 := time.ParseDuration(left)
	run, err2 := time.ParseDuration(right)
	if err1 != nil || err2 != nil || calendar <= 0 || run <= 0 {
		return typeError(n, "calendar time = run time, such as 1d=45s")
	}
	*c = Compress{Calendar: calendar, Run: run}
	return nil
}

// typeError says where a scalar is wrong and what would be right. yaml.v3 collects TypeErrors, so
// that all mistakes of a file are reported at once.
func typeError(n *yaml.Node, want string) error {
	return &yaml.TypeError{Errors: []string{
		fmt.Sprintf("line %d: column %d: want %s, got %q", n.Line, n.Column, want, n.Value),
	}}
}
