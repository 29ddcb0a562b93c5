package carbon_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"
)

// goldenRow is a worked example of the reference note, section 4: an expression, our value of it,
// and what its source printed. An erratum is a printed answer that does not follow from its own
// inputs.
type goldenRow struct{ id, expression, expected, published, tolerance, status string }

func readGolden(t *testing.T) []goldenRow {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.csv")
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []goldenRow
	for _, r := range records[1:] {
		rows = append(rows, goldenRow{
			id: r[0], expression: r[3], expected: r[4], published: r[5], tolerance: r[7], status: r[8],
		})
	}
	return rows
}

// check returns what is wrong with a row: its expression must give expected to the digits shown,
// and published within the row's tolerance, unless it is an erratum, which must stay outside of it.
func (r goldenRow) check() error {
	got, err := evaluate(r.expression)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", r.id, r.expression, err)
	}
	// Expected is given with 15 decimals or 15 to 16 significant digits.
	digits := new(big.Rat).Mul(new(big.Rat).Abs(got), big.NewRat(1, 1e15))
	allowed := new(big.Rat).Add(digits, big.NewRat(5, 1e16))
	if !near(got, r.expected, allowed) {
		return fmt.Errorf("%s: %s = %s, want %s", r.id, r.expression, got.FloatString(20), r.expected)
	}
	tolerance, ok := new(big.Rat).SetString(r.tolerance)
	if !ok {
		return fmt.Errorf("%s: tolerance %q", r.id, r.tolerance)
	}
	tolerance.Add(tolerance, digits) // a source that printed all digits of a float64 rounded the last one
	if near(got, r.published, tolerance) == (r.status == "erratum") {
		return fmt.Errorf("%s: %s = %s, the source printed %s ± %s (%s)",
			r.id, r.expression, got.FloatString(20), r.published, r.tolerance, r.status)
	}
	return nil
}

func near(got *big.Rat, text string, tolerance *big.Rat) bool {
	want, ok := new(big.Rat).SetString(text)
	return ok && nearRat(got, want, tolerance)
}

func nearRat(a, b, tolerance *big.Rat) bool {
	difference := new(big.Rat).Sub(a, b)
	return difference.Abs(difference).Cmp(tolerance) <= 0
}

func TestGoldenExpressions(t *testing.T) {
	rows := readGolden(t)
	if len(rows) != 90 {
		t.Fatalf("golden.csv has %d rows, want 90", len(rows))
	}
	for _, row := range rows {
		if err := row.check(); err != nil {
			t.Error(err)
		}
	}
}

// TestGoldenCheckTurnsRed shows that a wrong row does not pass.
func TestGoldenCheckTurnsRed(t *testing.T) {
	good := goldenRow{
		id: "good", expression: "100*(1+2)/7", expected: "42.857142857142857", published: "42.86", tolerance: "0.005",
		status: "ok",
	}
	if err := good.check(); err != nil {
		t.Fatalf("check() = %v, want nil", err)
	}
	for name, change := range map[string]func(*goldenRow){
		"wrong expression":           func(r *goldenRow) { r.expression = "100*(1+2)/7.0000001" },
		"wrong expectation":          func(r *goldenRow) { r.expected = "42.857142857142" },
		"published out of tolerance": func(r *goldenRow) { r.published = "42.863" },
		"an erratum that is none":    func(r *goldenRow) { r.status = "erratum" },
		"broken expression":          func(r *goldenRow) { r.expression = "100*(1+2/7" },
		"no expectation":             func(r *goldenRow) { r.expected = "" },
		"no tolerance":               func(r *goldenRow) { r.tolerance = "" },
	} {
		bad := good
		change(&bad)
		if err := bad.check(); err == nil {
			t.Errorf("%s: check() = nil, want an error", name)
		}
	}
}

// evaluate computes an expression of + - * / ( ) exactly; sqrt, exp and ln go through float64.
func evaluate(expression string) (*big.Rat, error) {
	p := &parser{rest: strings.ReplaceAll(expression, " ", "")}
	value, err := p.sum()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("unexpected %q", p.rest)
	}
	return value, err
}

type parser struct{ rest string }

func (p *parser) take(text string) bool {
	var ok bool
	p.rest, ok = strings.CutPrefix(p.rest, text)
	return ok
}

func (p *parser) sum() (*big.Rat, error) {
	total, err := p.product()
	for err == nil {
		var term *big.Rat
		switch {
		case p.take("+"):
			if term, err = p.product(); err == nil {
				total.Add(total, term)
			}
		case p.take("-"):
			if term, err = p.product(); err == nil {
				total.Sub(total, term)
			}
		default:
			return total, nil
		}
	}
	return nil, err
}

func (p *parser) product() (*big.Rat, error) {
	total, err := p.atom()
	for err == nil {
		var term *big.Rat
		switch {
		case p.take("*"):
			if term, err = p.atom(); err == nil {
				total.Mul(total, term)
			}
		case p.take("/"):
			if term, err = p.atom(); err == nil && term.Sign() == 0 {
				err = fmt.Errorf("division by zero before %q", p.rest)
			}
			if err == nil {
				total.Quo(total, term)
			}
		default:
			return total, nil
		}
	}
	return nil, err
}

func (p *parser) atom() (*big.Rat, error) {
	for name, function := range map[string]func(float64) float64{
		"(": nil, "sqrt(": math.Sqrt, "exp(": math.Exp, "ln(": math.Log,
	} {
		if !p.take(name) {
			continue
		}
		value, err := p.sum()
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, fmt.Errorf("no ) before %q", p.rest)
		}
		if function == nil {
			return value, nil
		}
		argument, _ := value.Float64()
		if value = new(big.Rat).SetFloat64(function(argument)); value == nil {
			return nil, fmt.Errorf("%s%v) is not finite", name, argument)
		}
		return value, nil
	}
	end := 0
	for end < len(p.rest) && strings.ContainsRune("0123456789.", rune(p.rest[end])) {
		end++
	}
	value, ok := new(big.Rat).SetString(p.rest[:end])
	if !ok {
		return nil, fmt.Errorf("no number at %q", p.rest)
	}
	p.rest = p.rest[end:]
	return value, nil
}
