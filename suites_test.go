package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryContainerTestIsInTheTable holds the table "Container tests" of DESIGN.md against the tests there are.
func TestEveryContainerTestIsInTheTable(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	there, err := containerTests(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(there) < 30 {
		t.Fatalf("%d container tests were found, want those of all packages", len(there))
	}
	if diff := cmp.Diff(there, tabled(string(design))); diff != "" {
		t.Errorf("DESIGN.md, Container tests: there (-), in the table (+):\n%s", diff)
	}
}

func TestTabled(t *testing.T) {
	text := "| test | s |\n|---|---|\n| `chaos` `TestContainerX` | 1 |\n| `TestDeepNoRoom` | 1 |\ntext about `a` `TestDeepY`\n"
	if diff := cmp.Diff([]string{"chaos TestContainerX"}, tabled(text)); diff != "" {
		t.Errorf("tabled():\n%s", diff)
	}
}

// tabled gives each row's folder and test, sorted.
func tabled(design string) []string {
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` `(Test\\w+)` \\|").FindAllStringSubmatch(design, -1) {
		rows = append(rows, row[1]+" "+row[2])
	}
	slices.Sort(rows)
	return rows
}

// containerTests gives the folder and the name of each test whose name begins with that of a suite, sorted.
func containerTests(root string) ([]string, error) {
	suite := regexp.MustCompile(`^Test(Container|Deep|Prove)[A-Z]`)
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && suite.MatchString(f.Name.Name) {
				found = append(found, filepath.ToSlash(filepath.Dir(path))+" "+f.Name.Name)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}
