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

// SaveJob writes the progress of j and returns once the commit is confirmed. A finished job does
// not go back to running, so a message delivered twice does no harm. Errors are those of Append.
func (l *Ledger) SaveJob(ctx context.Context, j Job) error {
	const sql = `
INSERT INTO jobs (job, tenant, request_hash, state, lines, done, failed, problems, node)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (job) DO UPDATE SET
    state = CASE WHEN jobs.state IN ('done', 'failed') AND excluded.state = 'running'
        THEN jobs.state ELSE excluded.state END,
    done = CASE WHEN jobs.state IN ('done', 'failed') AND excluded.state = 'running'
        THEN jobs.done ELSE excluded.done END,
    failed = CASE WHEN jobs.state IN ('done', 'failed') AND excluded.state = 'running'
        THEN jobs.failed ELSE excluded.failed END,
    problems = CASE WHEN jobs.state IN ('done', 'failed') AND excluded.state = 'running'
        THEN jobs.problems ELSE excluded.problems END,
    lines = excluded.lines, node = excluded.node, updated_at = now()`
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

// Job returns the tenant's job, or ErrNotFound, ErrUnavailable.
func (l *Ledger) Job(ctx context.Context, tenant, job string) (Job, error) {
	const sql = `SELECT job, tenant, request_hash, state, lines, done, failed, problems
		FROM jobs WHERE job = $1 AND tenant = $2`
	var j Job
	err := l.read(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, sql, job, tenant).Scan(&j.Job, &j.Tenant, &j.RequestHash, &j.State,
			&j.Lines, &j.Done, &j.Failed, &j.Problems)
	})
	return j, err
}
