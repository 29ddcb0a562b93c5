package scenarios

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Problem is one mistake in a scenario file or in an override of it.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0 in an override
	Column int    `json:"column"` // from 1; 0 in an override
	// Override is the setting that holds the mistake; empty: it is in the file.
	Override string `json:"override,omitempty"`
	Field    string `json:"field"` // path in the file, such as faults[0].for; empty: the whole file
	Text     string `json:"text"`  // what to do, and what was got
}

// String prints the problem as `file:line:column: field: text`, which editors can jump to.
func (p Problem) String() string {
	var b strings.Builder
	if p.Override != "" {
		fmt.Fprintf(&b, "%s: --set %s: ", p.File, p.Override)
	} else {
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Text
}

// InvalidError holds every mistake of a scenario, in the order of the file.
type InvalidError struct{ Problems []Problem }

// Error prints one mistake a line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// document is a scenario file as a tree of nodes that know their place, and what is wrong with it.
//
//	bytes -> parse -> override -> check against the Go types -> decode -> validate
//	           |         |               |                                  |
//	           +---------+----- problems, each with file:line:column -------+
type document struct {
	file      string
	root      *yaml.Node // nil: not readable as one YAML document
	overrides Overrides
	problems  []Problem
	checked   map[visit]bool      // so that a node behind many aliases is looked at once
	gaps      map[*yaml.Node]gaps // by list
	unusable  []string            // paths of fields that did not reach the struct, or were misspelt
}

// newDocument parses data; what is wrong with it lands in problems.
func newDocument(file string, data []byte) *document {
	d := &document{file: file, checked: map[visit]bool{}, gaps: map[*yaml.Node]gaps{}}
	if !utf8.Valid(data) {
		d.badEncoding(data)
		return d
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.add(1, 1, "", "want a scenario, got an empty file")
		return d
	case err != nil:
		d.badSyntax(data, err)
		return d
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		at := documentStart(&second)
		d.add(at.Line, at.Column, "", "want one document a file, got a second one")
	case !errors.Is(err, io.EOF):
		d.badSyntax(data, err)
	}
	root := documentStart(&first)
	if name := selfReference(root, map[*yaml.Node]int{}); name != "" {
		d.add(root.Line, root.Column, "", "want an anchor that does not hold itself, got &%s", name)
		return d
	}
	d.root = root
	return d
}

// documentStart is the value of a document node.
func documentStart(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		return n.Content[0]
	}
	return n
}

// selfReference returns the name of an anchor that holds an alias of itself, if there is one.
// Everything after this check may follow aliases without fear of walking in circles.
func selfReference(n *yaml.Node, state map[*yaml.Node]int) string {
	const open, done = 1, 2
	switch state[n] {
	case open:
		return cmp.Or(n.Anchor, "?")
	case done:
		return ""
	}
	state[n] = open
	defer func() { state[n] = done }()
	if n.Kind == yaml.AliasNode {
		return selfReference(n.Alias, state)
	}
	for _, c := range n.Content {
		if name := selfReference(c, state); name != "" {
			return name
		}
	}
	return ""
}

func (d *document) badEncoding(data []byte) {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			d.add(line, column, "", "want UTF-8, got the byte 0x%02x", data[i])
			return
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		i += size
	}
}

// syntaxPlace takes yaml.v3's "yaml: line 3: did not find ..." apart; it has no typed error.
var syntaxPlace = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// badSyntax explains a file that is not YAML. Tabs are the mistake that yaml.v3 explains worst
// ("found character that cannot start any token"), so they are looked for first.
func (d *document) badSyntax(data []byte, err error) {
	found := false
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 && strings.TrimSpace(text) != "" {
			d.add(line, i+1, "", "indentation: want spaces, got a tab")
			found = true
		}
	}
	if found {
		return
	}
	line, text := 1, err.Error()
	if m := syntaxPlace.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	d.add(line, 1, "", "want YAML, got a syntax error: %s", text)
}

// add notes a problem at a place of the file.
func (d *document) add(line, column int, field, format string, args ...any) {
	d.problems = append(d.problems, Problem{
		File: d.file, Line: line, Column: column,
		Field: field, Text: fmt.Sprintf(format, args...),
	})
}

// addAt notes a problem at a node, which may come from an override: those carry the negative
// number of their setting as line.
func (d *document) addAt(n *yaml.Node, field, format string, args ...any) {
	d.add(n.Line, n.Column, field, format, args...)
	if p := &d.problems[len(d.problems)-1]; n.Line < 0 {
		p.Override, p.Line, p.Column = d.overrides[-n.Line-1], 0, 0
	}
}

// bad notes a mistake of meaning at the field with the given path. A field whose value never reached
// the struct is not complained about twice.
func (d *document) bad(path, format string, args ...any) {
	if !d.wrong(path) {
		d.addAt(d.at(path), path, format, args...)
	}
}

// wrong reports whether the field, something around it or something within it could not be decoded.
func (d *document) wrong(path string) bool {
	return slices.ContainsFunc(d.unusable, func(p string) bool {
		return p == path || within(path, p) || within(p, path)
	})
}

// within reports whether the path inner lies below outer.
func within(inner, outer string) bool {
	rest, found := strings.CutPrefix(inner, outer)
	return found && outer != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// at returns the node whose place is shown for the field with the given path: its value, or the
// nearest mapping or list around it that exists.
func (d *document) at(path string) *yaml.Node {
	n := d.root
	steps, err := splitPath(path)
	if err != nil {
		return n
	}
	for _, step := range steps {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// child returns the value of a mapping's key, own or merged, or a list's entry; nil: there is none.
func child(n *yaml.Node, step pathStep) *yaml.Node {
	return childIn(n, step, map[*yaml.Node]bool{})
}

// childIn looks at no mapping twice: merges of merges of merges would else take for ever.
func childIn(n *yaml.Node, step pathStep, seen map[*yaml.Node]bool) *yaml.Node {
	n = deref(n)
	if seen[n] {
		return nil
	}
	seen[n] = true
	switch {
	case step.isIndex && n.Kind == yaml.SequenceNode && step.index < len(n.Content):
		return n.Content[step.index]
	case step.isIndex || n.Kind != yaml.MappingNode:
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if deref(n.Content[i]).Value == step.key {
			return n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		for _, merged := range mergedMappings(n.Content[i+1]) {
			if found := childIn(merged, step, seen); found != nil {
				return found
			}
		}
	}
	return nil
}

func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isMerge reports whether a key is YAML's merge key, `<<`.
func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// mergedMappings are what a merge key brings in: one mapping, or a list of them.
func mergedMappings(n *yaml.Node) []*yaml.Node {
	if n = deref(n); n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// err is an *InvalidError with all problems in the order of the file, overrides last; nil: none.
func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Override, b.Override), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
	// A node that an override copied along with its surroundings may have been looked at twice.
	return &InvalidError{Problems: slices.Compact(d.problems)}
}
