package engine

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"squall/target/ecotrack/ledger"
	"strconv"
)

// maxLines is how many lines an import may have, without its header.
const maxLines = 1000

// jobPattern is the form of a JobID; nothing else reaches the queue, where * and > mean more.
var jobPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// jobJSON is a job as the API shows it.
type jobJSON struct {
	Job      string               `json:"job"`
	State    ledger.JobState      `json:"state"`
	Done     int                  `json:"done"`
	Failed   int                  `json:"failed"`
	Lines    int                  `json:"lines"`
	Problems []ledger.LineProblem `json:"problems,omitempty"`
}

// JobID returns the identifier of the import that tenant sends under key. It is a pure function, so
// an import that is sent again is the same job.
func JobID(tenant, key string) string { return ledger.ID("job "+tenant, key) }

// LineKey returns the idempotency key of line n, counted from 0, of the import sent under key.
func LineKey(key string, n int) string { return key + "-" + strconv.Itoa(n) }

// importCSV queues an import. It does not touch the database, so that imports are accepted while
// the database fails over.
func (e *Engine) importCSV(w http.ResponseWriter, r *http.Request) error {
	tenant, err := Tenant(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := checkMediaType(r, "text/csv"); err != nil {
		return err
	}
	period := r.URL.Query().Get("period")
	if _, err := periodYear(period); err != nil {
		return err
	}
	lines, err := readLines(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	job := ImportJob{Job: JobID(tenant, key), Tenant: tenant, Key: key, Period: period, Lines: lines}
	if job.RequestHash, err = hashLines(period, lines); err != nil {
		return err
	}
	duplicate, err := e.jobs.Publish(r.Context(), job)
	if err != nil {
		return err
	}
	if duplicate {
		if err := e.sameImport(r, job); err != nil {
			return err
		}
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Location", "/v1/jobs/"+job.Job)
	WriteJSON(w, http.StatusAccepted, map[string]any{
		"job": job.Job, "state": ledger.JobQueued, "lines": len(lines),
	})
	return nil
}

// sameImport checks, as far as queue and store can tell, that a job which was there before is this
// one; another import under the same key is refused.
func (e *Engine) sameImport(r *http.Request, job ImportJob) error {
	first, ok, err := e.jobs.Waiting(r.Context(), job.Job)
	if err != nil {
		return err
	}
	hash := first.RequestHash
	if !ok { // taken off the queue: then the store knows it
		kept, err := e.store.Job(r.Context(), job.Tenant, job.Job)
		if err != nil {
			return nil //nolint:nilerr // cannot be told now; a worker refuses the second of two imports
		}
		hash = kept.RequestHash
	}
	if hash != job.RequestHash {
		return ledger.ErrKeyReused
	}
	return nil
}

// readLines reads a CSV file with the header factor,quantity,unit.
func readLines(body io.Reader) ([]ImportLine, error) {
	reader := csv.NewReader(body)
	reader.FieldsPerRecord = 3
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return nil, badImport(err)
	}
	if want := []string{"factor", "quantity", "unit"}; !slices.Equal(header, want) {
		return nil, unprocessable(CodeImport, "the header must be factor,quantity,unit, got %q", header)
	}
	var lines []ImportLine
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badImport(err)
		}
		if len(lines) == maxLines {
			return nil, unprocessable(CodeImport, "an import has at most %d lines", maxLines)
		}
		lines = append(lines, ImportLine{fields[0], fields[1], fields[2]})
	}
	if len(lines) == 0 {
		return nil, unprocessable(CodeImport, "an import has at least one line")
	}
	return lines, nil
}

// badImport turns an error of reading the file into a problem, unless it is a known one.
func badImport(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return unprocessable(CodeImport, "%v", err)
}

// hashLines identifies the content of an import.
func hashLines(period string, lines []ImportLine) (string, error) {
	b, err := json.Marshal(map[string]any{"period": period, "lines": lines})
	if err != nil {
		return "", fmt.Errorf("marshal lines: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// getJob says how far a job is. The store knows the jobs that a worker has begun, the queue those
// that wait; the store is asked first, but a queued job is found without it.
func (e *Engine) getJob(w http.ResponseWriter, r *http.Request) error {
	tenant, err := Tenant(r)
	if err != nil {
		return err
	}
	id := r.PathValue("job")
	if !jobPattern.MatchString(id) {
		return ledger.ErrNotFound
	}
	job, err := e.store.Job(r.Context(), tenant, id)
	if err != nil {
		var queueErr error
		job, queueErr = e.queuedJob(r.Context(), tenant, id)
		if errors.Is(queueErr, ledger.ErrNotFound) {
			// Subtle: it may have been begun and finished between the two questions.
			job, queueErr = e.store.Job(r.Context(), tenant, id)
		}
		err = queueErr
	}
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, jobJSON{job.Job, job.State, job.Done, job.Failed, job.Lines, job.Problems})
	return nil
}

// queuedJob returns a job that waits in the queue, or ErrNotFound, ErrQueueUnavailable.
func (e *Engine) queuedJob(ctx context.Context, tenant, id string) (ledger.Job, error) {
	waiting, ok, err := e.jobs.Waiting(ctx, id)
	if err != nil {
		return ledger.Job{}, err
	}
	if !ok || waiting.Tenant != tenant {
		return ledger.Job{}, ledger.ErrNotFound
	}
	return ledger.Job{Job: id, State: ledger.JobQueued, Lines: len(waiting.Lines)}, nil
}
