package scenarios

import (
	"encoding/json"
	"fmt"
	"reflect"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"squall/target"
	"strings"
	"time"
)

// schemaNode is a JSON Schema (draft 2020-12), as far as scenario files need it.
type schemaNode struct {
	Schema        string                 `json:"$schema,omitempty"`
	ID            string                 `json:"$id,omitempty"`
	Title         string                 `json:"title,omitempty"`
	Description   string                 `json:"description,omitempty"`
	Type          string                 `json:"type,omitempty"`
	Format        string                 `json:"format,omitempty"`
	Enum          []string               `json:"enum,omitempty"`
	Pattern       string                 `json:"pattern,omitempty"`
	Minimum       *float64               `json:"minimum,omitempty"`
	Examples      []string               `json:"examples,omitempty"`
	Required      []string               `json:"required,omitempty"`
	Properties    map[string]*schemaNode `json:"properties,omitempty"`
	PropertyNames *schemaNode            `json:"propertyNames,omitempty"`
	// AdditionalProperties is false or a *schemaNode.
	AdditionalProperties any         `json:"additionalProperties,omitempty"`
	Items                *schemaNode `json:"items,omitempty"`
}

// Schema returns a JSON Schema (draft 2020-12) of scenario files, so that editors complete and
// check a file as it is typed. It is made from the Go types that a file is decoded into; the
// words come from the table in fields.go.
func Schema() ([]byte, error) {
	root, err := schemaOf(reflect.TypeFor[Scenario](), "", fieldTable())
	if err != nil {
		return nil, err
	}
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.ID = "urn:squall:scenario"
	root.Title = "Squall scenario"
	root.Description = "What is started, how it is loaded, what is broken, and what must hold."
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return append(text, '\n'), nil
}

// schemaOf makes the schema of one type. path is the field's path with [] for any index and {} for
// any key, as the table of words has it.
func schemaOf(t reflect.Type, path string, table map[string]field) (*schemaNode, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	words := table[path]
	if words.text == "" && path != "" {
		return nil, fmt.Errorf("schema: field %s: no words in the table", path)
	}
	n := &schemaNode{Description: words.text, Enum: words.enum}
	var err error
	switch form := formOf(t); {
	case form.words != "":
		n.Type, n.Pattern, n.Format, n.Examples = "string", form.pattern, form.format, form.examples
	case t.Kind() == reflect.Slice:
		n.Type = "array"
		n.Items, err = schemaOf(t.Elem(), path+"[]", table)
	case t.Kind() == reflect.Map:
		n.Type, n.PropertyNames = "object", &schemaNode{Enum: words.keys}
		n.AdditionalProperties, err = schemaOf(t.Elem(), path+".{}", table)
	case t.Kind() == reflect.Struct:
		err = n.addFields(t, path, table)
	case t.Kind() == reflect.String:
		n.Type = "string"
	case t.Kind() == reflect.Float64:
		zero := 0.0
		n.Type, n.Minimum = "number", &zero
	default:
		zero := 0.0
		n.Type, n.Minimum = "integer", &zero
	}
	return n, err
}

func (n *schemaNode) addFields(t reflect.Type, path string, table map[string]field) error {
	n.Type, n.AdditionalProperties = "object", false
	n.Properties = map[string]*schemaNode{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		below := join(path, name)
		property, err := schemaOf(f.Type, below, table)
		if err != nil {
			return err
		}
		n.Properties[name] = property
		if table[below].required {
			n.Required = append(n.Required, name)
		}
	}
	return nil
}

// form is how a value that is more than a plain word or number is written.
type form struct {
	words    string // for messages: "want " + words; empty: the type has no form of its own
	pattern  string // regular expression, ECMA 262
	format   string // JSON Schema's name of the form
	examples []string
}

// formOf returns the form of the types that carry a unit or a grammar.
func formOf(t reflect.Type) form {
	const number = `[0-9]+(\.[0-9]+)?`
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[target.Duration]():
		return form{
			words:    "a duration with its unit, such as 30s or 1m30s",
			pattern:  `^(` + number + `(ms|s|m|h))+$`,
			examples: []string{"200ms", "30s", "1m30s"},
		}
	case reflect.TypeFor[time.Time]():
		return form{
			words:    "an instant, such as 2026-03-29T12:00:00Z",
			format:   "date-time",
			examples: []string{"2026-03-29T12:00:00Z"},
		}
	case reflect.TypeFor[loadgen.Rate]():
		return form{
			words:    "a rate with its unit, such as 200/s or 200000/h",
			pattern:  `^` + number + `/(s|m|h)$`,
			examples: []string{"200/s", "200000/h"},
		}
	case reflect.TypeFor[loadgen.Compress]():
		return form{
			words:    "calendar time = run time, such as 1d=45s",
			pattern:  `^` + number + `(d|h|m|s)=` + number + `(ms|s|m|h)$`,
			examples: []string{"1d=45s"},
		}
	case reflect.TypeFor[target.Bytes]():
		return form{
			words:    "a size with its unit, such as 256MiB",
			pattern:  `^` + number + ` ?(B|kB|MB|GB|KiB|MiB|GiB)$`,
			examples: []string{"256MiB"},
		}
	case reflect.TypeFor[chaos.Percent]():
		return form{
			words:    "a share from 0% to 100%, such as 2%",
			pattern:  `^` + number + `%$`,
			examples: []string{"2%"},
		}
	case reflect.TypeFor[verdict.Objective]():
		return form{
			words:    "a sentence, such as p99(calculate) <= 300ms before",
			pattern:  `^(` + strings.Join(verdict.Metrics(), "|") + `)\b`,
			examples: []string{"p99(calculate) <= 300ms at peak", "lost_writes == 0"},
		}
	}
	return form{}
}
