package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"squall/target/ecotrack/carbon"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"strconv"
)

// DefaultDraws is how often an interval is simulated when the request does not say (rule R26).
const DefaultDraws = 10_000

// Kinds of activities.
const (
	KindFactor      = "factor"      // a quantity times a factor of the catalogue
	KindElectricity = "electricity" // purchased electricity, location- and market-based
)

var periodPattern = regexp.MustCompile(`^(\d{4})-Q[1-4]$`)

// Request asks for one calculation.
type Request struct {
	Activity Activity `json:"activity"`
	GWPSet   string   `json:"gwp_set,omitempty"` // AR4, AR5 or AR6; default AR5
	Draws    *int     `json:"draws,omitempty"`   // 0 to 100,000; default 10,000
}

// Activity is what was done. Factor belongs to kind factor, Region and Instruments to kind
// electricity.
type Activity struct {
	Kind        string       `json:"kind"`
	Factor      string       `json:"factor,omitempty"`
	Region      string       `json:"region,omitempty"`
	Quantity    string       `json:"quantity"` // a decimal
	Unit        string       `json:"unit"`
	Period      string       `json:"period,omitempty"` // a quarter such as 2026-Q1
	Instruments []Instrument `json:"instruments,omitempty"`
}

// Instrument is a contractual claim on electricity.
type Instrument struct {
	Kind         string `json:"kind"`
	Quantity     string `json:"quantity"` // a decimal
	Unit         string `json:"unit"`
	KgCO2ePerKWh string `json:"kg_co2e_per_kwh"` // a decimal
	Technology   string `json:"technology,omitempty"`
}

// Calculation is the answer.
type Calculation struct {
	ID       string          `json:"id,omitempty"`
	Status   string          `json:"status"`
	CO2e     carbon.Decimal  `json:"co2e_kg"`
	Market   *carbon.Decimal `json:"co2e_market_kg,omitempty"`
	Gases    Gases           `json:"gases"`
	Outside  carbon.Decimal  `json:"outside_kg"`
	GWPSet   carbon.GWPSet   `json:"gwp_set"`
	Flags    []string        `json:"flags"`
	Factor   FactorRef       `json:"factor"`
	Interval *Interval       `json:"interval,omitempty"` // absent when nothing was simulated
	Receipt  *Receipt        `json:"receipt,omitempty"`  // absent from an estimate
}

// Gases are masses; null means that the factor does not tell, which is not zero.
type Gases struct {
	CO2 *carbon.Decimal `json:"co2_kg"`
	CH4 *carbon.Decimal `json:"ch4_kg"`
	N2O *carbon.Decimal `json:"n2o_kg"`
}

// FactorRef says which factor was used.
type FactorRef struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Source  string `json:"source"`
}

// Interval is the simulated 95 % interval.
type Interval struct {
	Low    string `json:"low_kg"`
	High   string `json:"high_kg"`
	Median string `json:"median_kg"`
	Draws  int    `json:"draws"`
	Seed   string `json:"seed"`
}

// Receipt proves that a calculation is kept.
type Receipt struct {
	ID   string `json:"id"`
	Key  string `json:"key"`
	Hash string `json:"hash"` // row hash, SHA-256 in hex
	Node string `json:"node"` // the node that wrote it first
}

// Calculator turns requests into calculations. It is pure and safe for concurrent use.
type Calculator struct{ catalogue *factors.Catalogue }

// NewCalculator returns a calculator that takes its factors from catalogue.
func NewCalculator(catalogue *factors.Catalogue) *Calculator { return &Calculator{catalogue} }

// Hash identifies what is asked for: two requests with the same hash mean the same, whatever their
// white space or field order. Defaults are filled in first.
func (r Request) Hash() [sha256.Size]byte {
	r = r.withDefaults()
	b, err := json.Marshal(r)
	if err != nil { // strings and one integer always marshal
		panic(fmt.Sprintf("marshal request: %v", err))
	}
	return sha256.Sum256(b)
}

func (r Request) withDefaults() Request {
	if r.GWPSet == "" {
		r.GWPSet = string(carbon.DefaultGWPSet)
	}
	if r.Draws == nil {
		draws := DefaultDraws
		r.Draws = &draws
	}
	return r
}

// Calculate answers r. Its errors are problems or carry the codes of package carbon.
func (c *Calculator) Calculate(r Request) (Calculation, error) {
	calc, _, err := c.calculate(r)
	return calc, err
}

// Entry calculates r and returns it as an entry for the ledger, with the calculation it holds.
func (c *Calculator) Entry(tenant, key string, r Request) (ledger.Entry, Calculation, error) {
	calc, detail, err := c.calculate(r)
	if err != nil {
		return ledger.Entry{}, Calculation{}, err
	}
	body, err := json.Marshal(calc)
	if err != nil {
		return ledger.Entry{}, Calculation{}, fmt.Errorf("marshal calculation: %w", err)
	}
	hash := r.Hash()
	e := ledger.Entry{
		Tenant: tenant, Key: key, RequestHash: hex.EncodeToString(hash[:]), CO2e: calc.CO2e.String(),
		MarketHeld: detail.held, Outside: calc.Outside.String(), Status: calc.Status,
		GWPSet: string(calc.GWPSet), Period: r.Activity.Period, Scope: detail.factor.Scope,
		Category: detail.factor.Category, Body: body,
	}
	if calc.Market != nil {
		e.Market = calc.Market.String()
	}
	return e, calc, nil
}

// detail is what the ledger keeps beside the calculation.
type detail struct {
	factor carbon.Factor
	held   bool
}

func (c *Calculator) calculate(r Request) (Calculation, detail, error) {
	r = r.withDefaults()
	if *r.Draws < 0 || *r.Draws > carbon.MaxDraws {
		return Calculation{}, detail{}, unprocessable(CodeDraws, "draws must be 0 to %d, got %d",
			carbon.MaxDraws, *r.Draws)
	}
	set, err := carbon.ParseGWPSet(r.GWPSet)
	if err != nil {
		return Calculation{}, detail{}, err
	}
	result, factor, err := c.result(r.Activity, set)
	if err != nil {
		return Calculation{}, detail{}, err
	}
	calc := Calculation{
		Status: result.Status, CO2e: result.CO2e, Market: result.Market,
		Gases:   Gases{result.Gases.CO2, result.Gases.CH4, result.Gases.N2O},
		Outside: result.Outside, GWPSet: result.Set, Flags: append([]string{}, result.Flags...),
		Factor: FactorRef{factor.ID, factor.Version, factor.Source},
	}
	if *r.Draws > 0 {
		hash := r.Hash()
		seed := binary.BigEndian.Uint64(hash[:8])
		i := carbon.Simulate(result, factor.Category, *r.Draws, seed)
		calc.Interval = &Interval{
			kg(i.Low), kg(i.High), kg(i.Median), i.Draws,
			strconv.FormatUint(seed, 10),
		}
	}
	return calc, detail{factor, result.MarketHeld}, nil
}

// result does the arithmetic of one activity.
func (c *Calculator) result(a Activity, set carbon.GWPSet) (carbon.Result, carbon.Factor, error) {
	year, err := periodYear(a.Period)
	if err != nil {
		return carbon.Result{}, carbon.Factor{}, err
	}
	quantity, err := carbon.ParseDecimal(a.Quantity)
	if err != nil {
		return carbon.Result{}, carbon.Factor{}, fmt.Errorf("activity.quantity: %w", err)
	}
	switch a.Kind {
	case KindFactor:
		if a.Region != "" || len(a.Instruments) > 0 {
			return carbon.Result{}, carbon.Factor{}, unprocessable(CodeActivity,
				"an activity of kind factor has no region or instruments")
		}
		factor, ok := c.catalogue.Get(a.Factor)
		if !ok {
			return carbon.Result{}, factor, unprocessable(CodeFactor, "no factor %q", a.Factor)
		}
		result, err := carbon.Calculate(factor, quantity, a.Unit, set)
		return result, factor, err
	case KindElectricity:
		return c.electricity(a, year, quantity, set)
	default:
		return carbon.Result{}, carbon.Factor{}, unprocessable(CodeKind,
			"activity.kind must be %s or %s, got %q", KindFactor, KindElectricity, a.Kind)
	}
}

func (c *Calculator) electricity(a Activity, year int, quantity carbon.Decimal, set carbon.GWPSet,
) (carbon.Result, carbon.Factor, error) {
	if a.Factor != "" {
		return carbon.Result{}, carbon.Factor{}, unprocessable(CodeActivity,
			"an activity of kind electricity has a region, not a factor")
	}
	grid, err := c.catalogue.Electricity(a.Region, year)
	if err != nil {
		return carbon.Result{}, grid, err
	}
	instruments := make([]carbon.Instrument, len(a.Instruments))
	for i, in := range a.Instruments {
		amount, err := carbon.ParseDecimal(in.Quantity)
		if err != nil {
			return carbon.Result{}, grid, fmt.Errorf("activity.instruments[%d].quantity: %w", i, err)
		}
		rate, err := carbon.ParseDecimal(in.KgCO2ePerKWh)
		if err != nil {
			return carbon.Result{}, grid, fmt.Errorf("activity.instruments[%d].kg_co2e_per_kwh: %w", i, err)
		}
		instruments[i] = carbon.Instrument{
			Kind: in.Kind, Quantity: amount, Unit: in.Unit,
			KgCO2ePerKWh: rate, Technology: in.Technology,
		}
	}
	result, err := carbon.Electricity(grid, nil, quantity, a.Unit, instruments, set)
	return result, grid, err
}

// unprocessable is a problem of a request that is well-formed and makes no sense.
func unprocessable(code, format string, args ...any) error {
	return NewProblem(http.StatusUnprocessableEntity, code, format, args...)
}

// latestYear stands for an activity without a period: every factor is old enough.
const latestYear = 9999

// periodYear returns the year of a quarter such as 2026-Q1, or latestYear for "".
func periodYear(period string) (int, error) {
	if period == "" {
		return latestYear, nil
	}
	m := periodPattern.FindStringSubmatch(period)
	if m == nil {
		return 0, unprocessable(CodePeriod, "a period is a quarter such as 2026-Q1, got %q", period)
	}
	return strconv.Atoi(m[1])
}

// kg prints a simulated mass with the 12 digits it can vouch for, without exponent.
func kg(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	decimals := max(0, 11-int(math.Floor(math.Log10(math.Abs(v)))))
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', decimals, 64), 64)
	if err != nil {
		return "0"
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
