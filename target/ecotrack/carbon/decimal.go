package carbon

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// Bounds of ParseDecimal. They let every published factor (at most 16 digits) and every meter
// reading through, and keep the cost of one number under a microsecond whatever a client sends.
const (
	maxDecimalDigits   = 40
	maxDecimalExponent = 30
	shownDecimals      = 12
)

// Decimal is an exact rational number: sums, products and unit conversions lose nothing, and String
// rounds once. The zero value is 0 and ready to use. A Decimal is immutable and may be shared
// between goroutines.
type Decimal struct {
	rat *big.Rat // nil means 0; never changed once set
}

// ParseDecimal reads a plain decimal such as "12.5", "-0.003" or "1.5e-7". It returns a
// *DecimalError for anything else: the empty string, NaN, Inf, a fraction, more than 40 digits, an
// exponent beyond ±30, or a point without digits on both sides.
func ParseDecimal(text string) (Decimal, error) {
	mantissa, exponentText, hasExponent := strings.Cut(strings.ToLower(shorten(text)), "e")
	exponent := 0
	if hasExponent {
		var ok bool
		if exponent, ok = parseExponent(exponentText); !ok {
			return Decimal{}, &DecimalError{
				Text:   shorten(text),
				Reason: "exponent must be a whole number within ±30",
			}
		}
	}
	negative := strings.HasPrefix(mantissa, "-")
	if negative || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, hasPoint := strings.Cut(mantissa, ".")
	if !digits(whole) || (hasPoint && !digits(fraction)) {
		return Decimal{}, &DecimalError{Text: shorten(text), Reason: "not a decimal number"}
	}
	if len(whole)+len(fraction) > maxDecimalDigits {
		return Decimal{}, &DecimalError{Text: shorten(text), Reason: "more than 40 digits"}
	}
	value, _ := new(big.Int).SetString(whole+fraction, 10)
	if negative {
		value.Neg(value)
	}
	return scaled(value, exponent-len(fraction)), nil
}

// Whole returns the exact Decimal of an integer.
func Whole(n int64) Decimal { return Decimal{rat: new(big.Rat).SetInt64(n)} }

// shorten cuts what cannot be a number within the bounds, so that an error never carries a megabyte
// of input. Every longer text is invalid anyway, and stays so when cut: 40 digits, two signs, a
// point, an e and two digits make 46 bytes.
func shorten(text string) string {
	const longest = 64
	if len(text) <= longest {
		return text
	}
	return text[:longest] + "…"
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

func parseExponent(text string) (int, bool) {
	unsigned := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if !digits(unsigned) || len(unsigned) > 3 || len(text)-len(unsigned) > 1 {
		return 0, false
	}
	exponent, err := strconv.Atoi(text)
	return exponent, err == nil && exponent >= -maxDecimalExponent && exponent <= maxDecimalExponent
}

// scaled returns value · 10^exponent.
func scaled(value *big.Int, exponent int) Decimal {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		return Decimal{rat: new(big.Rat).SetInt(value.Mul(value, power))}
	}
	return Decimal{rat: new(big.Rat).SetFrac(value, power)}
}

func (d Decimal) value() *big.Rat {
	if d.rat == nil {
		return new(big.Rat)
	}
	return d.rat
}

// Add returns d + other, exactly.
func (d Decimal) Add(other Decimal) Decimal {
	return Decimal{rat: new(big.Rat).Add(d.value(), other.value())}
}

// Sub returns d - other, exactly.
func (d Decimal) Sub(other Decimal) Decimal {
	return Decimal{rat: new(big.Rat).Sub(d.value(), other.value())}
}

// Mul returns d · other, exactly.
func (d Decimal) Mul(other Decimal) Decimal {
	return Decimal{rat: new(big.Rat).Mul(d.value(), other.value())}
}

// Quo returns d / other, exactly; ok is false, and the result 0, when other is 0.
func (d Decimal) Quo(other Decimal) (quotient Decimal, ok bool) {
	if other.Sign() == 0 {
		return Decimal{}, false
	}
	return Decimal{rat: new(big.Rat).Quo(d.value(), other.value())}, true
}

// Sign returns -1, 0 or +1 for a negative, zero or positive number.
func (d Decimal) Sign() int { return d.value().Sign() }

// Cmp returns -1, 0 or +1 as d is smaller than, equal to or greater than other; the comparison is
// exact.
func (d Decimal) Cmp(other Decimal) int { return d.value().Cmp(other.value()) }

// Equal reports whether both are the same number; go-cmp uses it.
func (d Decimal) Equal(other Decimal) bool { return d.Cmp(other) == 0 }

// Float64 returns the nearest float64, for statistics and charts only; totals are added as Decimal.
func (d Decimal) Float64() float64 {
	nearest, _ := d.value().Float64()
	return nearest
}

// String returns the number rounded once, half to even, at 12 decimals, without exponent or
// trailing zeros; "0" for zero.
func (d Decimal) String() string {
	value := d.value()
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(shownDecimals), nil)
	scaledUp := new(big.Int).Mul(value.Num(), power)
	negative := scaledUp.Sign() < 0
	scaledUp.Abs(scaledUp)
	quotient, remainder := new(big.Int).QuoRem(scaledUp, value.Denom(), new(big.Int))
	switch remainder.Lsh(remainder, 1).Cmp(value.Denom()) {
	case +1:
		quotient.Add(quotient, big.NewInt(1))
	case 0:
		if quotient.Bit(0) == 1 {
			quotient.Add(quotient, big.NewInt(1))
		}
	}
	if quotient.Sign() == 0 {
		return "0"
	}
	text := quotient.String()
	if missing := shownDecimals + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	point := len(text) - shownDecimals
	whole, fraction := text[:point], strings.TrimRight(text[point:], "0")
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		return "-" + whole
	}
	return whole
}

// MarshalJSON writes String as a JSON string: a JSON number would pass through a float64 in most
// clients.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(`"` + d.String() + `"`), nil }

// UnmarshalJSON reads a JSON string as ParseDecimal does; a JSON number, null or anything else is a
// *DecimalError.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	var text string
	if len(data) == 0 || data[0] != '"' || json.Unmarshal(data, &text) != nil {
		return &DecimalError{Text: shorten(string(data)), Reason: "decimals are JSON strings"}
	}
	parsed, err := ParseDecimal(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
