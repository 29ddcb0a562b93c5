package factors

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"squall/target/ecotrack/carbon"
	"strconv"
	"strings"
)

// RowError is one mistake in a file of the set.
type RowError struct {
	File   string // "factors.csv" or "gwp.csv"
	Line   int    // from 1, the header being line 1
	ID     string // of the row, as far as it could be read
	Column string // empty when the mistake is not in a single column
	Reason string
}

func (e *RowError) Error() string {
	place := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.ID)
	if e.Column != "" {
		place += ": " + e.Column
	}
	return place + ": " + e.Reason
}

// maxProblems is how many mistakes are listed: a file in a foreign format would otherwise fill the
// log with every row.
const maxProblems = 50

func joinProblems(problems []error) error {
	if rest := len(problems) - maxProblems; rest > 0 {
		problems = append(slices.Clone(problems[:maxProblems]), fmt.Errorf("and %d more", rest))
	}
	return fmt.Errorf("factor set: %w", errors.Join(problems...))
}

const factorsFileName = "factors.csv"

// row is a factor and where it stood.
type row struct {
	factor carbon.Factor
	line   int
}

func (r row) problem(column, format string, args ...any) error {
	return &RowError{
		File: factorsFileName, Line: r.line, ID: r.factor.ID, Column: column,
		Reason: fmt.Sprintf(format, args...),
	}
}

func factorColumns() []string {
	return []string{
		"id", "category", "scope", "activity", "unit", "co2_kg", "ch4_kg", "n2o_kg", "co2e_kg",
		"gwp_set", "region", "year", "source", "source_url",
	}
}

// readFactors returns the rows that could be read and a problem for everything that could not.
func readFactors(file []byte, version string) (rows []row, problems []error) {
	reader := csv.NewReader(bytes.NewReader(file))
	header, err := reader.Read()
	if err != nil || !slices.Equal(header, factorColumns()) {
		return nil, []error{&RowError{
			File: factorsFileName, Line: 1, ID: "header",
			Reason: "must be " + strings.Join(factorColumns(), ","),
		}}
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, problems
		}
		if malformed, ok := errors.AsType[*csv.ParseError](err); ok {
			// The rest of the file may have shifted: what follows cannot be trusted.
			return rows, append(problems, &RowError{
				File: factorsFileName, Line: malformed.StartLine, ID: "row", Reason: malformed.Err.Error(),
			})
		}
		if err != nil {
			return rows, append(problems, fmt.Errorf("%s: %w", factorsFileName, err))
		}
		line, _ := reader.FieldPos(0)
		parsed, rowProblems := readRow(record, line, version)
		problems = append(problems, rowProblems...)
		if len(rowProblems) == 0 {
			rows = append(rows, parsed)
		}
	}
}

var (
	idPattern = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_-]+)+$`)
	// regionPattern accepts NA: that is Namibia, not a missing value.
	regionPattern = regexp.MustCompile(
		`^([A-Z]{2}(-[A-Z0-9]{2,3})?|US-EGRID-[A-Z]{4}|REG-[A-Z0-9]+|GLOBAL|WORLD)$`,
	)
	ieaPattern = regexp.MustCompile(`\bIEA\b|International Energy Agency`)
)

func readRow(record []string, line int, version string) (row, []error) {
	column := make(map[string]string, len(record))
	for i, name := range factorColumns() {
		column[name] = record[i]
	}
	r := row{line: line, factor: carbon.Factor{
		ID: column["id"], Version: version, Category: column["category"], Scope: column["scope"],
		Activity: column["activity"], Unit: column["unit"], GWPSet: carbon.GWPSet(column["gwp_set"]),
		Region: column["region"], Source: column["source"], SourceURL: column["source_url"],
		Biogenic: column["category"] == "biogenic_co2", Outside: column["scope"] == carbon.ScopeOutside,
	}}
	problems := r.labels()
	for _, gas := range []struct {
		column string
		into   **carbon.Decimal
	}{{"co2_kg", &r.factor.CO2}, {"ch4_kg", &r.factor.CH4}, {"n2o_kg", &r.factor.N2O}} {
		if column[gas.column] == "" {
			continue // not published
		}
		value, err := r.amount(gas.column, column[gas.column])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		*gas.into = &value
	}
	co2e, err := r.amount("co2e_kg", column["co2e_kg"])
	if err != nil {
		problems = append(problems, err)
	}
	r.factor.CO2e = co2e
	year, err := strconv.Atoi(column["year"])
	if err != nil || year < 1990 || year > 2100 {
		problems = append(problems, r.problem("year", "must be 1990 to 2100, got %q", column["year"]))
	}
	r.factor.Year = year
	return r, problems
}

// amount reads kg per unit. A missing figure is never zero: "NA", "-" and the empty text are
// refused.
func (r row) amount(column, text string) (carbon.Decimal, error) {
	value, err := carbon.ParseDecimal(text)
	if err != nil {
		return carbon.Decimal{}, r.problem(column, "%v", err)
	}
	if value.Sign() < 0 {
		return carbon.Decimal{}, r.problem(column, "must not be negative, got %s", text)
	}
	return value, nil
}

// labels checks the columns that are not numbers.
func (r row) labels() (problems []error) {
	f := r.factor
	if !idPattern.MatchString(f.ID) {
		problems = append(problems, r.problem("id", "must be lower-case words joined by points"))
	}
	if !knownCategory(f.Category) {
		problems = append(problems, r.problem("category", "unknown: %q", f.Category))
	}
	if !knownScope(f.Scope) {
		problems = append(problems, r.problem("scope", "unknown: %q", f.Scope))
	}
	if missingTreatment(f.Activity) {
		problems = append(problems, r.problem("activity", "names no treatment: %q", f.Activity))
	}
	if _, err := carbon.LookupUnit(f.Unit); err != nil {
		problems = append(problems, r.problem("unit", "%v", err))
	}
	if _, err := carbon.ParseGWPSet(string(f.GWPSet)); err != nil {
		problems = append(problems, r.problem("gwp_set", "%v", err))
	}
	if !regionPattern.MatchString(f.Region) {
		problems = append(problems,
			r.problem("region", "must be an ISO 3166 code or a known aggregate, got %q", f.Region))
	}
	if f.Source == "" || ieaPattern.MatchString(f.Source) {
		problems = append(problems,
			r.problem("source", "must name a source that may be passed on, got %q", f.Source))
	}
	if link, err := url.Parse(f.SourceURL); err != nil || link.Scheme != "https" || link.Host == "" {
		problems = append(problems,
			r.problem("source_url", "must be an https address, got %q", f.SourceURL))
	}
	return problems
}

// missingTreatment finds an activity that is empty or ends in "NA": a treatment that the source
// does not offer (R17).
func missingTreatment(activity string) bool {
	parts := strings.Split(activity, ",")
	switch strings.ToUpper(strings.TrimSpace(parts[len(parts)-1])) {
	case "", "NA", "N/A":
		return true
	}
	return false
}

func knownCategory(category string) bool {
	switch category {
	case "spend_eeio", "waste", "stationary_combustion", "wtt", "mobile_combustion",
		"electricity_lifecycle", "fuel_combustion", "refrigerant", "freight_road",
		"electricity_location", "travel_road", "biogenic_co2", "material", "travel_air", "freight_sea",
		"bioenergy", "hotel", "fugitive_gas", "travel_rail", "freight_air", "heat_steam",
		"electricity_td_loss", "freight_rail", "water", "heat_td_loss", "homeworking",
		"travel_sea":
		return true
	}
	return false
}

func knownScope(scope string) bool {
	switch scope {
	case "1", "2", "3.1", "3.3", "3.4", "3.5", "3.6", "3.7", carbon.ScopeLifeCycle, carbon.ScopeOutside:
		return true
	}
	return false
}
