package ledger

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// JobState says how far a job is.
type JobState string

// The states of a job.
const (
	JobQueued  JobState = "queued"
	JobRunning JobState = "running"
	JobDone    JobState = "done"   // every line was looked at; Failed of them were refused
	JobFailed  JobState = "failed" // given up; the problems say why
)

// Job is the progress of an import.
type Job struct {
	Job         string
	Tenant      string
	RequestHash string
	State       JobState
	Lines       int // lines of the import
	Done        int // lines whose rows are kept
	Failed      int // lines that were refused
	Problems    []LineProblem
}

// LineProblem says why a line was refused. Line counts from 0; -1 means the whole job.
type LineProblem struct {
	Line   int    `json:"line"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// StartJob notes that a worker begins j and returns the job as it is kept, with the number of
// beginnings so far in attempts. A job that is already finished stays so. The answer is durable:
// it comes with the commit of a write of its own. Errors are those of Append, and ErrKeyReused when
// the job belongs to another request.
func (l *Ledger) StartJob(ctx context.Context, j Job) (kept Job, attempts int, err error) {
	const sql = `
INSERT INTO jobs (job, tenant, request_hash, state, lines, node, attempts)
VALUES ($1, $2, $3, 'running', $4, $5, 1)
ON CONFLICT (job) DO UPDATE SET attempts = jobs.attempts + 1, node = excluded.node, updated_at = now()
RETURNING ` + jobColumns + `, attempts`
	err = l.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		kept = Job{}
		return c.QueryRow(ctx, sql, j.Job, j.Tenant, j.RequestHash, j.Lines, l.opts.Node).
			Scan(append(kept.fields(), &attempts)...)
	})
	if err == nil && kept.RequestHash != j.RequestHash {
		err = ErrKeyReused
	}
	return kept, attempts, err
}

// SaveJob writes state, counts and problems of a job and returns once the commit is confirmed. A
// job that StartJob has not seen is created. Errors are those of Append.
//
// Subtle: a message may be worked on twice at once. The slower worker's progress neither takes a
// finished job back to running, where it would stay, since the message is gone, nor lowers counts.
func (l *Ledger) SaveJob(ctx context.Context, j Job) error {
	const sql = `
INSERT INTO jobs (job, tenant, request_hash, state, lines, done, failed, problems, node)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (job) DO UPDATE SET (state, done, failed, problems, node, updated_at) = (
    SELECT CASE WHEN late THEN jobs.state ELSE excluded.state END,
        CASE WHEN late THEN jobs.done ELSE excluded.done END,
        CASE WHEN late THEN jobs.failed ELSE excluded.failed END,
        CASE WHEN late THEN jobs.problems ELSE excluded.problems END,
        CASE WHEN late THEN jobs.node ELSE excluded.node END, now()
    FROM (SELECT excluded.state = 'running' AND (jobs.state IN ('done', 'failed')
        OR jobs.done + jobs.failed > excluded.done + excluded.failed) AS late) AS progress)`
	problems, err := json.Marshal(append([]LineProblem{}, j.Problems...))
	if err != nil {
		return err
	}
	return l.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, j.Job, j.Tenant, j.RequestHash, string(j.State), j.Lines, j.Done,
			j.Failed, string(problems), l.opts.Node)
		return err
	})
}

const jobColumns = `job, tenant, request_hash, state, lines, done, failed, problems`

// fields returns where the jobColumns are scanned to.
func (j *Job) fields() []any {
	return []any{&j.Job, &j.Tenant, &j.RequestHash, &j.State, &j.Lines, &j.Done, &j.Failed, &j.Problems}
}

// Job returns the tenant's job, or ErrNotFound, ErrUnavailable.
func (l *Ledger) Job(ctx context.Context, tenant, job string) (Job, error) {
	const sql = `SELECT ` + jobColumns + ` FROM jobs WHERE job = $1 AND tenant = $2`
	var j Job
	err := l.read(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, sql, job, tenant).Scan(j.fields()...)
	})
	return j, err
}
