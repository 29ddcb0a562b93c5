package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// StreamName and importSubject are the names in the queue, with QueueOptions.Prefix before them.
	StreamName    = "ECOTRACK_JOBS"
	importSubject = "jobs.import."
	// duplicateWindow is how long the queue itself recognises a job that is published again.
	duplicateWindow = 2 * time.Minute
	// publishTry bounds one publish; a new leader of the stream takes 4 to 9 s to be elected, so a
	// request sees several tries.
	publishTry = 2 * time.Second
	retryPause = 250 * time.Millisecond
)

// ErrQueueUnavailable means that the queue did not confirm a job: it may or may not be queued.
var ErrQueueUnavailable = errors.New("queue unavailable")

// ImportJob is an accepted import as it waits in the queue.
type ImportJob struct {
	Job         string       `json:"job"` // follows from tenant and key
	Tenant      string       `json:"tenant"`
	Key         string       `json:"key"` // line n is kept under "<Key>-<n>"
	RequestHash string       `json:"request_hash"`
	Period      string       `json:"period,omitempty"`
	Lines       []ImportLine `json:"lines"`
}

// ImportLine is one line of an import as it was sent; only the worker looks into it.
type ImportLine struct {
	Factor   string `json:"f"`
	Quantity string `json:"q"`
	Unit     string `json:"u"`
}

// Queue is a connection to NATS JetStream. It is safe for concurrent use; the caller must Close it.
type Queue struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	replicas int
	name     string // of the stream
	subject  string // of an import, up to its job

	mu     sync.Mutex
	stream jetstream.Stream // nil until it was found or created
}

// QueueOptions tunes a Queue. The zero value is usable.
type QueueOptions struct {
	Name     string // of this client, for the server's monitoring
	Prefix   string // of all names in the queue, for tests that share a server; default none
	Replicas int    // copies of the stream when it has to be created; default 1
	Log      *slog.Logger
}

// OpenQueue returns a queue for the comma-separated NATS URLs at once; the connection is made, and
// made again for ever, in the background. The error is about urls only.
func OpenQueue(urls string, o QueueOptions) (*Queue, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	nc, err := nats.Connect(urls, nats.Name(o.Name), nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond), nats.Timeout(time.Second),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2),
		// Nothing is kept back while disconnected: a publish fails at once and is tried again.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			o.Log.Warn("queue disconnected", slog.Any("error", err))
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			o.Log.Info("queue connected again", slog.String("server", c.ConnectedServerName()))
		}))
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return &Queue{
		nc: nc, js: js, replicas: max(1, o.Replicas),
		name: o.Prefix + StreamName, subject: o.Prefix + importSubject,
	}, nil
}

// Close closes the connection.
func (q *Queue) Close() { q.nc.Close() }

// Ready returns nil while the queue is connected.
func (q *Queue) Ready() error {
	if s := q.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("%w: %v", ErrQueueUnavailable, s)
	}
	return nil
}

// Stream returns the stream of jobs and creates it when it is absent.
func (q *Queue) Stream(ctx context.Context) (jetstream.Stream, error) {
	q.mu.Lock()
	known := q.stream
	q.mu.Unlock()
	if known != nil {
		return known, nil
	}
	stream, err := q.js.Stream(ctx, q.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = q.js.CreateStream(ctx, jetstream.StreamConfig{
			Name:       q.name,
			Subjects:   []string{q.subject + "*"},
			Retention:  jetstream.WorkQueuePolicy,
			Storage:    jetstream.FileStorage,
			Discard:    jetstream.DiscardNew, // a full queue refuses; it never forgets a job
			MaxMsgs:    100_000,
			Replicas:   q.replicas,
			Duplicates: duplicateWindow,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was first
			stream, err = q.js.Stream(ctx, q.name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: stream: %w", ErrQueueUnavailable, err)
	}
	q.mu.Lock()
	q.stream = stream
	q.mu.Unlock()
	return stream, nil
}

// Publish puts job into the queue and returns once the queue has confirmed it, trying again until
// ctx ends. It is safe to repeat. duplicate is true when the queue had the job already. Any error
// is ErrQueueUnavailable, or a problem when the job is too large for the queue.
func (q *Queue) Publish(ctx context.Context, job ImportJob) (duplicate bool, err error) {
	payload, err := json.Marshal(job)
	if err != nil {
		return false, fmt.Errorf("marshal job: %w", err)
	}
	const headers = 1 << 10 // our one header and the protocol's own, generously
	if limit := q.nc.MaxPayload(); limit > 0 && int64(len(payload)+headers) > limit {
		return false, NewProblem(http.StatusRequestEntityTooLarge, CodeTooLarge,
			"the queue takes %d bytes, the job has %d", limit-headers, len(payload))
	}
	for {
		duplicate, err = q.publishOnce(ctx, job.Job, payload)
		if err == nil {
			return duplicate, nil
		}
		pause := time.NewTimer(retryPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return false, fmt.Errorf("%w: publish: %w", ErrQueueUnavailable, err)
		case <-pause.C:
		}
	}
}

func (q *Queue) publishOnce(ctx context.Context, job string, payload []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTry)
	defer cancel()
	if _, err := q.Stream(ctx); err != nil {
		return false, err
	}
	ack, err := q.js.Publish(ctx, q.subject+job, payload, jetstream.WithMsgID(job),
		jetstream.WithExpectStream(q.name))
	if err != nil {
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			q.Forget() // the stream may be gone; it is looked up, or created, again
		}
		return false, err
	}
	return ack.Duplicate, nil
}

// Forget drops what is known of the stream, so that it is looked up or created again.
func (q *Queue) Forget() {
	q.mu.Lock()
	q.stream = nil
	q.mu.Unlock()
}

// Waiting returns the job while its message is in the queue, waiting or being worked on; ok is
// false when it is not there. The error is ErrQueueUnavailable.
func (q *Queue) Waiting(ctx context.Context, job string) (found ImportJob, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTry)
	defer cancel()
	stream, err := q.Stream(ctx)
	if err != nil {
		return ImportJob{}, false, err
	}
	msg, err := stream.GetLastMsgForSubject(ctx, q.subject+job)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ImportJob{}, false, nil
	}
	if err != nil {
		return ImportJob{}, false, fmt.Errorf("%w: look up: %w", ErrQueueUnavailable, err)
	}
	if err := json.Unmarshal(msg.Data, &found); err != nil {
		return ImportJob{}, false, fmt.Errorf("unmarshal job: %w", err)
	}
	return found, true, nil
}
