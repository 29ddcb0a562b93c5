package scenarios

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"squall/reports/verdict"
	"strings"
	"testing"
)

// TestReadme parses every YAML block of README.md and holds its reference against the code.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no YAML block")
	}
	for i, b := range blocks {
		name := regexp.MustCompile(`(?m)^name: (\S+)`).FindStringSubmatch(b[1])
		if name == nil {
			t.Errorf("block %d names no scenario", i+1)
			continue
		}
		if _, err := Parse(name[1]+".yaml", []byte(b[1]), nil); err != nil {
			t.Errorf("block %d:\n%v", i+1, err)
		}
	}
	for _, m := range verdict.Metrics() {
		if !strings.Contains(text, "`"+m+"`") && !strings.Contains(text, "`"+m+"(") {
			t.Errorf("README.md does not name the metric %s", m)
		}
	}
	for _, s := range List() {
		if !strings.Contains(text, "`"+s.Name+"`") {
			t.Errorf("README.md does not name the scenario %s", s.Name)
		}
	}
	for _, name := range fieldNames(reflect.TypeFor[Scenario]()) {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("README.md does not name the field %s", name)
		}
	}
	for path, f := range fieldTable() {
		for _, value := range f.enum {
			if !strings.Contains(text, fmt.Sprintf("`%s`", value)) {
				t.Errorf("README.md does not name the value %s of %s", value, path)
			}
		}
	}
}

// fieldNames are the names of all YAML fields below a type.
func fieldNames(t reflect.Type) []string {
	switch {
	case formOf(t).words != "":
		return nil
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
		return fieldNames(t.Elem())
	case t.Kind() != reflect.Struct:
		return nil
	}
	var names []string
	for name, field := range fieldTypes(t) {
		names = append(append(names, name), fieldNames(field)...)
	}
	return names
}
