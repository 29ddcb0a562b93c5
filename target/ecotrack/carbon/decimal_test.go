package carbon_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"squall/target/ecotrack/carbon"
	"strings"
	"testing"
)

// dec parses a decimal that the test wrote itself.
func dec(tb testing.TB, text string) carbon.Decimal {
	tb.Helper()
	parsed, err := carbon.ParseDecimal(text)
	if err != nil {
		tb.Fatalf("ParseDecimal(%q) = %v", text, err)
	}
	return parsed
}

func TestParseDecimalAndString(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"integer", "42", "42"},
		{"zero", "0", "0"},
		{"negative zero", "-0.000", "0"},
		{"sign", "-12.50", "-12.5"},
		{"plus", "+3", "3"},
		{"leading zeros", "000.5", "0.5"},
		{"exponent", "1.5e-7", "0.00000015"},
		{"capital exponent", "2E3", "2000"},
		{"twelve decimals stay", "0.123456789012", "0.123456789012"},
		{"half to even, down", "0.0000000000005", "0"},
		{"half to even, up", "0.0000000000015", "0.000000000002"},
		{"above half", "0.00000000000050001", "0.000000000001"},
		{"negative half to even", "-0.0000000000015", "-0.000000000002"},
		{"rounds into the whole", "0.9999999999999", "1"},
		{"forty digits", strings.Repeat("9", 40), strings.Repeat("9", 40)},
		{"largest exponent", "1e30", "1" + strings.Repeat("0", 30)},
		{"smallest exponent shows as zero", "1e-30", "0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := dec(t, test.text).String(); got != test.want {
				t.Errorf("ParseDecimal(%q).String() = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestParseDecimalRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", " 1", "1 ", "NaN", "nan", "Inf", "-Inf", "infinity", "NA", "N/A", "-", "+", ".", ".5", "5.", "1,5", "1_000",
		"0x10", "1/3", "--1", "1e", "1e+", "1e31", "1e-31", "1e999999999", "1e1e1", "1e1.5", "e5", "1e--5", "١",
		strings.Repeat("9", 41), "0." + strings.Repeat("0", 40), strings.Repeat("1", 1<<20), "1e" + strings.Repeat("0", 100),
	} {
		got, err := carbon.ParseDecimal(text)
		invalid, ok := errors.AsType[*carbon.DecimalError](err)
		if !ok {
			t.Errorf("ParseDecimal(%.40q) = %v, %v, want a *DecimalError", text, got, err)
			continue
		}
		if len(invalid.Text) > 70 || invalid.Code() != carbon.CodeDecimal {
			t.Errorf("ParseDecimal(%.40q): error carries %d bytes, code %s",
				text, len(invalid.Text), invalid.Code())
		}
	}
}

func TestDecimalJSON(t *testing.T) {
	var got struct{ Q, P carbon.Decimal }
	if err := json.Unmarshal([]byte(`{"Q":"12.50","P":"\u0031e-3"}`), &got); err != nil {
		t.Fatalf("Unmarshal = %v", err)
	}
	written, err := json.Marshal(got)
	if want := `{"Q":"12.5","P":"0.001"}`; err != nil || string(written) != want {
		t.Errorf("Marshal = %s, %v, want %s", written, err, want)
	}
	for _, bad := range []string{`{"Q":12.5}`, `{"Q":null}`, `{"Q":["1"]}`, `{"Q":""}`, `{"Q":"NaN"}`, `{"Q":true}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("Unmarshal(%s) = nil, want an error", bad)
		} else if _, ok := errors.AsType[*carbon.DecimalError](err); !ok {
			t.Errorf("Unmarshal(%s) = %v, want a *DecimalError", bad, err)
		}
	}
}

func TestDecimalArithmeticIsExact(t *testing.T) {
	var zero carbon.Decimal
	third, ok := carbon.Whole(1).Quo(carbon.Whole(3))
	if !ok {
		t.Fatal("1/3: Quo reports a division by zero")
	}
	if got := third.Add(third).Add(third); !got.Equal(carbon.Whole(1)) {
		t.Errorf("1/3 + 1/3 + 1/3 = %s, want 1", got)
	}
	if _, ok := carbon.Whole(1).Quo(zero); ok {
		t.Error("1/0: Quo reports ok")
	}
	if got := dec(t, "0.1").Add(dec(t, "0.2")).Cmp(dec(t, "0.3")); got != 0 {
		t.Errorf("0.1 + 0.2 compared with 0.3 = %d, want 0", got)
	}
	if zero.Sign() != 0 || zero.String() != "0" || zero.Float64() != 0 || !zero.Mul(third).Equal(zero) {
		t.Errorf("the zero value is not 0: %q", zero)
	}
	if got := zero.Sub(dec(t, "2.5")); got.String() != "-2.5" || got.Sign() != -1 ||
		got.Float64() != -2.5 {
		t.Errorf("0 - 2.5 = %s", got)
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-1.5e-7", "1e30", "NaN", "", ".5", "9e-30", "0000000000000000000001", "1e+5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := carbon.ParseDecimal(text)
		if err != nil {
			return
		}
		if reference, ok := new(big.Rat).SetString(text); !ok {
			t.Fatalf("ParseDecimal(%q) accepts what big.Rat does not", text)
		} else if nearest, _ := reference.Float64(); nearest != parsed.Float64() {
			t.Fatalf("ParseDecimal(%q) = %v, big.Rat reads %v", text, parsed.Float64(), nearest)
		}
		shown := parsed.String()
		if strings.ContainsAny(shown, "eE+") || len(shown) > 40+30+3+12 {
			t.Fatalf("ParseDecimal(%q).String() = %q", text, shown)
		}
		if strings.Contains(shown, ".") && strings.HasSuffix(shown, "0") {
			t.Fatalf("ParseDecimal(%q).String() = %q has a trailing zero", text, shown)
		}
		again, ok := new(big.Rat).SetString(shown)
		if reference, _ := new(big.Rat).SetString(text); !ok ||
			!nearRat(again, reference, big.NewRat(1, 2_000_000_000_000)) {
			t.Fatalf("ParseDecimal(%q).String() = %q is off by more than half of the last decimal",
				text, shown)
		}
	})
}
