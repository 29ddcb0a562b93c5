// Package worker takes imports off the queue and keeps their lines in the ledger.
//
//	queue -> message -> StartJob -> lines, 100 in a transaction -> SaveJob done -> ack
//	            ^           store down: wait, then give back         |
//	            +------------------ redelivered ---------------------+ (the rows are idempotent)
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/ledger"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	consumerName = "workers"
	// ackWait is how long the queue waits for a sign of life before another worker gets the job;
	// heartbeat is how often one is given.
	ackWait   = 10 * time.Second
	heartbeat = 3 * time.Second
	fetchWait = 2 * time.Second
	// maxAttempts is how often a job may be begun, with the store at hand, before it is given up.
	maxAttempts = 5
	chunk       = 100 // lines of one transaction
	// storePatience is how long a begun job waits for the store before the message is given back.
	storePatience = 30 * time.Second
	maxBackoff    = 5 * time.Second
	finalAck      = 2 * time.Second
	maxProblems   = 100 // reasons kept of a job; the counts stay exact
)

// Store is where a worker keeps rows and jobs: *ledger.Ledger, or an in-memory one in tests.
type Store interface {
	AppendBatch(ctx context.Context, entries []ledger.Entry) ([]ledger.Outcome, error)
	StartJob(ctx context.Context, j ledger.Job) (kept ledger.Job, attempts int, err error)
	SaveJob(ctx context.Context, j ledger.Job) error
}

// Worker works off imports.
type Worker struct {
	calculator *engine.Calculator
	store      Store
	metrics    *metrics
	log        *slog.Logger
}

// New returns a worker; its metrics are registered in o.Registry.
func New(calculator *engine.Calculator, store Store, o Options) *Worker {
	o = o.withDefaults()
	return &Worker{calculator, store, newMetrics(o.Registry), o.Log}
}

// Run takes jobs off queue with the given number of loops until ctx ends, and returns when the last
// message is either acknowledged or given back.
func (w *Worker) Run(ctx context.Context, queue *engine.Queue, loops int) {
	var wg sync.WaitGroup
	for range max(1, loops) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := w.takeOne(ctx, queue); err != nil && ctx.Err() == nil {
					w.log.Warn("queue", slog.Any("error", err))
					pause(ctx, time.Second)
				}
			}
		})
	}
	wg.Wait()
}

// takeOne waits for one message and handles it; no message is no error.
func (w *Worker) takeOne(ctx context.Context, queue *engine.Queue) error {
	setup, cancel := context.WithTimeout(ctx, 2*fetchWait)
	defer cancel()
	stream, err := queue.Stream(setup)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateOrUpdateConsumer(setup, jetstream.ConsumerConfig{
		Durable: consumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver:    -1, // a job ends with a row that says so, never by being forgotten
		MaxAckPending: 100,
	})
	if err != nil {
		queue.Forget()
		return fmt.Errorf("consumer: %w", err)
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(fetchWait))
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		for msg := range batch.Messages() {
			w.handle(ctx, msg)
		}
		if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	return nil
}

// handle works one message off and acknowledges it, or gives it back. Subtle: it is acknowledged
// only when the job's row says done or failed and that commit is confirmed.
func (w *Worker) handle(ctx context.Context, msg jetstream.Msg) {
	alive, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { keepAlive(alive, msg) })
	err := w.work(ctx, msg)
	stop()
	wg.Wait()
	if err == nil {
		ackCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalAck)
		defer cancel()
		if err := msg.DoubleAck(ackCtx); err != nil { // it will come again and find itself done
			w.log.Warn("acknowledge", slog.Any("error", err))
		}
		return
	}
	w.metrics.returned.Inc()
	w.log.Warn("job given back", slog.String("subject", msg.Subject()), slog.Any("error", err))
	delay := time.Second
	if meta, err := msg.Metadata(); err == nil {
		delay = backoff(int(min(meta.NumDelivered, 10)))
	}
	if err := msg.NakWithDelay(delay); err != nil {
		w.log.Debug("give back", slog.Any("error", err)) // it comes again after ackWait anyway
	}
}

// keepAlive tells the queue that the message is being worked on until ctx ends.
func keepAlive(ctx context.Context, msg jetstream.Msg) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = msg.InProgress() // best effort: unheard, the job goes to another worker and is idempotent
		}
	}
}

// work turns a message into a finished job; an error means that it must be delivered again.
func (w *Worker) work(ctx context.Context, msg jetstream.Msg) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("job panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	var job engine.ImportJob
	if err := json.Unmarshal(msg.Data(), &job); err != nil || job.Job == "" {
		id := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
		return w.giveUp(ctx, ledger.Job{Job: id, Tenant: "default"}, "message_unreadable",
			fmt.Sprintf("the message is no import: %v", err))
	}
	return w.Import(ctx, job)
}

// Import keeps all lines of job and its final state, and returns once that is confirmed. It may be
// repeated. An error means that the store could not be used for storePatience.
func (w *Worker) Import(ctx context.Context, job engine.ImportJob) error {
	state := ledger.Job{
		Job: job.Job, Tenant: job.Tenant, RequestHash: job.RequestHash,
		State: ledger.JobRunning, Lines: len(job.Lines),
	}
	kept, attempts, err := w.store.StartJob(ctx, state)
	switch {
	case errors.Is(err, ledger.ErrKeyReused):
		w.metrics.jobs.WithLabelValues("refused").Inc()
		w.log.Warn("job refused: its key belongs to another import", slog.String("job", job.Job))
		return nil
	case err != nil:
		return err
	case kept.State == ledger.JobDone || kept.State == ledger.JobFailed:
		return nil
	case attempts > maxAttempts:
		return w.giveUp(ctx, state, "attempts_exhausted",
			fmt.Sprintf("the job was begun %d times and never finished", attempts-1))
	}
	for from := 0; from < len(job.Lines); from += chunk {
		to := min(from+chunk, len(job.Lines))
		if err := w.keepLines(ctx, job, from, to, &state); err != nil {
			return err
		}
		if to < len(job.Lines) {
			if err := w.patiently(ctx, func() error { return w.store.SaveJob(ctx, state) }); err != nil {
				return err
			}
		}
	}
	state.State = ledger.JobDone
	if err := w.patiently(ctx, func() error { return w.store.SaveJob(ctx, state) }); err != nil {
		return err
	}
	w.metrics.jobs.WithLabelValues("done").Inc()
	w.metrics.lines.WithLabelValues("kept").Add(float64(state.Done))
	w.metrics.lines.WithLabelValues("failed").Add(float64(state.Failed))
	return nil
}

// keepLines keeps the lines [from, to) in one transaction and adds them to the counts of state.
func (w *Worker) keepLines(ctx context.Context, job engine.ImportJob, from, to int, state *ledger.Job) error {
	var entries []ledger.Entry
	var lines []int // lines[i] is the line of entries[i]
	noDraws := 0
	for n := from; n < to; n++ {
		line := job.Lines[n]
		entry, _, err := w.calculator.Entry(job.Tenant, engine.LineKey(job.Key, n), engine.Request{
			// A file of a thousand lines is not simulated line by line.
			Draws: &noDraws,
			Activity: engine.Activity{
				Kind: engine.KindFactor, Factor: line.Factor,
				Quantity: line.Quantity, Unit: line.Unit, Period: job.Period,
			},
		})
		if err != nil {
			refuse(state, n, err)
			continue
		}
		entries, lines = append(entries, entry), append(lines, n)
	}
	if len(entries) == 0 {
		return nil
	}
	var outcomes []ledger.Outcome
	err := w.patiently(ctx, func() (err error) {
		outcomes, err = w.store.AppendBatch(ctx, entries)
		return err
	})
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Err != nil {
			refuse(state, lines[i], o.Err)
			continue
		}
		state.Done++
	}
	return nil
}

// refuse counts line n as failed and keeps the reason.
func refuse(state *ledger.Job, n int, err error) {
	state.Failed++
	if len(state.Problems) < maxProblems {
		p := engine.ProblemOf(err)
		detail := strings.ReplaceAll(p.Detail, "\x00", "\uFFFD") // PostgreSQL's jsonb takes no NUL
		state.Problems = append(state.Problems, ledger.LineProblem{Line: n, Code: p.Code, Detail: detail})
	}
}

// giveUp records that a job will never be finished, and returns once that is confirmed.
func (w *Worker) giveUp(ctx context.Context, j ledger.Job, code, why string) error {
	j.State = ledger.JobFailed
	j.Failed = j.Lines - j.Done
	j.Problems = append(j.Problems, ledger.LineProblem{Line: -1, Code: code, Detail: why})
	if err := w.patiently(ctx, func() error { return w.store.SaveJob(ctx, j) }); err != nil {
		return err
	}
	w.metrics.jobs.WithLabelValues("failed").Inc()
	w.log.Error("job given up", slog.String("job", j.Job), slog.String("code", code))
	return nil
}

// patiently repeats f while the store cannot be used, for storePatience at most. Every f is
// idempotent, so an unknown outcome is settled by asking again.
func (w *Worker) patiently(ctx context.Context, f func() error) error {
	began := time.Now()
	for try := 1; ; try++ {
		err := f()
		if err == nil || !ofStore(err) || time.Since(began) > storePatience {
			return err
		}
		w.metrics.retries.Inc()
		if !pause(ctx, backoff(try)) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// ofStore says whether err is the store's and may go away.
func ofStore(err error) bool {
	return errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrReadOnly) ||
		errors.Is(err, ledger.ErrOutcomeUnknown)
}

// backoff returns the pause after the try-th failure, try >= 1: 0.25 s doubled, at most maxBackoff.
func backoff(try int) time.Duration {
	return min(maxBackoff, 125*time.Millisecond<<min(try, 10))
}

// pause waits for d, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
