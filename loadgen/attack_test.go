package loadgen

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// ecoTrack answers like EcoTrack's engine, from memory. It is a stand-in for the wire, not for the
// service: values are whatever value returns.
type ecoTrack struct {
	mu    sync.Mutex
	rows  map[string]string // key to id
	calls map[string]int    // by path
}

func newEcoTrack() *ecoTrack {
	return &ecoTrack{rows: make(map[string]string), calls: make(map[string]int)}
}

func (e *ecoTrack) write(key string) map[string]any {
	id := "id-" + key
	e.rows[key] = id
	return map[string]any{
		"id": id, "co2e_kg": "1.5",
		"receipt": map[string]any{"id": id, "key": key, "hash": "h-" + key, "node": "engine-1"},
	}
}

func (e *ecoTrack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	path := r.URL.Path
	if id, found := strings.CutPrefix(path, "/v1/calculations/"); found && r.Method == http.MethodGet {
		path = "/v1/calculations/{id}"
		if !strings.HasPrefix(id, "id-") || e.rows[strings.TrimPrefix(id, "id-")] != id {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"not_found"}`)
			return
		}
		fmt.Fprintf(w, `{"id":%q,"co2e_kg":"1.5"}`, id)
		e.calls[path]++
		return
	}
	e.calls[path]++
	key := r.Header.Get("Idempotency-Key")
	var answer any = map[string]any{}
	switch path {
	case "/v1/calculations":
		w.WriteHeader(http.StatusCreated)
		answer = e.write(key)
	case "/v1/calculations/batch":
		var in struct{ Items []struct{ Key string } }
		_ = json.Unmarshal(body, &in)
		var items []any
		for _, item := range in.Items {
			items = append(items, map[string]any{"status": 201, "calculation": e.write(item.Key)})
		}
		answer = map[string]any{"items": items}
	case "/v1/imports":
		w.WriteHeader(http.StatusAccepted)
		answer = map[string]any{"job": "job-" + key, "state": "queued"}
	case "/v1/estimates":
		answer = map[string]any{"co2e_kg": "1.5"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// patience is a limit that only a machine which hangs for good can reach.
const patience = denseLimit / 2 // the longest that a schedule may wait for an answer and be late

// steady is a load with limits so generous that a busy machine cannot reach them.
func steady(rate Rate, length time.Duration, mix ...Class) Spec {
	return Spec{
		Profile: Profile{Kind: kindSteady, Rate: rate, For: length}, Mix: mix,
		Timeout: patience, MaxLag: patience,
		Probe: ProbeSpec{Timeout: patience},
	}
}

func get(name string) Class { return Class{Name: name, Weight: 1, Method: "GET", Path: "/" + name} }

func mustSchedule(tb testing.TB, spec Spec) *Schedule {
	tb.Helper()
	s, err := NewSchedule(spec, 7)
	if err != nil {
		tb.Fatalf("NewSchedule() error: %v", err)
	}
	return s
}

func mustRun(ctx context.Context, tb testing.TB, s *Schedule, opts Options) *Recording {
	tb.Helper()
	r, err := Run(ctx, s, opts)
	if err != nil {
		tb.Fatalf("Run() error: %v", err)
	}
	checkSums(tb, s, r)
	return r
}

// checkSums holds the identities that every recording keeps.
func checkSums(tb testing.TB, s *Schedule, r *Recording) {
	tb.Helper()
	for i, c := range r.Classes {
		if c.Planned != c.Sent+c.Unsent {
			tb.Errorf("class %s: planned %d, want sent %d + unsent %d", c.Name, c.Planned, c.Sent, c.Unsent)
		}
		if c.Sent != c.OK+c.Failed() {
			tb.Errorf("class %s: sent %d, want ok %d + failed %d", c.Name, c.Sent, c.OK, c.Failed())
		}
		if !r.Aborted && c.Planned != s.classes[i].total {
			tb.Errorf("class %s: planned %d, want %d as scheduled", c.Name, c.Planned, s.classes[i].total)
		}
		var sum Counts
		for _, second := range r.Seconds {
			if second.Class == c.Name {
				sum = sum.plus(second.Counts)
			}
		}
		if sum != c.Counts {
			tb.Errorf("class %s: seconds add up to %+v, want %+v", c.Name, sum, c.Counts)
		}
	}
}

func TestRunEcoTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEcoTrack()
		var mix []Class
		for _, name := range generatedRequests() {
			mix = append(mix, Class{Name: name, Weight: 1})
		}
		s := mustSchedule(t, steady(350, 2*time.Second, mix...))
		r := mustRunFake(t.Context(), t, s, Options{RunID: "run1", Start: time.Now().Add(100 * time.Millisecond)}, e)

		acked := make(map[string]int)
		for _, w := range r.Writes {
			if w.State != WriteAcknowledged {
				t.Errorf("write %s: state %d, want acknowledged", w.Key, w.State)
			}
			if w.Expected == "" || (w.Class != requestImport && (w.ID == "" || w.Hash == "" || w.Value != "1.5")) {
				t.Errorf("write %+v: want an expected value and the whole receipt", w)
			}
			acked[w.Class]++
		}
		for i, c := range r.Classes {
			if c.OK != s.classes[i].total || c.Attempts != c.Sent {
				t.Errorf("class %s: ok %d, attempts %d, want %d: %v", c.Name, c.OK, c.Attempts, s.classes[i].total, c.Errors)
			}
			perRequest := map[string]int{requestCalculate: 1, requestBatch: batchItems, requestImport: importLines}[c.Name]
			if got, want := acked[c.Name], perRequest*int(c.OK); got != want {
				t.Errorf("class %s: %d acknowledged writes, want %d", c.Name, got, want)
			}
			var units uint64
			for _, second := range r.Seconds {
				if second.Class == c.Name {
					units += second.Units
				}
			}
			want := c.OK
			switch c.Name {
			case requestBatch:
				want *= batchItems
			case requestImport:
				want = 0
			}
			if units != want {
				t.Errorf("class %s: %d units, want %d", c.Name, units, want)
			}
		}
		if e.calls["/v1/calculations/{id}"] < 20 {
			t.Errorf("%d reads of a calculation, want most of the reads", e.calls["/v1/calculations/{id}"])
		}
		series := make(map[string]int)
		for _, p := range r.Probes {
			if !p.OK {
				t.Errorf("probe %+v failed", p)
			}
			series[p.Series]++
		}
		for _, name := range probeSeries() {
			if series[name] != 10 { // 2 s, one each 200 ms
				t.Errorf("series %s: %d probes, want 10", name, series[name])
			}
		}
	})
}

// TestRunStalledServer is trap T1: vegeta stamps a request when a worker takes it up, so that the
// wait of those that were due while all workers hung is invisible. Here it counts.
func TestRunStalledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		stalls := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("X-Request-Id"), "probe") {
				once.Do(func() { <-time.After(800 * time.Millisecond) })
			}
		})
		spec := steady(50, 2*time.Second, get("a"))
		spec.Arrivals, spec.MaxInFlight, spec.MaxLag = arrivalsEven, 1, 5*time.Second
		c := mustRunFake(t.Context(), t, mustSchedule(t, spec), Options{}, stalls).Classes[0]
		if c.Unsent != 0 || c.OK != 100 {
			t.Fatalf("ok %d, unsent %d, want 100 and 0", c.OK, c.Unsent)
		}
		// 40 requests were due during the stall; service time shows one of them.
		if slow := c.Service.Above(100 * time.Millisecond); slow != 1 {
			t.Errorf("%d slow requests by service time, want 1", slow)
		}
		// The backlog of 40, one each 20 ms, goes at 60/s: it shrinks by 10 a second, so that the last
		// of the 100 is late as well.
		if slow := c.Response.Above(100 * time.Millisecond); slow != 100 {
			t.Errorf("%d slow requests by response time, want all that were due during the stall or behind it", slow)
		}
		if got := c.Response.Max(); got != 800*time.Millisecond {
			t.Errorf("slowest response %v, want 800ms", got)
		}
	})
}

// TestVegetaHidesTheStall is the control of TestRunStalledServer: vegeta alone, with the same rate
// and the same stall, shows one slow request. Should this fail one day, vegeta has changed and the
// pacer may be simplified.
func TestVegetaHidesTheStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		m := newMemoryNet()
		m.listen(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			once.Do(func() { <-time.After(800 * time.Millisecond) })
		}))
		transport := &http.Transport{}
		m.reroute(t, transport)
		attacker := vegeta.NewAttacker(vegeta.Workers(1), vegeta.MaxWorkers(1),
			vegeta.Client(&http.Client{Transport: transport}))
		targeter := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: fakeURL})
		slow, seen := 0, 0
		for r := range attacker.Attack(targeter, vegeta.Rate{Freq: 50, Per: time.Second}, 2*time.Second, "a") {
			if r.Error != "" {
				t.Errorf("request %d: %s", r.Seq, r.Error)
			}
			seen++
			if r.Latency > 100*time.Millisecond {
				slow++
			}
		}
		if slow != 1 || seen < 100 {
			t.Errorf("%d of %d requests slow, want 1 of 100: 40 were due during the stall", slow, seen)
		}
	})
}
