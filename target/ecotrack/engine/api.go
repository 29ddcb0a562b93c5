// Package engine is EcoTrack's HTTP API: estimates, durable calculations, factors and imports. It
// also holds what the other roles share with it: the HTTP service, the calculator and the queue.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"squall/target/ecotrack/carbon"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"strconv"
)

const (
	maxBody   = 1 << 20 // bytes of a request
	maxBatch  = 100     // items of a batch
	maxKey    = 200     // bytes of an idempotency key
	maxTenant = 64      // bytes of a tenant's name
)

// Store is where calculations are kept: *ledger.Ledger, or an in-memory one in tests.
type Store interface {
	Append(ctx context.Context, e ledger.Entry) (ledger.Row, error)
	AppendBatch(ctx context.Context, entries []ledger.Entry) ([]ledger.Outcome, error)
	Get(ctx context.Context, tenant, id string) (ledger.Row, error)
	Job(ctx context.Context, tenant, job string) (ledger.Job, error)
}

// Jobs is where imports are queued: *Queue, or an in-memory one in tests.
type Jobs interface {
	Publish(ctx context.Context, job ImportJob) (duplicate bool, err error)
	Waiting(ctx context.Context, job string) (found ImportJob, ok bool, err error)
}

// Engine answers the routes of the calculation engine.
type Engine struct {
	store      Store
	jobs       Jobs
	catalogue  *factors.Catalogue
	calculator *Calculator
}

// New returns an engine.
func New(catalogue *factors.Catalogue, store Store, jobs Jobs) *Engine {
	return &Engine{store, jobs, catalogue, NewCalculator(catalogue)}
}

// Register adds the engine's routes to s.
func (e *Engine) Register(s *Service) {
	s.Handle("POST /v1/estimates", e.estimate)
	s.Handle("POST /v1/calculations", e.calculate)
	s.Handle("POST /v1/calculations/batch", e.calculateBatch)
	s.Handle("GET /v1/calculations/{id}", e.getCalculation)
	s.Handle("GET /v1/factors", e.searchFactors)
	s.Handle("POST /v1/imports", e.importCSV)
	s.Handle("GET /v1/jobs/{job}", e.getJob)
}

func (e *Engine) estimate(w http.ResponseWriter, r *http.Request) error {
	var req Request
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	if err := r.Context().Err(); err != nil {
		return err
	}
	calc, err := e.calculator.Calculate(req)
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, calc)
	return nil
}

func (e *Engine) calculate(w http.ResponseWriter, r *http.Request) error {
	tenant, err := Tenant(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var req Request
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	entry, _, err := e.calculator.Entry(tenant, key, req)
	if err != nil {
		return err
	}
	row, err := e.store.Append(r.Context(), entry)
	if err != nil {
		return err
	}
	calc, err := withReceipt(row)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if row.Replayed {
		status = http.StatusOK
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Location", "/v1/calculations/"+row.ID)
	WriteJSON(w, status, calc)
	return nil
}

// withReceipt returns the calculation that row holds.
func withReceipt(row ledger.Row) (Calculation, error) {
	var calc Calculation
	if err := json.Unmarshal(row.Body, &calc); err != nil {
		return Calculation{}, fmt.Errorf("unmarshal row %s: %w", row.ID, err)
	}
	calc.ID = row.ID
	calc.Receipt = &Receipt{ID: row.ID, Key: row.Key, Hash: row.Hash, Node: row.Node}
	return calc, nil
}

// batchItem is one calculation of a batch.
type batchItem struct {
	Key string `json:"key"`
	Request
}

// batchResult is what became of one item: a calculation or a problem.
type batchResult struct {
	Status      int          `json:"status"`
	Calculation *Calculation `json:"calculation,omitempty"`
	Problem     *Problem     `json:"problem,omitempty"`
}

func (e *Engine) calculateBatch(w http.ResponseWriter, r *http.Request) error {
	tenant, err := Tenant(r)
	if err != nil {
		return err
	}
	var body struct {
		Items []batchItem `json:"items"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if len(body.Items) < 1 || len(body.Items) > maxBatch {
		return unprocessable(CodeBatchSize, "a batch has 1 to %d items, got %d", maxBatch, len(body.Items))
	}
	results := make([]batchResult, len(body.Items))
	var entries []ledger.Entry
	var places []int // places[i] is where entries[i] stands in results
	for i, item := range body.Items {
		if err := r.Context().Err(); err != nil {
			return err
		}
		err := checkKey(item.Key)
		var entry ledger.Entry
		if err == nil {
			entry, _, err = e.calculator.Entry(tenant, item.Key, item.Request)
		}
		if err != nil {
			p := ProblemOf(err)
			results[i] = batchResult{Status: p.Status, Problem: p}
			continue
		}
		entries, places = append(entries, entry), append(places, i)
	}
	if len(entries) > 0 {
		outcomes, err := e.store.AppendBatch(r.Context(), entries)
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			results[places[i]] = resultOf(o)
		}
	}
	WriteJSON(w, http.StatusOK, map[string]any{"items": results})
	return nil
}

// resultOf describes the outcome of one entry.
func resultOf(o ledger.Outcome) batchResult {
	err := o.Err
	var calc Calculation
	if err == nil {
		calc, err = withReceipt(o.Row)
	}
	if err != nil {
		p := ProblemOf(err)
		return batchResult{Status: p.Status, Problem: p}
	}
	if o.Row.Replayed {
		return batchResult{Status: http.StatusOK, Calculation: &calc}
	}
	return batchResult{Status: http.StatusCreated, Calculation: &calc}
}

func (e *Engine) getCalculation(w http.ResponseWriter, r *http.Request) error {
	tenant, err := Tenant(r)
	if err != nil {
		return err
	}
	row, err := e.store.Get(r.Context(), tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	calc, err := withReceipt(row)
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, calc)
	return nil
}

// factorJSON is a factor of the catalogue as the API shows it.
type factorJSON struct {
	ID       string          `json:"id"`
	Version  string          `json:"version"`
	Category string          `json:"category"`
	Scope    string          `json:"scope"`
	Activity string          `json:"activity"`
	Unit     string          `json:"unit"`
	CO2      *carbon.Decimal `json:"co2_kg"`
	CH4      *carbon.Decimal `json:"ch4_kg"`
	N2O      *carbon.Decimal `json:"n2o_kg"`
	CO2e     carbon.Decimal  `json:"co2e_kg"`
	GWPSet   carbon.GWPSet   `json:"gwp_set"`
	Region   string          `json:"region"`
	Year     int             `json:"year"`
	Source   string          `json:"source"`
}

func (e *Engine) searchFactors(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query := factors.Query{
		Text: q.Get("q"), Category: q.Get("category"), Region: q.Get("region"),
		Cursor: q.Get("cursor"),
	}
	if text := q.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > factors.MaxLimit {
			return NewProblem(http.StatusBadRequest, CodeQuery, "limit must be 1 to %d, got %q",
				factors.MaxLimit, text)
		}
		query.Limit = limit
	}
	page, next, err := e.catalogue.Search(query)
	if err != nil {
		return NewProblem(http.StatusBadRequest, CodeQuery, "%v", err)
	}
	answer := struct {
		Factors []factorJSON `json:"factors"`
		Next    string       `json:"next,omitempty"`
	}{make([]factorJSON, len(page)), next}
	for i, f := range page {
		answer.Factors[i] = factorJSON{
			f.ID, f.Version, f.Category, f.Scope, f.Activity, f.Unit,
			f.CO2, f.CH4, f.N2O, f.CO2e, f.GWPSet, f.Region, f.Year, f.Source,
		}
	}
	WriteJSON(w, http.StatusOK, answer)
	return nil
}

// Tenant returns the tenant that X-Tenant names, "default" without one, or a problem.
func Tenant(r *http.Request) (string, error) {
	tenant := r.Header.Get("X-Tenant")
	if tenant == "" {
		return "default", nil
	}
	if len(tenant) > maxTenant || !printable(tenant) {
		return "", NewProblem(http.StatusBadRequest, CodeTenant,
			"X-Tenant must be at most %d printable ASCII characters", maxTenant)
	}
	return tenant, nil
}

// idempotencyKey returns the request's Idempotency-Key, or a problem.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	return key, checkKey(key)
}

func checkKey(key string) error {
	if key == "" {
		return NewProblem(http.StatusBadRequest, CodeKeyMissing, "a write needs an idempotency key")
	}
	if len(key) > maxKey || !printable(key) {
		return NewProblem(http.StatusBadRequest, CodeKeyInvalid,
			"an idempotency key must be at most %d printable ASCII characters", maxKey)
	}
	return nil
}

// printable says whether s is visible ASCII only.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// readJSON reads the body into v: one JSON value of at most maxBody bytes, with known fields only.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if err := checkMediaType(r, "application/json"); err != nil {
		return err
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed(errors.New("the body has more than one JSON value"))
	}
	return nil
}

// malformed turns an error of reading the body into a problem, unless it already is a known one.
func malformed(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return NewProblem(http.StatusBadRequest, CodeMalformed, "%v", err)
}

// checkMediaType accepts a body without a Content-Type, or with the one that is wanted.
func checkMediaType(r *http.Request, want string) error {
	text := r.Header.Get("Content-Type")
	if text == "" {
		return nil
	}
	got, _, err := mime.ParseMediaType(text)
	if err != nil || got != want {
		return NewProblem(http.StatusUnsupportedMediaType, CodeMediaType, "want %s, got %q", want, text)
	}
	return nil
}
