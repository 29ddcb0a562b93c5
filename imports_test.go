package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// anything allows every import of ours.
const anything = "squall/..."

// importTable is the table "Who may import whom" of DESIGN.md. A key or a value that ends in /...
// stands for the package and all below it; the longest key that fits a package counts.
func importTable() map[string][]string {
	return map[string][]string{
		"squall":     {anything},
		"squall/cmd": {anything},
		"squall/scenarios": {
			"squall/target", "squall/loadgen", "squall/chaos", "squall/reports",
			"squall/reports/verdict",
		},
		"squall/reports":                {"squall/reports/verdict", "squall/loadgen", "squall/chaos"},
		"squall/reports/verdict":        {"squall/loadgen", "squall/chaos"},
		"squall/chaos":                  {"squall/target", "squall/chaos/agent"},
		"squall/chaos/agent":            {},
		"squall/loadgen":                {},
		"squall/target":                 {},
		"squall/target/ecotrack/...":    {"squall/target/ecotrack/..."},
		"squall/target/ecotrack/carbon": {},
	}
}

// onlyHome are foreign modules that one package of ours alone may import.
func onlyHome() map[string]string {
	return map[string]string{
		"github.com/tsenart/vegeta":                   "squall/loadgen",
		"github.com/testcontainers/testcontainers-go": "squall/target",
		"github.com/google/nftables":                  "squall/chaos/agent",
		"github.com/nats-io/nats.go":                  "squall/target/ecotrack/...",
		"github.com/cockroachdb/apd":                  "squall/target/ecotrack/...",
		"github.com/spf13/cobra":                      "squall/cmd",
		"github.com/stretchr/testify":                 "nowhere",
		"math/rand":                                   "nowhere", // math/rand/v2 is another path
	}
}

// goPackage is what `go list` says about a package.
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func TestImports(t *testing.T) {
	mistakes, err := checkImports(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Error(m)
	}
}

// TestImportsTurnsRed proves the checker on a module that breaks every rule once.
func TestImportsTurnsRed(t *testing.T) {
	dir := t.TempDir()
	// Each file is a package comment, a package clause and one import.
	source := func(comment, name, imports string) string {
		if comment != "" {
			comment = "// " + comment + "\n"
		}
		if imports != "" {
			imports = "\nimport _ \"" + imports + "\"\n"
		}
		return comment + "package " + name + "\n" + imports
	}
	const ours = "squall/target/ecotrack/"
	for name, text := range map[string]string{
		"go.mod":                           "module squall\n\ngo 1.26\n",
		"main.go":                          source("Command squall.", "main", "squall/loadgen"),
		"loadgen/a.go":                     source("Package loadgen.", "loadgen", "squall/target"),
		"target/a.go":                      source("", "target", "github.com/tsenart/vegeta/v12/lib"),
		"target/ecotrack/carbon/a.go":      source("Package carbon.", "carbon", ours+"ledger"),
		"target/ecotrack/ledger/a.go":      source("Package ledger.", "ledger", ""),
		"target/ecotrack/ledger/b.go":      source("Package ledger, again.", "ledger", ""),
		"target/ecotrack/engine/a.go":      source("Package engine.", "engine", "squall/loadgen"),
		"reports/helpers/a.go":             source("Package helpers.", "helpers", ""),
		"target/ecotrack/reporting/ok.go":  source("Package reporting.", "reporting", ours+"ledger"),
		"target/ecotrack/testdata/skip.go": source("", "skip", "squall/loadgen"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := checkImports(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"squall/loadgen: imports squall/target, which the table in DESIGN.md forbids",
		"squall/reports/helpers: a package is named by what it provides, not helpers",
		"squall/reports/helpers: not in the table of DESIGN.md",
		"squall/target/ecotrack/carbon: imports squall/target/ecotrack/ledger, which the table in DESIGN.md forbids",
		"squall/target/ecotrack/engine: imports squall/loadgen, which the table in DESIGN.md forbids",
		"squall/target/ecotrack/ledger: want one package comment, got 2",
		"squall/target: imports github.com/tsenart/vegeta/v12/lib, whose only home is squall/loadgen",
		"squall/target: want one package comment, got 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checkImports of a made-up module (-want +got):\n%s", diff)
	}
}

// checkImports returns every breach of the table in the module at dir, sorted.
func checkImports(dir string) ([]string, error) {
	packages, err := listPackages(dir)
	if err != nil {
		return nil, err
	}
	var mistakes []string
	for _, p := range packages {
		add := func(format string, args ...any) {
			mistakes = append(mistakes, p.ImportPath+": "+fmt.Sprintf(format, args...))
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "misc"}, p.Name) {
			add("a package is named by what it provides, not %s", p.Name)
		}
		allowed, known := allowedImports(p.ImportPath)
		if !known {
			add("not in the table of DESIGN.md")
		}
		for _, path := range p.Imports {
			ours := path == "squall" || strings.HasPrefix(path, "squall/")
			if ours && known && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, path) }) {
				add("imports %s, which the table in DESIGN.md forbids", path)
			}
			if home := homeOf(path); home != "" && !covers(home, p.ImportPath) {
				add("imports %s, whose only home is %s", path, home)
			}
		}
		comments, err := packageComments(p)
		if err != nil {
			return nil, err
		}
		if comments != 1 {
			add("want one package comment, got %d", comments)
		}
	}
	slices.Sort(mistakes)
	return mistakes, nil
}

// listPackages asks the go command for the packages of a module. With -e a package that does not
// compile is listed too: its imports are what matters here.
func listPackages(dir string) ([]goPackage, error) {
	c := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,GoFiles,Imports", "./...")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOPROXY=off", "GOWORK=off")
	out, err := c.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(packages) == 0 {
				return nil, errors.New("go list: no packages")
			}
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		if len(p.GoFiles) > 0 { // a folder of tests alone is no package of the program
			packages = append(packages, p)
		}
	}
}

// allowedImports finds the row of the table for a package: the longest key that covers it.
func allowedImports(path string) (allowed []string, known bool) {
	longest := -1
	for key, row := range importTable() {
		if covers(key, path) && len(key) > longest {
			allowed, known, longest = row, true, len(key)
		}
	}
	return allowed, known
}

// covers reports whether pattern names path, or a tree (/...) that holds it.
func covers(pattern, path string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return path == tree || isTree && strings.HasPrefix(path, tree+"/")
}

// homeOf is the only package that may import path; empty: any may.
func homeOf(path string) string {
	for module, home := range onlyHome() {
		if path == module || module != "math/rand" && strings.HasPrefix(path, module+"/") {
			return home
		}
	}
	return ""
}

// packageComments counts the files of a package that carry a package comment.
func packageComments(p goPackage) (int, error) {
	count := 0
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil,
			parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return 0, fmt.Errorf("package comment: %w", err)
		}
		if file.Doc != nil {
			count++
		}
	}
	return count, nil
}
