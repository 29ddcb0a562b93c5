package chaos

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Percent is a share, 0 to 100; it reads as "2%" in YAML and is stored as 2.
type Percent float64

// UnmarshalYAML reads "2%" or "0.5%".
func (p *Percent) UnmarshalYAML(n *yaml.Node) error {
	text, found := strings.CutSuffix(n.Value, "%")
	v, err := strconv.ParseFloat(text, 64)
	if !found || err != nil || v < 0 || v > 100 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf(
			"line %d: column %d: want a share from 0%% to 100%%, such as 2%%, got %q", n.Line, n.Column, n.Value)}}
	}
	*p = Percent(v)
	return nil
}

// MarshalJSON prints the share with its sign, "2%".
func (p Percent) MarshalJSON() ([]byte, error) {
	return json.Marshal(strconv.FormatFloat(float64(p), 'g', -1, 64) + "%")
}
