package scenarios

import (
	"errors"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// visit is one look at a node as a value of one type.
type visit struct {
	node *yaml.Node
	as   reflect.Type
}

// gaps are the entries of a list that cannot be used: yaml.v3 would close them, and every later entry would get another index.
type gaps struct {
	all []*yaml.Node
	at  []int // rising
}

// decode fills out, a pointer to a struct, from the document. It reports every field that is
// unknown, doubled or of a wrong type, takes it out of the tree, and decodes what is left, so that
// the meaning of the rest can still be checked. It returns false when there is nothing to check.
func (d *document) decode(out any) bool {
	if d.root == nil {
		return false
	}
	t := reflect.TypeOf(out).Elem()
	usable := d.check(d.root, t, "")
	for _, p := range d.problems {
		d.unusable = append(d.unusable, p.Field)
	}
	if !usable {
		return false
	}
	if err := d.root.Decode(out); err != nil {
		// Cannot come from a field, all of which decoded on their own: too many aliases, say.
		d.addAt(d.root, "", "want a scenario that can be decoded: %s", plainError(err))
		return false
	}
	d.reopen(d.root, reflect.ValueOf(out).Elem())
	for n, g := range d.gaps {
		n.Content = g.all
	}
	return true
}

// reopen gives each list its unusable entries back, empty, so that the index of every other one is that of the file again.
func (d *document) reopen(n *yaml.Node, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	n = deref(n)
	switch {
	case kindOf(v.Type()) != n.Kind || n.Kind == yaml.ScalarNode:
	case v.Kind() == reflect.Slice:
		for i := range min(v.Len(), len(n.Content)) {
			d.reopen(n.Content[i], v.Index(i))
		}
		for _, i := range d.gaps[n].at {
			v.Set(reflect.AppendSlice(
				reflect.Append(v.Slice3(0, i, i), reflect.Zero(v.Type().Elem())), v.Slice(i, v.Len())))
		}
	case v.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if value := child(n, pathStep{key: name}); value != nil && f.IsExported() && name != "" {
				d.reopen(value, v.FieldByIndex(f.Index))
			}
		}
	}
}

// check compares a node with the Go type that it will be decoded into. It returns false when the
// value as a whole cannot be used and must be taken out; mistakes within a list or a mapping are
// taken out there.
func (d *document) check(n *yaml.Node, t reflect.Type, path string) (usable bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	target := deref(n)
	if n.Kind == yaml.AliasNode {
		if d.checked[visit{target, t}] {
			return true
		}
	} else if target.Anchor != "" {
		d.checked[visit{target, t}] = true
	}
	if target.Kind == yaml.ScalarNode && target.ShortTag() == "!!null" {
		d.addAt(n, path, "want %s, got nothing", wanted(t))
		return false
	}
	kind := kindOf(t)
	if kind != target.Kind {
		d.addAt(n, path, "want %s, got %s", wanted(t), shown(target))
		return false
	}
	switch {
	case kind == yaml.ScalarNode:
		return d.checkScalar(n, t, path)
	case kind == yaml.SequenceNode:
		d.checkList(target, t, path)
	case t.Kind() == reflect.Map:
		d.checkMapping(target, path, func(*yaml.Node) reflect.Type { return t.Elem() })
	default:
		d.checkStruct(target, t, path)
	}
	return true
}

// checkList checks every entry; those that cannot be used are taken out until the rest is decoded.
func (d *document) checkList(n *yaml.Node, t reflect.Type, path string) {
	kept := make([]*yaml.Node, 0, len(n.Content))
	g := gaps{all: n.Content}
	for i, entry := range n.Content {
		if d.check(entry, t.Elem(), index(path, i)) {
			kept = append(kept, entry)
		} else {
			g.at = append(g.at, i)
		}
	}
	if len(g.at) > 0 {
		d.gaps[n], n.Content = g, kept
	}
}

// checkStruct checks the fields of a mapping against those of a struct.
func (d *document) checkStruct(n *yaml.Node, t reflect.Type, path string) {
	fields := fieldTypes(t)
	d.checkMapping(n, path, func(key *yaml.Node) reflect.Type {
		if field, known := fields[key.Value]; known {
			return field
		}
		names := slices.Sorted(maps.Keys(fields))
		hint := "known are " + strings.Join(names, ", ")
		if near := similar(key.Value, names); near != "" {
			hint = "did you mean " + near + "?"
			d.unusable = append(d.unusable, join(path, near))
		}
		d.addAt(key, join(path, key.Value), "unknown field, %s", hint)
		return nil
	})
}

// keyType says as what type the value of a mapping's key is read; nil: not at all.
type keyType func(key *yaml.Node) reflect.Type

// checkMapping checks every value of a mapping as the type that its key asks for.
// Pairs that cannot be used are taken out.
func (d *document) checkMapping(n *yaml.Node, path string, typeOf keyType) {
	kept := make([]*yaml.Node, 0, len(n.Content))
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := deref(n.Content[i]), n.Content[i+1]
		if isMerge(n.Content[i]) {
			if d.checkMerge(value, path, typeOf) {
				kept = append(kept, key, value)
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			d.addAt(n.Content[i], path, "want a field name, got %s", shown(key))
			continue
		}
		if line, doubled := lines[key.Value]; doubled {
			d.addAt(n.Content[i], join(path, key.Value),
				"want each field once, got it again (first on line %d)", line)
			continue
		}
		lines[key.Value] = key.Line
		if t := typeOf(key); t != nil && d.check(value, t, join(path, key.Value)) {
			kept = append(kept, key, value)
		}
	}
	n.Content = kept
}

// checkMerge checks what the merge key `<<` brings into a mapping.
func (d *document) checkMerge(value *yaml.Node, path string, typeOf keyType) bool {
	for _, merged := range mergedMappings(value) {
		merged = deref(merged)
		if merged.Kind != yaml.MappingNode {
			d.addAt(value, path, "want a mapping to merge, got %s", shown(merged))
			return false
		}
		seen := visit{merged, nil}
		if !d.checked[seen] {
			d.checked[seen] = true
			d.checkMapping(merged, path, typeOf)
		}
	}
	return true
}

// checkScalar decodes one plain value on its own to see whether it can be.
func (d *document) checkScalar(n *yaml.Node, t reflect.Type, path string) bool {
	target := deref(n)
	value := reflect.New(t)
	if err := target.Decode(value.Interface()); err != nil {
		text := "want " + wanted(t) + ", got " + shown(target)
		if reflect.PointerTo(t).Implements(unmarshalerType()) {
			text = strings.TrimPrefix(plainError(err), "objective ")
		}
		d.addAt(n, path, "%s", text)
		return false
	}
	number, isFloat := reflect.TypeAssert[float64](value.Elem())
	length, isDuration := reflect.TypeAssert[time.Duration](value.Elem())
	switch {
	case isFloat && (math.IsNaN(number) || math.IsInf(number, 0)), isDuration && length < 0:
		d.addAt(n, path, "want %s, got %s", wanted(t), shown(target))
		return false
	}
	return true
}

// yamlPlace is what yaml.v3 and the UnmarshalYAML of the rooms put before their messages; the place
// is known better here.
var yamlPlace = regexp.MustCompile(`^(yaml: )?(unmarshal errors:\s+)?(line \d+: )?(column \d+: )?`)

// plainError is the text of a decoding error without its place.
func plainError(err error) string {
	text := err.Error()
	if many, ok := errors.AsType[*yaml.TypeError](err); ok && len(many.Errors) > 0 {
		text = strings.Join(many.Errors, "; ")
	}
	return yamlPlace.ReplaceAllString(text, "")
}

// kindOf is the kind of node that a Go type is written as.
func kindOf(t reflect.Type) yaml.Kind {
	switch {
	case reflect.PointerTo(t).Implements(unmarshalerType()), t == reflect.TypeFor[time.Time]():
		return yaml.ScalarNode // every UnmarshalYAML of the rooms reads a plain value
	case t.Kind() == reflect.Slice:
		return yaml.SequenceNode
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return yaml.MappingNode
	}
	return yaml.ScalarNode
}

func unmarshalerType() reflect.Type { return reflect.TypeFor[yaml.Unmarshaler]() }

// fieldTypes are the YAML fields of a struct and their types.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.IsExported() && name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// wanted says in words what a value of a type looks like in a scenario file.
func wanted(t reflect.Type) string {
	if text := formOf(t).words; text != "" {
		return text
	}
	switch kindOf(t) {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping of fields"
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode: // the Go type tells
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Uint64, reflect.Uint32, reflect.Uint:
		return "a whole number of zero or more"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	default:
		return "text"
	}
}

// shown prints a node the way messages quote it.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	default:
		return quoted(n.Value)
	}
}
