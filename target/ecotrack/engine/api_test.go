package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"strings"
	"sync"
	"testing"
)

const anthracite = "epa24.stat.anthracite.mmbtu"

// loaded loads the catalogue once; it never changes.
var loaded = sync.OnceValues(factors.Load)

func catalogue(t *testing.T) *factors.Catalogue {
	t.Helper()
	c, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve returns an engine over m behind a real socket.
func serve(t *testing.T, m *memory, o ServiceOptions) *httptest.Server {
	t.Helper()
	return serveWith(t, m, m, o)
}

// serveWith returns an engine over a store and a queue behind a real socket.
func serveWith(t *testing.T, store Store, jobs Jobs, o ServiceOptions) *httptest.Server {
	t.Helper()
	s := NewService(o)
	New(catalogue(t), store, jobs).Register(s)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server
}

// call is one request; headers are given as "Name: value" lines.
type call struct {
	method, path, headers, body string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, server *httptest.Server, c call) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(c.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Set(name, value)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("answer is no JSON: %v: %s", err, a.body)
	}
	return v
}

const (
	good = `{"activity":{"kind":"factor","factor":"` + anthracite +
		`","quantity":"12.5","unit":"mmBtu","period":"2026-Q1"}}`
	power = `{"activity":{"kind":"electricity","region":"US-EGRID-CAMX","quantity":"10","unit":"MWh",` +
		`"period":"2026-Q1","instruments":[{"kind":"certificate","quantity":"4","unit":"MWh","kg_co2e_per_kwh":"0"}]}}`
	csvFile = "factor,quantity,unit\n" + anthracite + ",1,mmBtu\n" + anthracite + ",2,mmBtu\n"
	keyA    = "Idempotency-Key: a"
)

func TestEstimate(t *testing.T) {
	server := serve(t, newMemory(), ServiceOptions{})
	a := do(t, server, call{"POST", "/v1/estimates", "X-Request-Id: r-7", good})
	calc := decode[Calculation](t, a)
	if a.status != 200 || calc.CO2e.String() != "1305.275" || calc.Receipt != nil || calc.Interval.Draws != 10_000 {
		t.Errorf("estimate = %d %s, want 200, 1305.275 kg, 10000 draws and no receipt", a.status, a.body)
	}
	if got := a.header.Get("X-Request-Id"); got != "r-7" {
		t.Errorf("X-Request-Id = %q, want r-7", got)
	}
	if again := do(t, server, call{"POST", "/v1/estimates", "", " " + good}); again.body != a.body {
		t.Errorf("estimate again = %s, want the same bytes as %s", again.body, a.body)
	}
	a = do(t, server, call{"POST", "/v1/estimates", "", power})
	calc = decode[Calculation](t, a)
	if a.status != 200 || calc.CO2e.String() != "1950.2612181283" || calc.Market == nil || calc.Market.Cmp(calc.CO2e) >= 0 {
		t.Errorf("electricity = %d %s, want a market figure below the location figure", a.status, a.body)
	}
	a = do(t, server, call{"POST", "/v1/estimates", "", strings.TrimSuffix(good, "}") + `,"draws":0,"gwp_set":"AR6"}`})
	calc = decode[Calculation](t, a)
	if a.status != 200 || calc.Interval != nil || calc.GWPSet != "AR6" {
		t.Errorf("estimate without draws in AR6 = %d %s, want no interval", a.status, a.body)
	}
}

func TestCalculation(t *testing.T) {
	server := serve(t, newMemory(), ServiceOptions{})
	first := do(t, server, call{"POST", "/v1/calculations", keyA, good})
	calc := decode[Calculation](t, first)
	if first.status != 201 || calc.Receipt == nil || calc.Receipt.Key != "a" || len(calc.Receipt.Hash) != 64 || calc.ID != calc.Receipt.ID {
		t.Errorf("calculation = %d %s, want 201 with a receipt", first.status, first.body)
	}
	replay := do(t, server, call{"POST", "/v1/calculations", keyA, " " + good})
	if replay.status != 200 || replay.header.Get("Idempotent-Replayed") != "true" || replay.body != first.body {
		t.Errorf("replay = %d %v %s, want 200, marked, and the first body", replay.status, replay.header, replay.body)
	}
	other := do(t, server, call{"POST", "/v1/calculations", keyA + "\nX-Tenant: other", power})
	if other.status != 201 {
		t.Errorf("the key of another tenant = %d %s, want 201", other.status, other.body)
	}
	got := do(t, server, call{"GET", "/v1/calculations/" + calc.ID, "", ""})
	if got.status != 200 || got.body != first.body {
		t.Errorf("get = %d %s, want the calculation", got.status, got.body)
	}
	if got = do(t, server, call{"GET", "/v1/calculations/" + calc.ID, "X-Tenant: other", ""}); got.status != 404 {
		t.Errorf("get by another tenant = %d, want 404", got.status)
	}
}

func TestBatch(t *testing.T) {
	server := serve(t, newMemory(), ServiceOptions{})
	item := func(key, request string) string { return `{"key":"` + key + `",` + request[1:] }
	body := `{"items":[` + strings.Join([]string{
		item("b1", good), item("b2", strings.Replace(good, "mmBtu\"", "km\"", 1)), item("b1", power),
		item("b1", good), item("", good),
	}, ",") + `]}`
	a := do(t, server, call{"POST", "/v1/calculations/batch", "", body})
	got := decode[struct{ Items []batchResult }](t, a)
	var brief []string
	for _, r := range got.Items {
		switch {
		case r.Problem != nil:
			brief = append(brief, fmt.Sprint(r.Status, " ", r.Problem.Code))
		default:
			brief = append(brief, fmt.Sprint(r.Status, " ", r.Calculation.Receipt.Key))
		}
	}
	want := "201 b1, 422 unit_dimension_mismatch, 422 idempotency_key_reused, 200 b1, 400 idempotency_key_missing"
	if a.status != 200 || strings.Join(brief, ", ") != want {
		t.Errorf("batch = %d %s, want 200 %s", a.status, strings.Join(brief, ", "), want)
	}
}

func TestFactors(t *testing.T) {
	server := serve(t, newMemory(), ServiceOptions{})
	type page struct {
		Factors []factorJSON
		Next    string
	}
	seen := map[string]bool{}
	cursor := ""
	for range 3 {
		a := do(t, server, call{"GET", "/v1/factors?category=stationary_combustion&limit=2&cursor=" + cursor, "", ""})
		p := decode[page](t, a)
		if a.status != 200 || len(p.Factors) != 2 || p.Next == "" {
			t.Fatalf("factors = %d %s, want a page of 2 and a cursor", a.status, a.body)
		}
		for _, f := range p.Factors {
			if seen[f.ID] || f.Category != "stationary_combustion" {
				t.Errorf("factor %s of category %s came twice or wrongly", f.ID, f.Category)
			}
			seen[f.ID] = true
		}
		cursor = p.Next
	}
}

func TestImport(t *testing.T) {
	m := newMemory()
	server := serve(t, m, ServiceOptions{})
	m.fail = ledger.ErrUnavailable // imports are accepted without the database
	post := call{"POST", "/v1/imports?period=2026-Q1", keyA + "\nContent-Type: text/csv", csvFile}
	a := do(t, server, post)
	job := decode[jobJSON](t, a)
	if a.status != 202 || job.Lines != 2 || job.State != "queued" || a.header.Get("Location") != "/v1/jobs/"+job.Job {
		t.Fatalf("import = %d %v %s, want 202 and its job", a.status, a.header, a.body)
	}
	if kept := m.wait[job.Job]; kept.Period != "2026-Q1" || kept.Key != "a" || len(kept.Lines) != 2 {
		t.Errorf("queued job = %+v", kept)
	}
	if again := do(t, server, post); again.status != 202 || again.body != a.body {
		t.Errorf("import again = %d %s, want the same job", again.status, again.body)
	}
	get := call{"GET", "/v1/jobs/" + job.Job, "", ""}
	if got := do(t, server, get); got.status != 200 || decode[jobJSON](t, got).State != "queued" {
		t.Errorf("job with the database down = %d %s, want queued", got.status, got.body)
	}
	m.fail = nil
	m.finish(t, job.Job)
	if got := do(t, server, get); got.status != 200 || decode[jobJSON](t, got).Done != 2 {
		t.Errorf("job = %d %s, want done", got.status, got.body)
	}
	get.headers = "X-Tenant: other"
	if got := do(t, server, get); got.status != 404 {
		t.Errorf("job of another tenant = %d, want 404", got.status)
	}
	post.body += anthracite + ",3,mmBtu\n"
	if got := do(t, server, post); got.status != 422 || decode[Problem](t, got).Code != CodeKeyReused {
		t.Errorf("another import under the key = %d %s, want 422 %s", got.status, got.body, CodeKeyReused)
	}
}

func TestProblems(t *testing.T) {
	edit := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	big := `{"activity":{"kind":"` + strings.Repeat("x", maxBody) + `"}}`
	lines := "factor,quantity,unit\n" + strings.Repeat("f,1,kg\n", maxLines+1)
	batch := `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"key":"k"},`, maxBatch+1), ",") + `]}`
	const est, calc, imp = "/v1/estimates", "/v1/calculations", "/v1/imports"
	tests := []struct {
		name   string
		call   call
		store  error
		queue  error
		status int
		code   string
	}{
		{"no JSON", call{"POST", est, "", "{"}, nil, nil, 400, CodeMalformed},
		{"empty body", call{"POST", est, "", ""}, nil, nil, 400, CodeMalformed},
		{"unknown field", call{"POST", est, "", edit(`"kind"`, `"extra":1,"kind"`)}, nil, nil, 400, CodeMalformed},
		{"number for a decimal", call{"POST", est, "", edit(`"12.5"`, `12.5`)}, nil, nil, 400, CodeMalformed},
		{"two values", call{"POST", est, "", good + good}, nil, nil, 400, CodeMalformed},
		{"too large", call{"POST", est, "", big}, nil, nil, 413, CodeTooLarge},
		{"wrong media type", call{"POST", est, "Content-Type: text/plain", good}, nil, nil, 415, CodeMediaType},
		{"bad timeout", call{"POST", est, "Request-Timeout-Ms: soon", good}, nil, nil, 400, CodeTimeout},
		{"unknown kind", call{"POST", est, "", edit(`"factor",`, `"magic",`)}, nil, nil, 422, CodeKind},
		{"unknown factor", call{"POST", est, "", edit(anthracite, "none")}, nil, nil, 422, CodeFactor},
		{"unknown region", call{"POST", est, "", strings.Replace(power, "CAMX", "MOON", 1)}, nil, nil, 422, CodeFactor},
		{"field of another kind", call{"POST", est, "", edit(`"unit"`, `"region":"US","unit"`)}, nil, nil, 422, CodeActivity},
		{"factor with electricity", call{"POST", est, "", strings.Replace(power, `"unit"`, `"factor":"x","unit"`, 1)}, nil, nil, 422, CodeActivity},
		{"bad period", call{"POST", est, "", edit("2026-Q1", "2026-Q5")}, nil, nil, 422, CodePeriod},
		{"bad decimal", call{"POST", est, "", edit(`"12.5"`, `"a lot"`)}, nil, nil, 422, "decimal_invalid"},
		{"negative quantity", call{"POST", est, "", edit(`"12.5"`, `"-1"`)}, nil, nil, 422, "quantity_invalid"},
		{"unknown unit", call{"POST", est, "", edit(`"mmBtu"`, `"stone"`)}, nil, nil, 422, "unit_unknown"},
		{"unit of another dimension", call{"POST", est, "", edit(`"mmBtu"`, `"km"`)}, nil, nil, 422, "unit_dimension_mismatch"},
		{"unknown GWP set", call{"POST", est, "", edit(`}}`, `},"gwp_set":"AR7"}`)}, nil, nil, 422, "gwp_set_unknown"},
		{"too many draws", call{"POST", est, "", edit(`}}`, `},"draws":100001}`)}, nil, nil, 422, CodeDraws},
		{"bad instrument", call{"POST", est, "", strings.Replace(power, "certificate", "hope", 1)}, nil, nil, 422, "instrument_invalid"},
		{"no key", call{"POST", calc, "", good}, nil, nil, 400, CodeKeyMissing},
		{"bad key", call{"POST", calc, "Idempotency-Key: a b", good}, nil, nil, 400, CodeKeyInvalid},
		{"bad tenant", call{"POST", calc, keyA + "\nX-Tenant: a b", good}, nil, nil, 400, CodeTenant},
		{"key reused", call{"POST", calc, keyA, good}, ledger.ErrKeyReused, nil, 422, CodeKeyReused},
		{"store down", call{"POST", calc, keyA, good}, ledger.ErrUnavailable, nil, 503, CodeStoreUnavailable},
		{"store read-only", call{"POST", calc, keyA, good}, ledger.ErrReadOnly, nil, 503, CodeStoreReadOnly},
		{"outcome unknown", call{"POST", calc, keyA, good}, ledger.ErrOutcomeUnknown, nil, 503, CodeOutcomeUnknown},
		{"mistake of ours", call{"POST", calc, keyA, good}, errors.New("secret"), nil, 500, CodeInternal},
		{
			"batch, outcome unknown",
			call{"POST", calc + "/batch", "", `{"items":[{"key":"k",` + good[1:] + `]}`},
			ledger.ErrOutcomeUnknown, nil, 503, CodeOutcomeUnknown,
		},
		{"empty batch", call{"POST", calc + "/batch", "", `{"items":[]}`}, nil, nil, 422, CodeBatchSize},
		{"long batch", call{"POST", calc + "/batch", "", batch}, nil, nil, 422, CodeBatchSize},
		{"no such calculation", call{"GET", calc + "/none", "", ""}, nil, nil, 404, CodeNotFound},
		{"calculation, store down", call{"GET", calc + "/none", "", ""}, ledger.ErrUnavailable, nil, 503, CodeStoreUnavailable},
		{"limit too large", call{"GET", "/v1/factors?limit=501", "", ""}, nil, nil, 400, CodeQuery},
		{"bad cursor", call{"GET", "/v1/factors?cursor=x", "", ""}, nil, nil, 400, CodeQuery},
		{"import without key", call{"POST", imp, "", csvFile}, nil, nil, 400, CodeKeyMissing},
		{"import of JSON", call{"POST", imp, keyA + "\nContent-Type: application/json", good}, nil, nil, 415, CodeMediaType},
		{"import, wrong header", call{"POST", imp, keyA, "a,b,c\n1,2,3\n"}, nil, nil, 422, CodeImport},
		{"import, ragged", call{"POST", imp, keyA, "factor,quantity,unit\n1,2\n"}, nil, nil, 422, CodeImport},
		{"import, no lines", call{"POST", imp, keyA, "factor,quantity,unit\n"}, nil, nil, 422, CodeImport},
		{"import, too many lines", call{"POST", imp, keyA, lines}, nil, nil, 422, CodeImport},
		{"import, too large", call{"POST", imp, keyA, strings.Repeat(" ", maxBody+1)}, nil, nil, 413, CodeTooLarge},
		{"import, bad period", call{"POST", imp + "?period=Q1", keyA, csvFile}, nil, nil, 422, CodePeriod},
		{"import, queue down", call{"POST", imp, keyA, csvFile}, nil, ErrQueueUnavailable, 503, CodeQueueUnavailable},
		{"no such job", call{"GET", "/v1/jobs/" + JobID("t", "x"), "", ""}, nil, nil, 404, CodeNotFound},
		{"job id that is a wildcard", call{"GET", "/v1/jobs/*", "", ""}, nil, ErrQueueUnavailable, 404, CodeNotFound},
		{"job, both down", call{"GET", "/v1/jobs/" + JobID("t", "x"), "", ""}, ledger.ErrUnavailable, ErrQueueUnavailable, 503, CodeQueueUnavailable},
		{"no such route", call{"GET", "/v2", "", ""}, nil, nil, 404, CodeNotFound},
		{"wrong method", call{"DELETE", est, "", ""}, nil, nil, 405, CodeMethod},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			m.fail, m.failQueue = tt.store, tt.queue
			a := do(t, serve(t, m, ServiceOptions{}), tt.call)
			p := decode[Problem](t, a)
			if a.status != tt.status || p.Code != tt.code || p.Status != tt.status {
				t.Errorf("%s %s = %d %s, want %d %s", tt.call.method, tt.call.path, a.status, a.body, tt.status, tt.code)
			}
			if got := a.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type = %q, want application/problem+json", got)
			}
			if (a.header.Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("Retry-After = %q with status %d", a.header.Get("Retry-After"), tt.status)
			}
			if strings.Contains(a.body, "secret") {
				t.Errorf("the answer tells an inner error: %s", a.body)
			}
		})
	}
}
