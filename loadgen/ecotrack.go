package loadgen

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// EcoTrack's generated requests, by the names they have in a scenario.
const (
	requestCalculate = "calculate" // one durable calculation
	requestBatch     = "batch"     // ten durable calculations in one transaction
	requestEstimate  = "estimate"  // one calculation that leaves nothing behind
	requestRead      = "read"      // an earlier calculation of this run, by its id
	requestFactors   = "factors"   // a search of the catalogue
	requestImport    = "import"    // a CSV of twenty lines: answered at once, done by a worker
	requestInventory = "inventory" // the roll-up of a quarter, from the replica
)

// IsQueued says whether the class's requests are answered before their work is done: an import is.
func (c Class) IsQueued() bool {
	return c.Path == "" && (c.Request == requestImport || c.Request == "" && c.Name == requestImport)
}

// generatedRequests lists them in the order of the documentation.
func generatedRequests() []string {
	return []string{
		requestCalculate, requestBatch, requestEstimate, requestRead,
		requestFactors, requestImport, requestInventory,
	}
}

// What a generated request holds. Ten and twenty are small enough that one slow request is no
// outage of its own, and large enough to be another kind of work than a single calculation.
const (
	batchItems  = 10
	importLines = 20
	period      = "2026-Q1"
)

const (
	jsonType = "application/json"
	csvType  = "text/csv"
)

// searches are what people look for in the catalogue.
func searches() []string {
	return []string{
		"natural gas", "diesel", "electricity", "waste", "flight", "anthracite", "steam", "rail",
		"refrigerant", "water", "hotel", "butane",
	}
}

// fill makes the request of its kind, drawing its content.
func (r *request) fill(draw *rand.Rand, factors []factor, pool *idPool) {
	switch r.kind {
	case requestCalculate:
		r.calculate(drawActivity(draw, factors))
	case requestEstimate:
		r.method, r.path, r.contentType = "POST", "/v1/estimates", jsonType
		r.body = appendActivity([]byte(`{"activity":`), drawActivity(draw, factors))
		r.body = append(r.body, '}')
	case requestBatch:
		r.batch(draw, factors)
	case requestImport:
		r.importLines(draw, factors)
	case requestFactors:
		words := searches()
		r.method = "GET"
		r.path = "/v1/factors?limit=20&q=" + url.QueryEscape(words[draw.IntN(len(words))])
	case requestInventory:
		r.method, r.path = "GET", "/v1/inventories/"+period
	case requestRead:
		r.read(draw, factors, pool)
	}
}

// calculate asks for one durable calculation under the request's own id as key.
func (r *request) calculate(a activity) {
	r.method, r.path, r.contentType, r.durable = "POST", "/v1/calculations", jsonType, true
	r.body = appendActivity([]byte(`{"activity":`), a)
	r.body = append(r.body, '}')
	r.items = []asked{{key: r.id, activity: a}}
}

func (r *request) batch(draw *rand.Rand, factors []factor) {
	r.method, r.path, r.contentType = "POST", "/v1/calculations/batch", jsonType
	r.body = append(r.body, `{"items":[`...)
	for i := range batchItems {
		a := asked{key: r.id + "-" + strconv.Itoa(i), activity: drawActivity(draw, factors)}
		r.items = append(r.items, a)
		if i > 0 {
			r.body = append(r.body, ',')
		}
		r.body = append(r.body, `{"key":"`...)
		r.body = append(r.body, a.key...)
		r.body = append(r.body, `","activity":`...)
		r.body = appendActivity(r.body, a.activity)
		r.body = append(r.body, '}')
	}
	r.body = append(r.body, `]}`...)
}

// importLines asks for a job. Line n gets the key "<Idempotency-Key>-<n>" from EcoTrack.
func (r *request) importLines(draw *rand.Rand, factors []factor) {
	r.method, r.path, r.contentType, r.durable = "POST", "/v1/imports", csvType, true
	var b strings.Builder
	b.WriteString("factor,quantity,unit\n")
	for i := range importLines {
		a := drawActivity(draw, factors)
		r.items = append(r.items, asked{key: r.id + "-" + strconv.Itoa(i), activity: a})
		b.WriteString(a.factor.id + "," + a.quantity + "," + a.unit + "\n")
	}
	r.body = []byte(b.String())
}

// read asks for an earlier acknowledged calculation of this run. Before there is one it asks the
// catalogue for one factor, so that the class keeps its rate.
func (r *request) read(draw *rand.Rand, factors []factor, pool *idPool) {
	r.method = "GET"
	pick := draw.Uint64()
	if id, found := pool.pick(pick); found {
		r.path, r.want = "/v1/calculations/"+url.PathEscape(id), id
		return
	}
	r.path = "/v1/factors?limit=1&q=" + url.QueryEscape(factors[pick%uint64(len(factors))].id)
}

// appendActivity writes the JSON of an activity. Nothing in it needs escaping: ids, units and
// quantities are the generator's own.
func appendActivity(b []byte, a activity) []byte {
	b = append(b, `{"kind":"factor","factor":"`...)
	b = append(b, a.factor.id...)
	b = append(b, `","quantity":"`...)
	b = append(b, a.quantity...)
	b = append(b, `","unit":"`...)
	b = append(b, a.unit...)
	b = append(b, `","period":"`+period+`"}`...)
	return b
}

// idPool holds the ids of the latest acknowledged calculations, for reads. It is bounded: reads
// spread over the last poolSize rows. A nil pool is empty.
type idPool struct {
	mu   sync.Mutex
	ids  []string
	next int
}

// poolSize is several minutes of a modest load: enough that reads are not all of the same pages.
const poolSize = 1 << 16

func (p *idPool) add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ids) < poolSize {
		p.ids = append(p.ids, id)
		return
	}
	p.ids[p.next] = id
	p.next = (p.next + 1) % poolSize
}

func (p *idPool) pick(n uint64) (string, bool) {
	if p == nil {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ids) == 0 {
		return "", false
	}
	return p.ids[n%uint64(len(p.ids))], true
}
