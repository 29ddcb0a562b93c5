package target

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// ErrNothingSelected says that no node matches a selector now.
var ErrNothingSelected = errors.New("no node matches")

// Select returns the nodes that the selector picks now, in the order of their names. The roles
// primary and standby are asked of Patroni at this moment. Which of several matches are picked is
// drawn from rng. It is an error when nothing matches, or when two nodes say that they are primary.
func (s *System) Select(ctx context.Context, sel Selector, rng *rand.Rand) ([]Node, error) {
	var candidates []Node
	switch sel.Role {
	case RolePrimary:
		primary, _, err := s.Primary(ctx)
		if err != nil {
			return nil, fmt.Errorf("select %s: %w", sel, err)
		}
		candidates = []Node{primary}
	case RoleStandby:
		primaries, standbys, _ := s.databaseRoles(ctx)
		if len(primaries) > 1 {
			return nil, fmt.Errorf("select %s: %w", sel, ErrTwoPrimaries)
		}
		candidates = standbys
	case "":
		candidates = s.Nodes()
	default:
		candidates = s.role(sel.Role)
	}
	candidates = slices.DeleteFunc(candidates, func(n Node) bool {
		return (sel.Zone != "" && n.Zone != sel.Zone) || (sel.Name != "" && n.Name != sel.Name)
	})
	count, err := sel.count(len(candidates))
	if err != nil {
		return nil, fmt.Errorf("select %s: %w", sel, err)
	}
	rng.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	picked := candidates[:count]
	slices.SortFunc(picked, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return picked, nil
}

// count says how many of the matches are picked. A percentage is rounded up: a fault that was
// asked for hits at least one node.
func (sel Selector) count(matches int) (int, error) {
	if matches == 0 {
		return 0, ErrNothingSelected
	}
	switch sel.Mode {
	case "", "one":
		return 1, nil
	case "all":
		return matches, nil
	case "fixed":
		if sel.Value < 1 || sel.Value > matches {
			return 0, fmt.Errorf("value %d, but %d nodes match", sel.Value, matches)
		}
		return sel.Value, nil
	case "percent":
		if sel.Value < 1 || sel.Value > 100 {
			return 0, fmt.Errorf("value must be within 1 and 100 percent, got %d", sel.Value)
		}
		return (matches*sel.Value + 99) / 100, nil
	default:
		return 0, fmt.Errorf("mode must be one, all, fixed or percent, got %q", sel.Mode)
	}
}

// String prints the selector as it is written in a scenario: "role=engine zone=b".
func (sel Selector) String() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	add("role", string(sel.Role))
	add("zone", sel.Zone)
	add("name", sel.Name)
	add("mode", sel.Mode)
	if sel.Value != 0 {
		add("value", strconv.Itoa(sel.Value))
	}
	if len(parts) == 0 {
		return "any"
	}
	return strings.Join(parts, " ")
}
