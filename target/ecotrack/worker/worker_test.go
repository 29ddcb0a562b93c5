package worker

import (
	"context"
	"errors"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

const anthracite = "epa24.stat.anthracite.mmbtu"

// loaded loads the catalogue once; it never changes.
var loaded = sync.OnceValues(factors.Load)

// memory is a Store in memory. Each call first takes the next of fail, if any.
type memory struct {
	rows     map[string]ledger.Entry
	jobs     map[string]ledger.Job
	attempts map[string]int
	fail     []error
	panics   bool
}

func newMemory() *memory {
	return &memory{rows: map[string]ledger.Entry{}, jobs: map[string]ledger.Job{}, attempts: map[string]int{}}
}

func (m *memory) next() error {
	if len(m.fail) == 0 {
		return nil
	}
	err := m.fail[0]
	m.fail = m.fail[1:]
	return err
}

// AppendBatch keeps all entries.
func (m *memory) AppendBatch(_ context.Context, entries []ledger.Entry) ([]ledger.Outcome, error) {
	if m.panics {
		panic("poison")
	}
	if err := m.next(); err != nil {
		return nil, err
	}
	out := make([]ledger.Outcome, len(entries))
	for i, e := range entries {
		old, replayed := m.rows[e.Tenant+" "+e.Key]
		if replayed && old.RequestHash != e.RequestHash {
			out[i].Err = ledger.ErrKeyReused
			continue
		}
		m.rows[e.Tenant+" "+e.Key] = e
		out[i].Row = ledger.Row{Key: e.Key, Replayed: replayed}
	}
	return out, nil
}

// StartJob counts a beginning.
func (m *memory) StartJob(_ context.Context, j ledger.Job) (ledger.Job, int, error) {
	if err := m.next(); err != nil {
		return ledger.Job{}, 0, err
	}
	m.attempts[j.Job]++
	kept, ok := m.jobs[j.Job]
	if !ok {
		kept = j
		m.jobs[j.Job] = j
	}
	if kept.RequestHash != j.RequestHash {
		return kept, m.attempts[j.Job], ledger.ErrKeyReused
	}
	return kept, m.attempts[j.Job], nil
}

// SaveJob keeps j.
func (m *memory) SaveJob(_ context.Context, j ledger.Job) error {
	if err := m.next(); err != nil {
		return err
	}
	m.jobs[j.Job] = j
	return nil
}

// message is a jetstream.Msg that remembers what was said of it.
type message struct {
	jetstream.Msg
	data []byte
	said []string
}

func (m *message) Data() []byte                    { return m.data }
func (m *message) Subject() string                 { return "jobs.import.j" }
func (m *message) InProgress() error               { return nil }
func (m *message) DoubleAck(context.Context) error { m.said = append(m.said, "ack"); return nil }
func (m *message) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: 1}, nil
}
func (m *message) NakWithDelay(time.Duration) error { m.said = append(m.said, "nak"); return nil }

func newWorker(t *testing.T, store Store, reg *prometheus.Registry) *Worker {
	t.Helper()
	c, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return New(engine.NewCalculator(c), store, Options{Registry: reg})
}

func importOf(lines ...engine.ImportLine) engine.ImportJob {
	return engine.ImportJob{Job: "j", Tenant: "t", Key: "k", RequestHash: "h", Period: "2026-Q1", Lines: lines}
}

func TestImportKeepsGoodLinesAndCountsBadOnes(t *testing.T) {
	m := newMemory()
	w := newWorker(t, m, nil)
	job := importOf(engine.ImportLine{Factor: anthracite, Quantity: "12.5", Unit: "mmBtu"},
		engine.ImportLine{Factor: "none\x00", Quantity: "1", Unit: "kg"},
		engine.ImportLine{Factor: anthracite, Quantity: "x", Unit: "mmBtu"},
		engine.ImportLine{Factor: anthracite, Quantity: "1", Unit: "mmBtu"})
	for range 2 { // a message may be delivered twice
		if err := w.Import(t.Context(), job); err != nil {
			t.Fatalf("Import: %v", err)
		}
	}
	got := m.jobs["j"]
	if got.State != ledger.JobDone || got.Done != 2 || got.Failed != 2 || len(got.Problems) != 2 {
		t.Errorf("job = %+v, want done with 2 kept and 2 failed", got)
	}
	var codes []string
	for _, p := range got.Problems {
		codes = append(codes, p.Code)
		if strings.Contains(p.Detail, "\x00") {
			t.Errorf("problem %q holds a NUL, which jsonb refuses", p.Detail)
		}
	}
	if diff := cmp.Diff([]string{"factor_not_found", "decimal_invalid"}, codes); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if e := m.rows["t k-0"]; e.CO2e != "1305.275" || e.Period != "2026-Q1" {
		t.Errorf("row of line 0 = %+v, want key k-0 with 1305.275 kg", e)
	}
	if _, ok := m.rows["t k-3"]; !ok || len(m.rows) != 2 {
		t.Errorf("rows = %d, want lines 0 and 3", len(m.rows))
	}
}

func TestLongImportGoesInChunks(t *testing.T) {
	m := newMemory()
	reg := prometheus.NewRegistry()
	w := newWorker(t, m, reg)
	var job engine.ImportJob
	lines := make([]engine.ImportLine, 2*chunk+1)
	for i := range lines {
		lines[i] = engine.ImportLine{Factor: anthracite, Quantity: "1", Unit: "mmBtu"}
	}
	job = importOf(lines...)
	if err := w.Import(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if got := m.jobs["j"]; got.Done != len(lines) || len(m.rows) != len(lines) {
		t.Errorf("job = %+v with %d rows, want %d", got, len(m.rows), len(lines))
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var kept float64
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			if f.GetName() == "ecotrack_worker_lines_total" && metric.GetLabel()[0].GetValue() == "kept" {
				kept = metric.GetCounter().GetValue()
			}
		}
	}
	if kept != float64(len(lines)) {
		t.Errorf("ecotrack_worker_lines_total{kept} = %v, want %d", kept, len(lines))
	}
}

func TestImportWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = []error{nil, ledger.ErrUnavailable, ledger.ErrReadOnly, ledger.ErrOutcomeUnknown, nil, ledger.ErrUnavailable}
		w := newWorker(t, m, nil)
		began := time.Now()
		err := w.Import(t.Context(), importOf(engine.ImportLine{Factor: anthracite, Quantity: "1", Unit: "mmBtu"}))
		if err != nil || m.jobs["j"].State != ledger.JobDone || m.jobs["j"].Done != 1 {
			t.Errorf("Import = %v, job %+v, want done", err, m.jobs["j"])
		}
		// 0.25 s, 0.5 s and 1 s for the rows, 0.25 s for the job.
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Import paused for %v, want 2s", took)
		}
	})
}

func TestImportGivesTheMessageBackWhenTheStoreStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = []error{nil}
		for range 100 {
			m.fail = append(m.fail, ledger.ErrUnavailable)
		}
		w := newWorker(t, m, nil)
		msg := &message{data: []byte(`{"job":"j","tenant":"t","key":"k","lines":[{"f":"` + anthracite + `","q":"1","u":"mmBtu"}]}`)}
		w.handle(t.Context(), msg)
		if diff := cmp.Diff([]string{"nak"}, msg.said); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}

func TestPoisonIsRecordedAndNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.panics = true
		w := newWorker(t, m, nil)
		msg := &message{data: []byte(`{"job":"j","tenant":"t","key":"k","lines":[{"f":"` + anthracite + `","q":"1","u":"mmBtu"}]}`)}
		for range maxAttempts + 1 {
			w.handle(t.Context(), msg)
		}
		want := []string{"nak", "nak", "nak", "nak", "nak", "ack"}
		if diff := cmp.Diff(want, msg.said); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		got := m.jobs["j"]
		if got.State != ledger.JobFailed || got.Failed != 1 || got.Problems[0].Code != "attempts_exhausted" {
			t.Errorf("job = %+v, want failed with the reason", got)
		}
	})
}

func TestUnreadableMessageIsRecorded(t *testing.T) {
	m := newMemory()
	msg := &message{data: []byte("garbage")}
	newWorker(t, m, nil).handle(t.Context(), msg)
	if got := m.jobs["j"]; got.State != ledger.JobFailed || got.Problems[0].Code != "message_unreadable" {
		t.Errorf("job = %+v, want failed with the reason", got)
	}
	if diff := cmp.Diff([]string{"ack"}, msg.said); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestImportUnderAKeyInUseIsRefused(t *testing.T) {
	m := newMemory()
	m.jobs["j"] = ledger.Job{Job: "j", RequestHash: "another", State: ledger.JobDone, Done: 7}
	if err := newWorker(t, m, nil).Import(t.Context(), importOf()); err != nil {
		t.Errorf("Import = %v, want nil: delivering it again changes nothing", err)
	}
	if got := m.jobs["j"]; got.Done != 7 {
		t.Errorf("job = %+v, want the first one unaltered", got)
	}
}

func TestPatientlyDoesNotRepeatOurMistakes(t *testing.T) {
	calls := 0
	err := newWorker(t, newMemory(), nil).patiently(t.Context(), func() error {
		calls++
		return errors.New("bug")
	})
	if err == nil || calls != 1 {
		t.Errorf("patiently = %v after %d calls, want an error after one", err, calls)
	}
}
