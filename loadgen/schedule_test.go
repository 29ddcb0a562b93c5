package loadgen

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func profiles() map[string]Profile {
	return map[string]Profile{
		"steady": {Kind: kindSteady, Rate: 50, For: 20 * time.Second},
		"ramp":   {Kind: kindRamp, Rate: 1, To: 100, For: 20 * time.Second},
		"down":   {Kind: kindRamp, Rate: 100, To: 1, For: 20 * time.Second},
		"steps": {Kind: kindSteps, For: 20 * time.Second, Steps: []Step{
			{Rate: 10, For: 5 * time.Second}, {Rate: 80, For: 15 * time.Second},
		}},
		"spike": {Kind: kindSpike, Rate: 10, To: 100, For: 20 * time.Second},
		"quarterly-peak": {
			Kind: kindQuarterlyPeak, Peak: 100, For: 3 * time.Minute,
			Start:    time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
			Deadline: time.Date(2026, 3, 31, 18, 0, 0, 0, time.UTC),
			Compress: Compress{Calendar: 24 * time.Hour, Run: 45 * time.Second},
		},
	}
}

// TestCurve: rate, integral and inverse agree, whatever the shape.
func TestCurve(t *testing.T) {
	for name, p := range profiles() {
		t.Run(name, func(t *testing.T) {
			c := p.curve()
			if got := c.length; math.Abs(got-p.For.Seconds()) > 1e-9 {
				t.Errorf("length = %v, want %v", got, p.For.Seconds())
			}
			var sum float64 // midpoint rule
			const steps = 400_000
			for i := range steps {
				sum += c.rate((float64(i)+0.5)/steps*c.length) * c.length / steps
			}
			if math.Abs(sum-c.total) > 0.001*c.total {
				t.Errorf("total = %v, want the sum of the rate %v", c.total, sum)
			}
			v := inverse{curve: c}
			last := 0.0
			for h := 0.25; h < c.total; h += 0.5 {
				at, more := v.due(h)
				if !more || at < last || math.Abs(c.integral(at)-h) > 1e-6 {
					t.Fatalf("due(%v) = %v, %v; integral there %v", h, at, more, c.integral(at))
				}
				last = at
			}
			if _, more := v.due(c.total); more {
				t.Error("due(total) gives a request, want none")
			}
		})
	}
}

func TestCurveRates(t *testing.T) {
	table := []struct {
		profile string
		at      float64
		want    float64
	}{
		{"steady", 0, 50},
		{"steady", 19.9, 50},
		{"steady", 20, 0},
		{"steady", -1, 0},
		{"ramp", 0, 1},
		{"ramp", 10, 50.5},
		{"down", 10, 50.5},
		{"steps", 4.9, 10},
		{"steps", 5, 80},
		{"spike", 7.9, 10},
		{"spike", 8.2, 55},
		{"spike", 10, 100},
		{"spike", 12, 10},
	}
	for _, row := range table {
		c := profiles()[row.profile].curve()
		if got := c.rate(row.at); math.Abs(got-row.want) > 1e-6 {
			t.Errorf("%s: rate(%v) = %v, want %v", row.profile, row.at, got, row.want)
		}
	}
}

// TestQuarterlyPeak: the highest rate is Peak, the shape is smooth, and the load stays above 80 %
// of it for 10 s of run around the deadline's day, wherever in the working day the deadline lies.
func TestQuarterlyPeak(t *testing.T) {
	for _, day := range []string{"2026-03-31", "2026-04-15", "2026-06-30", "2026-08-14"} {
		for _, hour := range []string{"09:00", "12:00", "17:00", "18:00", "23:59"} {
			deadline, err := time.Parse("2006-01-02 15:04", day+" "+hour)
			if err != nil {
				t.Fatal(err)
			}
			p := Profile{
				Kind: kindQuarterlyPeak, Peak: 100, For: 4 * 45 * time.Second,
				Start:    deadline.Truncate(24*time.Hour).AddDate(0, 0, -2),
				Deadline: deadline, Compress: Compress{Calendar: 24 * time.Hour, Run: 45 * time.Second},
			}
			c := p.curve()
			if got := c.peak(); math.Abs(got-100) > 1e-9 {
				t.Errorf("%s %s: peak = %v, want 100", day, hour, got)
			}
			var high, jump float64
			for x := 0.0; x < c.length-0.1; x += 0.1 {
				if c.rate(x) > 80 && x > 90 && x < 145 {
					high += 0.1
				}
				jump = max(jump, math.Abs(c.rate(x+0.1)-c.rate(x)))
			}
			if high < 10 {
				t.Errorf("%s %s: %.1fs of run above 80 %%, want at least 10s", day, hour, high)
			}
			if jump > 5 { // percent of the peak within 3 minutes of calendar
				t.Errorf("%s %s: the rate jumps by %.1f within 0.1s", day, hour, jump)
			}
		}
	}
}

func TestSeasonLevels(t *testing.T) {
	far := newSeason(time.Date(2026, 8, 14, 17, 0, 0, 0, time.UTC))
	table := []struct {
		name     string
		at       string
		from, to float64
	}{
		{"ordinary noon", "2026-02-11 11:00", 0.95, 1.01},
		{"ordinary evening edge", "2026-02-11 18:30", 0.85, 1},
		{"night", "2026-02-11 03:00", 0.149, 0.151},
		{"weekend", "2026-02-14 11:00", 0.19, 0.21},
		{"third last business day", "2026-03-27 11:00", 1.2, 1.35},
		{"second last business day", "2026-03-30 11:00", 1.6, 1.75},
		{"last business day", "2026-03-31 11:00", 2.1, 2.25},
		{"first day of the next quarter", "2026-04-01 11:00", 0.95, 1.01},
		{"deadline", "2026-08-14 17:00", 1.75, 1.85},
		{"a working day after", "2026-08-15 01:00", 0.40, 0.50},
	}
	for _, row := range table {
		at, err := time.Parse("2006-01-02 15:04", row.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := far.level(at); got < row.from || got > row.to {
			t.Errorf("%s: level(%s) = %.3f, want %v to %v", row.name, row.at, got, row.from, row.to)
		}
	}
}

func fullMix() []Class {
	var mix []Class
	for i, name := range generatedRequests() {
		mix = append(mix, Class{Name: name, Weight: float64(i + 1)})
	}
	return append(mix, Class{Name: "home", Weight: 2, Method: "POST", Path: "/", Body: "x"})
}

// TestScheduleRepeats: the same seed gives the same bytes, on every machine and in every version.
func TestScheduleRepeats(t *testing.T) {
	table := []struct{ arrivals, want string }{
		{arrivalsPoisson, goldenPoisson},
		{arrivalsEven, goldenEven},
	}
	for _, row := range table {
		hash := func(seed uint64) string {
			s, err := NewSchedule(Spec{Profile: profiles()["ramp"], Arrivals: row.arrivals, Mix: fullMix()}, seed)
			if err != nil {
				t.Fatalf("NewSchedule() error: %v", err)
			}
			h := sha256.New()
			if _, err := s.WriteTo(h); err != nil {
				t.Fatalf("WriteTo() error: %v", err)
			}
			return hex.EncodeToString(h.Sum(nil))
		}
		if got := hash(7); got != row.want {
			t.Errorf("%s: hash of seed 7 = %s, want %s", row.arrivals, got, row.want)
		}
		if hash(7) == hash(8) {
			t.Errorf("%s: seeds 7 and 8 give the same load", row.arrivals)
		}
	}
}

// TestScheduleCounts: the requests planned follow the curve and the weights, and Poisson arrivals
// have the variance that even ones lack.
func TestScheduleCounts(t *testing.T) {
	for _, arrivals := range []string{arrivalsPoisson, arrivalsEven} {
		spec := Spec{
			Arrivals: arrivals, Profile: Profile{Kind: kindSteady, Rate: 1000, For: 60 * time.Second},
			Mix: []Class{{Name: requestCalculate, Weight: 3}, {Name: requestRead, Weight: 1}},
		}
		s := mustSchedule(t, spec)
		if got := float64(s.Total()); math.Abs(got-60_000) > 4*math.Sqrt(60_000) {
			t.Errorf("%s: Total() = %v, want about 60000", arrivals, got)
		}
		if got := float64(s.classes[0].total) / float64(s.Total()); math.Abs(got-0.75) > 0.01 {
			t.Errorf("%s: share of the first class = %v, want 0.75", arrivals, got)
		}
		var gaps, squares, n float64
		a := s.arrivals(s.classes[0])
		last, _ := a.next()
		for due, more := a.next(); more; due, more = a.next() {
			gap := (due - last).Seconds()
			gaps, squares, n, last = gaps+gap, squares+gap*gap, n+1, due
		}
		mean := gaps / n
		cv := math.Sqrt(squares/n-mean*mean) / mean
		if want := map[string]float64{arrivalsPoisson: 1, arrivalsEven: 0}[arrivals]; math.Abs(cv-want) > 0.05 {
			t.Errorf("%s: variation of gaps = %v, want %v", arrivals, cv, want)
		}
		if got := s.Planned(); len(got) != 60 || math.Abs(got[30]-1000) > 1e-6 {
			t.Errorf("%s: Planned() = %d seconds, want 60 at 1000/s", arrivals, len(got))
		}
	}
}

// TestStreamsAreApart: a class more in the mix does not change the content of another.
func TestStreamsAreApart(t *testing.T) {
	one := mustSchedule(t, steady(10, time.Second, Class{Name: requestBatch, Weight: 1}))
	two := mustSchedule(t, steady(10, time.Second,
		Class{Name: requestBatch, Weight: 1}, Class{Name: requestRead, Weight: 5}))
	a := one.request(one.classes[0], 3, "p", nil)
	b := two.request(two.classes[0], 3, "p", nil)
	if !bytes.Equal(a.body, b.body) {
		t.Errorf("bodies differ:\n%s\n%s", a.body, b.body)
	}
}

// TestFactors: a split factor's sum is its published CO2e.
func TestFactors(t *testing.T) {
	factors, err := loadFactors()
	if err != nil || len(factors) < 30 {
		t.Fatalf("loadFactors() = %d rows, %v, want at least 30", len(factors), err)
	}
	rows, err := csv.NewReader(strings.NewReader(factorTable)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range factors {
		published, _ := new(big.Rat).SetString(rows[i+1][5])
		if published.Cmp(f.perUnit) != 0 {
			t.Errorf("%s: %s per unit, want %s as published", f.id, f.perUnit.FloatString(15), rows[i+1][5])
		}
	}
}

func TestExpected(t *testing.T) {
	factors, err := loadFactors()
	if err != nil {
		t.Fatal(err)
	}
	find := func(id string) *factor {
		for i := range factors {
			if factors[i].id == id {
				return &factors[i]
			}
		}
		t.Fatalf("no factor %s", id)
		return nil
	}
	table := []struct{ id, quantity, unit, want string }{
		{"epa24.stat.anthracite.mmbtu", "12.5", "mmBtu", "1305.275"}, // README of EcoTrack
		{"epa24.stat.anthracite.mmbtu", "125", "therm", "1305.275"},
		{"egrid2022.akgd.kwh", "0.01", "MWh", "4.797909581065"}, // ...0646 rounds down
		{"epa24.gwp.hfc_23", "1", "lb", "5624.545388"},
		{"epa24.stat.anthracite.short_ton", "2000", "lb", "2620.328"},
		{"desnz25.fuel.butane.litre", "1", "gallon_us", "6.606792748969"},
		{"desnz25.water_supply.m3", "7", "m3", "1.3391"},
	}
	for _, row := range table {
		f := find(row.id)
		a := activity{factor: f, quantity: row.quantity, unit: row.unit}
		for _, c := range otherUnits(f.unit) {
			if c.unit == row.unit {
				a.ratio = c.ratio
			}
		}
		if a.ratio == nil && row.unit != f.unit {
			t.Fatalf("%s: no conversion from %s", row.id, row.unit)
		}
		if got := a.expected(); got != row.want {
			t.Errorf("%s: %s %s = %s, want %s", row.id, row.quantity, row.unit, got, row.want)
		}
	}
}

func TestRoundDecimal(t *testing.T) {
	table := []struct{ value, want string }{
		{"0", "0"},
		{"1", "1"},
		{"1200", "1200"},
		{"0.5", "0.5"},
		{"-2.50", "-2.5"},
		// half, even below; half, odd below; above half
		{"0.0000000000005", "0"},
		{"0.0000000000015", "0.000000000002"},
		{"0.00000000000250001", "0.000000000003"},
		{"-0.0000000000015", "-0.000000000002"},
		{"1/3", "0.333333333333"},
		{"2/3", "0.666666666667"},
	}
	for _, row := range table {
		v, _ := new(big.Rat).SetString(row.value)
		if got := roundDecimal(v); got != row.want {
			t.Errorf("roundDecimal(%s) = %s, want %s", row.value, got, row.want)
		}
	}
}

func TestDrawActivity(t *testing.T) {
	factors, err := loadFactors()
	if err != nil {
		t.Fatal(err)
	}
	draw := rand.New(rand.NewPCG(1, 2))
	converted, convertible := 0, 0
	for range 20_000 {
		a := drawActivity(draw, factors)
		if otherUnits(a.factor.unit) != nil {
			convertible++
			if a.unit != a.factor.unit {
				converted++
			}
		}
		if q, ok := new(big.Rat).SetString(a.quantity); !ok || q.Sign() <= 0 {
			t.Fatalf("quantity %q, want above zero", a.quantity)
		}
	}
	if share := float64(converted) / float64(convertible); math.Abs(share-convertedShare) > 0.02 {
		t.Errorf("%.3f converted, want %v", share, convertedShare)
	}
}

func TestValidate(t *testing.T) {
	good := steady(10, 10*time.Second, Class{Name: requestCalculate, Weight: 1}, get("home"))
	table := []struct {
		name   string
		change func(*Spec)
		want   []string // paths
	}{
		{"good", func(*Spec) {}, nil},
		{"empty", func(s *Spec) { *s = Spec{} }, []string{"mix", "profile.for", "profile.kind"}},
		{"rates", func(s *Spec) { s.Profile.Rate = 2e6 }, []string{"profile.rate"}},
		{"ramp without end", func(s *Spec) { s.Profile.Kind = kindRamp }, []string{"profile.to"}},
		{"steps do not add up", func(s *Spec) {
			s.Profile.Kind, s.Profile.Steps = kindSteps, []Step{{Rate: 1, For: time.Second}, {}}
		}, []string{"profile.steps", "profile.steps[1].for", "profile.steps[1].rate"}},
		{
			"bare quarterly peak", func(s *Spec) { s.Profile.Kind = kindQuarterlyPeak },
			[]string{"profile.compress", "profile.deadline", "profile.peak", "profile.start"},
		},
		{"mix", func(s *Spec) {
			s.Mix = []Class{
				{Name: "calculate"},
				{Name: "calculate", Weight: 1},
				{Name: "dig", Weight: 1},
				{Name: "x", Weight: 1, Path: "x"},
				{Name: "y", Weight: -1, Method: "GET"},
				{Name: "probe", Weight: 1, Request: "read"},
			}
		}, []string{
			"mix[0].weight", "mix[1].class", "mix[2].request", "mix[3].method", "mix[3].path",
			"mix[4].path", "mix[4].request", "mix[4].weight", "mix[5].class",
		}},
		{"names that nobody can say", func(s *Spec) {
			s.Mix = []Class{get(" a"), get("b)"), get("c\n"), get("\u202ed"), get("e\u00a0f"), get("p99 (x"), get("<b>|`ü`")}
		}, []string{"mix[0].class", "mix[1].class", "mix[2].class", "mix[3].class", "mix[4].class"}},
		{"another host", func(s *Spec) { s.Mix[1].Path = "//example.org/" }, []string{"mix[1].path"}},
		{"times", func(s *Spec) {
			s.WarmUp, s.Timeout, s.MaxLag, s.Probe = 10*time.Second, -1, -1, ProbeSpec{Every: 1, Timeout: -1}
		}, []string{"max_lag", "probe.every", "probe.timeout", "timeout", "warm_up"}},
		{"longer than a histogram tells apart", func(s *Spec) {
			s.Timeout, s.Probe.Timeout = 100*365*24*time.Hour, 3*time.Minute
		}, []string{"probe.timeout", "timeout"}},
		{"together too long", func(s *Spec) { s.Timeout, s.MaxLag = time.Minute, math.MaxInt64 }, []string{"max_lag"}},
		{"as long as can be", func(s *Spec) { s.Timeout, s.MaxLag = 90*time.Second, 30*time.Second }, nil},
		{"weights without a sum", func(s *Spec) { s.Mix[0].Weight, s.Mix[1].Weight = 1e308, 1e308 }, []string{"mix[0].weight", "mix[1].weight"}},
		{"words", func(s *Spec) { s.Arrivals, s.MaxInFlight = "bursty", -1 }, []string{"arrivals", "max_in_flight"}},
		{"endless", func(s *Spec) { s.Profile.Rate, s.Profile.For = 1e6, time.Hour }, []string{"profile.for"}},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			s := good
			s.Mix = append([]Class(nil), good.Mix...)
			row.change(&s)
			var got []string
			s.Validate(func(path, format string, args ...any) {
				got = append(got, path)
				if text := fmt.Sprintf(format, args...); text == "" || strings.Contains(text, "%!") {
					t.Errorf("%s: bad message %q", path, text)
				}
			})
			if diff := cmp.Diff(row.want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("Validate() places (-want +got):\n%s", diff)
			}
			if _, err := NewSchedule(s, 1); (err != nil) != (row.want != nil) {
				t.Errorf("NewSchedule() error = %v, want one only for a bad block", err)
			}
		})
	}
}

const (
	goldenPoisson = "a9ec9e59654d01df65159eb6a1ec543f32f5e6617b754e2c6991761ef774b46c"
	goldenEven    = "574acf99f09b2a9b4d6ea0cdfb4bc376fc330faa3bab1a4f85ed59e2ff2b5a2e"
)
