// Package scenarios reads scenario files, plans what will happen, and conducts the run.
//
// A scenario file says what is started, how it is loaded, what is broken and what must hold. The
// files beside this one are shipped with the program; each asks one question in its first comment.
package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"squall/target"
	"strings"
)

//go:embed *.yaml controls/*.yaml
var shipped embed.FS

// Scenario is what was written: target, load, faults and objectives, with every default filled in.
type Scenario struct {
	// Name equals the base name of the file, so that results, reports and files find each other.
	Name string `yaml:"name" json:"name"`
	// Question is the first sentence of the file's first comment, up to its question mark; empty
	// when the file asks none.
	Question string `yaml:"-" json:"question"`
	// Seed repeats the plan of a run; 0: a new one is drawn for each run.
	Seed uint64 `yaml:"seed" json:"seed"`

	Target     target.Spec         `yaml:"target" json:"target"`
	Load       loadgen.Spec        `yaml:"load" json:"load"`
	Faults     []chaos.Spec        `yaml:"faults" json:"faults"`
	Objectives []verdict.Objective `yaml:"objectives" json:"objectives"`

	// File is the file's name as messages and reports show it.
	File string `yaml:"-" json:"file"`
	// Source is the file as it was read, before any override.
	Source []byte `yaml:"-" json:"-"`
	// Overrides are the `path=value` settings that were applied on top of Source, in order.
	Overrides Overrides `yaml:"-" json:"overrides,omitempty"`
}

// Overrides are `path=value` settings such as `load.profile.for=30s` or `faults[0].at=5s`. They
// are applied to the file, in order, before it is decoded and checked.
type Overrides []string

// WithSet makes the values of `--set` flags into overrides for Load.
func WithSet(settings []string) Overrides { return settings }

// Load reads a scenario: the name of a shipped one, such as "quarterly-peak" or
// "controls/async-replication", or a file, which is anything that exists and holds a slash or ends
// in .yaml. The error is an *InvalidError with every mistake of the file at once, an
// *UnknownError for a name that is neither, or says why the file could not be read.
func Load(name string, overrides ...Overrides) (Scenario, error) {
	file, data, err := open(name)
	if err != nil {
		return Scenario{}, err
	}
	return Parse(file, data, slices.Concat(overrides...))
}

// Parse decodes and checks the bytes of a scenario file; file is its name in messages, and its base
// name without extension is the name that the scenario must carry. Nothing but data is read.
func Parse(file string, data []byte, overrides Overrides) (Scenario, error) {
	d := newDocument(file, data)
	d.override(overrides)
	var s Scenario
	if !d.decode(&s) {
		return Scenario{}, d.err()
	}
	s.Target = s.Target.WithDefaults()
	s.Load = s.Load.WithDefaults()
	s.Faults = chaos.WithDefaults(s.Faults)
	s.validate(d)
	if err := d.err(); err != nil {
		return Scenario{}, err
	}
	s.File, s.Source, s.Overrides = file, data, overrides
	s.Question = question(data)
	return s, nil
}

// Shipped is one line of `squall list`.
type Shipped struct {
	Name     string `json:"name"` // as Load takes it
	Question string `json:"question"`
}

// List returns the shipped scenarios by name, the controls last.
func List() []Shipped {
	var list []Shipped
	for _, name := range shippedNames() {
		data, err := shipped.ReadFile(name + ".yaml")
		if err != nil {
			continue // cannot happen: the name comes from the same embedded tree
		}
		list = append(list, Shipped{Name: name, Question: question(data)})
	}
	return list
}

// UnknownError says that a name is neither a shipped scenario nor a file.
type UnknownError struct {
	Name    string
	Known   []string
	Similar string // the shipped name that was probably meant; empty: none is near
}

// Error names what can be used instead.
func (e *UnknownError) Error() string {
	text := fmt.Sprintf("scenario %q: neither a file nor a shipped scenario (%s)",
		e.Name, strings.Join(e.Known, ", "))
	if e.Similar != "" {
		text += fmt.Sprintf("; did you mean %s?", e.Similar)
	}
	return text
}

// open finds the bytes of a scenario. A file wins only where its name cannot be a shipped one or
// no shipped one is called so, so that a stray file never changes what a name means.
func open(name string) (file string, data []byte, err error) {
	if data, err := shipped.ReadFile(path.Clean(name) + ".yaml"); err == nil {
		return name + ".yaml", data, nil
	}
	info, err := os.Stat(name)
	looksLikeFile := strings.ContainsRune(name, filepath.Separator) || isYAML(name)
	switch {
	case err == nil && info.IsDir():
		return "", nil, fmt.Errorf("scenario %s: is a folder, want a file", name)
	case err == nil && looksLikeFile:
		data, err := os.ReadFile(name)
		if err != nil {
			return "", nil, fmt.Errorf("scenario: %w", err)
		}
		return name, data, nil
	case err != nil && isYAML(name):
		return "", nil, fmt.Errorf("scenario: %w", err)
	}
	known := shippedNames()
	unknown := &UnknownError{Name: name, Known: known, Similar: similar(name, known)}
	if control := "controls/" + name; slices.Contains(known, control) {
		unknown.Similar = control
	}
	return "", nil, unknown
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// shippedNames lists the embedded scenarios in order, the controls last.
func shippedNames() []string {
	var names []string
	for _, pattern := range []string{"*.yaml", "controls/*.yaml"} {
		matches, _ := fs.Glob(shipped, pattern) // the patterns are constant and well-formed
		for _, m := range matches {
			names = append(names, strings.TrimSuffix(m, ".yaml"))
		}
	}
	return names
}

// question takes the first sentence that ends in a question mark out of the comment at the head of
// the file. Lines for editors (`# yaml-language-server: ...`) are passed over.
func question(data []byte) string {
	var words []string
	for line := range strings.Lines(string(data)) {
		text, isComment := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !isComment {
			break
		}
		if text = strings.TrimSpace(text); !strings.HasPrefix(text, "yaml-language-server:") {
			words = append(words, strings.Fields(text)...)
		}
	}
	sentence, _, asked := strings.Cut(strings.Join(words, " "), "?")
	if !asked {
		return ""
	}
	return sentence + "?"
}
