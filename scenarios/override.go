package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// pathStep is one step of a path such as faults[0].at: a key of a mapping or an index of a list.
type pathStep struct {
	key     string
	index   int
	isIndex bool
}

// splitPath takes a path such as load.profile.steps[1].for apart.
func splitPath(path string) ([]pathStep, error) {
	var steps []pathStep
	for i, part := range strings.Split(path, ".") {
		key, indexes, _ := strings.Cut(part, "[")
		if key == "" && (i > 0 || indexes == "") {
			return nil, fmt.Errorf("want a path such as load.profile.for or faults[0].at, got %q", path)
		}
		if key != "" {
			steps = append(steps, pathStep{key: key})
		}
		if len(key) == len(part) {
			continue
		}
		for index := range strings.SplitSeq(indexes, "[") {
			number, closed := strings.CutSuffix(index, "]")
			n, err := strconv.ParseUint(number, 10, 16)
			if !closed || err != nil {
				return nil, fmt.Errorf("want an index such as [0], got %q", "["+index)
			}
			steps = append(steps, pathStep{index: int(n), isIndex: true})
		}
	}
	return steps, nil
}

// override applies the settings in order. Nodes that come from a setting carry its negative number
// as line, so that whatever is wrong with them names the setting.
func (d *document) override(settings Overrides) {
	d.overrides = settings
	if d.root == nil {
		return
	}
	for i, setting := range settings {
		if field, err := d.overrideOne(-i-1, setting); err != nil {
			d.addAt(&yaml.Node{Line: -i - 1}, field, "%s", err)
		}
	}
}

func (d *document) overrideOne(line int, setting string) (field string, err error) {
	field, text, found := strings.Cut(setting, "=")
	if !found {
		return "", fmt.Errorf("want path=value, such as load.profile.for=30s, got %q", setting)
	}
	steps, err := splitPath(field)
	if err != nil {
		return "", err
	}
	var parsed yaml.Node
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		return field, fmt.Errorf("want a YAML value, got %q: %w", text, err)
	}
	value := documentStart(&parsed)
	if value.Kind == 0 {
		value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	if selfReference(value, map[*yaml.Node]int{}) != "" {
		return field, fmt.Errorf("want a value without anchors, got %q", text)
	}
	mark(value, line, map[*yaml.Node]bool{})
	return field, set(&d.root, steps, value, line)
}

// mark gives a node and all below it the place of an override.
func mark(n *yaml.Node, line int, seen map[*yaml.Node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	n.Line, n.Column = line, 0
	if n.Alias != nil {
		mark(n.Alias, line, seen)
	}
	for _, c := range n.Content {
		mark(c, line, seen)
	}
}

// set puts value at the path below slot. Mappings that are missing on the way are made. Every node on
// the way is copied first: it may be reached through an alias, and its other users keep what they had.
func set(slot **yaml.Node, steps []pathStep, value *yaml.Node, line int) error {
	if len(steps) == 0 {
		*slot = value
		return nil
	}
	clone := *deref(*slot)
	clone.Anchor = ""
	clone.Content = slices.Clone(clone.Content)
	*slot = &clone
	n, step := &clone, steps[0]
	if step.isIndex {
		switch {
		case n.Kind != yaml.SequenceNode:
			return fmt.Errorf("want a field name, got the index [%d] on what is no list", step.index)
		case step.index >= len(n.Content):
			return fmt.Errorf("want an index below %d, got [%d]", len(n.Content), step.index)
		}
		return set(&n.Content[step.index], steps[1:], value, line)
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		*slot = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
		n = *slot
	case n.Kind == yaml.SequenceNode:
		return fmt.Errorf("want an index such as [0] into the list, got %q", step.key)
	case n.Kind != yaml.MappingNode:
		return fmt.Errorf("want a path to a field, got %q below the plain value %q", step.key, n.Value)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if deref(n.Content[i]).Value == step.key {
			return set(&n.Content[i+1], steps[1:], value, line)
		}
	}
	// The new key shadows one that a merge brings in, so it starts from the merged value.
	fresh := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: line}
	if merged := child(n, step); merged != nil {
		fresh = &yaml.Node{Kind: yaml.AliasNode, Alias: deref(merged), Line: line}
	}
	if err := set(&fresh, steps[1:], value, line); err != nil {
		return err
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step.key, Line: line}
	n.Content = append(n.Content, key, fresh)
	return nil
}
