package engine

import (
	"context"
	"squall/target/ecotrack/ledger"
	"sync"
	"testing"
	"time"
)

// memory is a Store and Jobs in memory. fail, if set, is returned by every call instead.
type memory struct {
	mu   sync.Mutex
	rows map[[2]string]ledger.Row
	jobs map[string]ledger.Job
	wait map[string]ImportJob

	fail      error // of the store
	failQueue error
	block     chan struct{} // if set, Append waits for it or for the request's end
	entered   chan struct{} // if set, told when Append begins to wait
}

func newMemory() *memory {
	return &memory{
		rows: map[[2]string]ledger.Row{}, jobs: map[string]ledger.Job{},
		wait: map[string]ImportJob{},
	}
}

// Append keeps e.
func (m *memory) Append(ctx context.Context, e ledger.Entry) (ledger.Row, error) {
	if m.block != nil {
		m.entered <- struct{}{}
		select {
		case <-m.block:
		case <-ctx.Done():
			return ledger.Row{}, ledger.ErrUnavailable
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ledger.Row{}, m.fail
	}
	return m.keep(e)
}

func (m *memory) keep(e ledger.Entry) (ledger.Row, error) {
	at := [2]string{e.Tenant, e.Key}
	row, replayed := m.rows[at]
	if !replayed {
		row = ledger.Row{
			Key: e.Key, ID: ledger.ID(e.Tenant, e.Key), RequestHash: e.RequestHash,
			Hash: ledger.RowHash(e), CO2e: e.CO2e, Node: "memory", CreatedAt: time.Now(), Body: e.Body,
		}
		m.rows[at] = row
	}
	if row.RequestHash != e.RequestHash {
		return ledger.Row{}, ledger.ErrKeyReused
	}
	row.Replayed = replayed
	return row, nil
}

// AppendBatch keeps all entries.
func (m *memory) AppendBatch(_ context.Context, entries []ledger.Entry) ([]ledger.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	out := make([]ledger.Outcome, len(entries))
	for i, e := range entries {
		out[i].Row, out[i].Err = m.keep(e)
	}
	return out, nil
}

// Get returns a row by its id.
func (m *memory) Get(_ context.Context, tenant, id string) (ledger.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ledger.Row{}, m.fail
	}
	for at, row := range m.rows {
		if at[0] == tenant && row.ID == id {
			row.Replayed = true
			return row, nil
		}
	}
	return ledger.Row{}, ledger.ErrNotFound
}

// Job returns a job.
func (m *memory) Job(_ context.Context, tenant, job string) (ledger.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ledger.Job{}, m.fail
	}
	j, ok := m.jobs[job]
	if !ok || j.Tenant != tenant {
		return ledger.Job{}, ledger.ErrNotFound
	}
	return j, nil
}

// Publish queues a job.
func (m *memory) Publish(_ context.Context, job ImportJob) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failQueue != nil {
		return false, m.failQueue
	}
	if _, ok := m.wait[job.Job]; ok {
		return true, nil
	}
	if _, ok := m.jobs[job.Job]; ok {
		return true, nil
	}
	m.wait[job.Job] = job
	return false, nil
}

// Waiting returns a queued job.
func (m *memory) Waiting(_ context.Context, job string) (ImportJob, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failQueue != nil {
		return ImportJob{}, false, m.failQueue
	}
	j, ok := m.wait[job]
	return j, ok, nil
}

// finish moves a job from the queue to the store.
func (m *memory) finish(t *testing.T, job string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.wait[job]
	if !ok {
		t.Fatalf("job %s does not wait", job)
	}
	delete(m.wait, job)
	m.jobs[job] = ledger.Job{
		Job: job, Tenant: j.Tenant, RequestHash: j.RequestHash,
		State: ledger.JobDone, Lines: len(j.Lines), Done: len(j.Lines),
	}
}
