package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// openQueue returns a queue on the NATS server of SQUALL_TEST_QUEUE_URL.
func openQueue(t *testing.T) *Queue {
	t.Helper()
	url := os.Getenv("SQUALL_TEST_QUEUE_URL")
	if url == "" {
		t.Fatal("SQUALL_TEST_QUEUE_URL must name a throw-away NATS JetStream (make test starts one)")
	}
	prefix := fmt.Sprintf("engine-test-%d-%s-", os.Getpid(), t.Name())
	q, err := OpenQueue(url, QueueOptions{Name: "test", Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := q.js.DeleteStream(ctx, q.name); err != nil {
			t.Errorf("delete stream: %v", err)
		}
		q.Close()
	})
	await(t, "queue connected", func() bool { return q.Ready() == nil })
	return q
}

func TestContainerQueue(t *testing.T) {
	q := openQueue(t)
	job := ImportJob{
		Job: JobID("t", "k"), Tenant: "t", Key: "k", RequestHash: "h",
		Lines: []ImportLine{{"f", "1", "kg"}},
	}
	if _, ok, err := q.Waiting(t.Context(), job.Job); ok || err != nil {
		t.Errorf("Waiting before Publish = %v, %v, want nothing", ok, err)
	}
	if duplicate, err := q.Publish(t.Context(), job); duplicate || err != nil {
		t.Errorf("Publish = %v, %v, want a new job", duplicate, err)
	}
	if duplicate, err := q.Publish(t.Context(), job); !duplicate || err != nil {
		t.Errorf("Publish again = %v, %v, want a duplicate", duplicate, err)
	}
	got, ok, err := q.Waiting(t.Context(), job.Job)
	if err != nil || !ok || got.RequestHash != "h" || len(got.Lines) != 1 {
		t.Errorf("Waiting = %+v, %v, %v, want the job", got, ok, err)
	}
	job.Key = strings.Repeat("x", 2<<20)
	var p *Problem
	if _, err := q.Publish(t.Context(), job); !errors.As(err, &p) || p.Code != CodeTooLarge {
		t.Errorf("Publish of 2 MiB = %v, want %s", err, CodeTooLarge)
	}
}

func TestQueueThatIsDown(t *testing.T) {
	q, err := OpenQueue("nats://127.0.0.1:1", QueueOptions{})
	if err != nil {
		t.Fatalf("OpenQueue with the queue down: %v", err)
	}
	defer q.Close()
	if err := q.Ready(); !errors.Is(err, ErrQueueUnavailable) {
		t.Errorf("Ready = %v, want ErrQueueUnavailable", err)
	}
	server := serveWith(t, newMemory(), q, ServiceOptions{})
	a := do(t, server, call{"POST", "/v1/imports", keyA + "\nRequest-Timeout-Ms: 300", csvFile})
	if a.status != 503 || decode[Problem](t, a).Code != CodeQueueUnavailable {
		t.Errorf("import with the queue down = %d %s, want 503 %s", a.status, a.body, CodeQueueUnavailable)
	}
}
