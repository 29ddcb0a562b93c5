package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func TestSchemaGolden(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.golden.json", string(schema))
}

// TestFieldTable holds the table of words against the Go types, both ways.
func TestFieldTable(t *testing.T) {
	table := slices.Sorted(maps.Keys(fieldTable()))
	var types []string
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if path != "" {
			types = append(types, path)
		}
		switch {
		case formOf(typ).words != "":
		case typ.Kind() == reflect.Slice:
			walk(typ.Elem(), path+"[]")
		case typ.Kind() == reflect.Map:
			walk(typ.Elem(), path+".{}")
		case typ.Kind() == reflect.Struct:
			for name, field := range fieldTypes(typ) {
				walk(field, join(path, name))
			}
		}
	}
	walk(reflect.TypeFor[Scenario](), "")
	slices.Sort(types)
	if diff := cmp.Diff(types, table); diff != "" {
		t.Errorf("fields of the types and of the table (-types +table):\n%s", diff)
	}
}

func TestShippedMatchSchema(t *testing.T) {
	for _, s := range List() {
		data, err := shipped.ReadFile(s.Name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range againstSchema(t, data) {
			t.Errorf("%s: %s", s.Name, m)
		}
	}
}

// TestBadAgainstSchema shows that the check above turns red on what a schema can see.
func TestBadAgainstSchema(t *testing.T) {
	for file, want := range map[string]string{
		"unknown-field":         "load.colour: unknown",
		"wrong-type":            "load.mix: want array",
		"many-mistakes":         `load.profile.kind: "stedy" is not in the enum`,
		"missing-blocks":        "load: missing",
		"duration-without-unit": "load.profile.for: want string",
		"rate-without-unit":     "load.profile.to: \"200000/d\" does not match",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", file+".bad.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		got := againstSchema(t, data)
		if !slices.ContainsFunc(got, func(m string) bool { return strings.HasPrefix(m, want) }) {
			t.Errorf("%s against the schema = %q, want one that begins with %q", file, got, want)
		}
	}
}

// TestSchemaPatterns holds the patterns against the decoders: what one accepts the other does too.
func TestSchemaPatterns(t *testing.T) {
	for _, value := range []string{
		"30s", "1m30s", "200ms", "1.5s", "30", "200/s", "0.5/m", "200000/h", "200/d",
		"/s", "1d=45s", "12h=20s", "1d=45", "256MiB", "1.5GiB", "256", "2%", "0.5%", "2", "lost_writes == 0",
	} {
		for _, typ := range fieldTypesWithForm() {
			node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
			decodes := node.Decode(reflect.New(typ).Interface()) == nil
			matches := regexp.MustCompile(formOf(typ).pattern).MatchString(value)
			if formOf(typ).pattern != "" && decodes != matches {
				t.Errorf("%v: %q decodes: %t, matches its pattern: %t", typ, value, decodes, matches)
			}
		}
	}
}

func fieldTypesWithForm() []reflect.Type {
	var types []reflect.Type
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch {
		case formOf(t).words != "":
			types = append(types, t)
		case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
			walk(t.Elem())
		case t.Kind() == reflect.Struct:
			for _, field := range fieldTypes(t) {
				walk(field)
			}
		}
	}
	walk(reflect.TypeFor[Scenario]())
	return types
}

// againstSchema checks a YAML file against the schema with a checker of its own: types, unknown and
// missing fields, enums and patterns.
func againstSchema(t *testing.T, data []byte) []string {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	var mistakes []string
	checkValue(value, schema, "", func(path, format string, args ...any) {
		mistakes = append(mistakes, path+": "+fmt.Sprintf(format, args...))
	})
	return mistakes
}

func checkValue(value any, schema map[string]any, path string, bad func(path, format string, args ...any)) {
	switch v := value.(type) {
	case map[string]any:
		if schema["type"] != "object" {
			bad(path, "want %s, got object", schema["type"])
			return
		}
		checkObject(v, schema, path, bad)
	case []any:
		if schema["type"] != "array" {
			bad(path, "want %s, got array", schema["type"])
			return
		}
		for i, entry := range v {
			checkValue(entry, schema["items"].(map[string]any), index(path, i), bad)
		}
	case string:
		checkText(v, schema, path, bad)
	case time.Time:
		if schema["format"] != "date-time" {
			bad(path, "want %s, got an instant", schema["type"])
		}
	case int, float64:
		if schema["type"] != "integer" && schema["type"] != "number" {
			bad(path, "want %s, got a number", schema["type"])
		}
	default:
		bad(path, "want %s, got %v", schema["type"], v)
	}
}

func checkObject(v, schema map[string]any, path string, bad func(path, format string, args ...any)) {
	properties, _ := schema["properties"].(map[string]any)
	others, _ := schema["additionalProperties"].(map[string]any)
	for name, below := range v {
		switch property, known := properties[name].(map[string]any); {
		case known:
			checkValue(below, property, join(path, name), bad)
		case others != nil:
			keys, _ := schema["propertyNames"].(map[string]any)
			checkText(name, map[string]any{"type": "string", "enum": keys["enum"]}, join(path, name), bad)
			checkValue(below, others, join(path, name), bad)
		default:
			bad(join(path, name), "unknown")
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, present := v[name.(string)]; !present {
			bad(join(path, name.(string)), "missing")
		}
	}
}

func checkText(v string, schema map[string]any, path string, bad func(path, format string, args ...any)) {
	if schema["type"] != "string" {
		bad(path, "want %s, got string %q", schema["type"], v)
		return
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, any(v)) {
		bad(path, "%q is not in the enum", v)
	}
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
		bad(path, "%q does not match %s", v, pattern)
	}
}
