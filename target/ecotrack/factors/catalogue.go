// Package factors is the catalogue of emission factors: an embedded, versioned set that is checked
// row by row when it is loaded, because public factor data is dirty and a wrong factor makes every
// result wrong without anyone noticing.
//
// factors.csv and gwp.csv beside this file are the set; their columns and licences are described in
// the research note reference/carbon.md, section 3.
package factors

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"squall/target/ecotrack/carbon"
	"strconv"
	"strings"
)

//go:embed factors.csv
var factorsCSV []byte

//go:embed gwp.csv
var gwpCSV []byte

// Catalogue is a loaded set of factors. It never changes, so it may be shared between goroutines.
type Catalogue struct {
	version  string
	factors  []carbon.Factor // sorted by id
	haystack []string        // lower-case id and activity of each factor
	gwp      map[string]GWPRow
	warnings []Warning
}

// Load parses and checks the embedded set. It fails with every mistake it found at once, each a
// *RowError.
func Load() (*Catalogue, error) { return Parse(factorsCSV, gwpCSV) }

// Parse reads a catalogue from the two CSV files and checks it as Load does.
func Parse(factorsFile, gwpFile []byte) (*Catalogue, error) {
	version := contentVersion(factorsFile, gwpFile)
	rows, problems := readFactors(factorsFile, version)
	gwp, gwpProblems := readGWP(gwpFile)
	problems = append(problems, gwpProblems...)
	problems = append(problems, checkSet(rows, gwp)...)
	if len(problems) > 0 {
		return nil, joinProblems(problems)
	}
	catalogue := &Catalogue{version: version, gwp: gwp, warnings: warn(rows)}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.factor.ID, b.factor.ID) })
	for _, row := range rows {
		catalogue.factors = append(catalogue.factors, row.factor)
		catalogue.haystack = append(catalogue.haystack,
			strings.ToLower(row.factor.ID+" "+row.factor.Activity))
	}
	return catalogue, nil
}

// contentVersion names a set by what is in it: two programs that name the same version calculate
// with the same numbers.
func contentVersion(files ...[]byte) string {
	hash := sha256.New()
	for _, file := range files {
		// The length keeps a byte that moves from one file to the other from going unnoticed.
		hash.Write([]byte(strconv.Itoa(len(file)) + "\n"))
		hash.Write(file)
	}
	return "builtin-" + hex.EncodeToString(hash.Sum(nil))[:12]
}

// Version returns "builtin-" and the first twelve hex digits of a SHA-256 over the set's files;
// every factor carries it.
func (c *Catalogue) Version() string { return c.version }

// Len returns the number of factors.
func (c *Catalogue) Len() int { return len(c.factors) }

// Warnings returns what is odd about the set but not wrong, in a fixed order.
func (c *Catalogue) Warnings() []Warning { return slices.Clone(c.warnings) }

// Get returns the factor of that id.
func (c *Catalogue) Get(id string) (carbon.Factor, bool) {
	at, found := slices.BinarySearchFunc(c.factors, id, func(f carbon.Factor, id string) int {
		return strings.Compare(f.ID, id)
	})
	if !found {
		return carbon.Factor{}, false
	}
	return c.factors[at], true
}
