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
	base := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(base, patience) // the client's own limit is 5 s
		defer cancel()
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
	newJob := func(key string) ImportJob {
		return ImportJob{
			Job: JobID("t", key), Tenant: "t", Key: key, RequestHash: "h",
			Lines: []ImportLine{{"f", "1", "kg"}},
		}
	}
	// look repeats what the queue did not answer in time; it says so honestly.
	look := func(job string) (found ImportJob, ok bool) {
		await(t, "answer of the queue", func() bool {
			var err error
			found, ok, err = q.Waiting(t.Context(), job)
			if err != nil && !errors.Is(err, ErrQueueUnavailable) {
				t.Fatalf("Waiting: %v", err)
			}
			return err == nil
		})
		return found, ok
	}
	publish := func(job ImportJob) (duplicate bool) {
		duplicate, err := q.Publish(t.Context(), job)
		if err != nil {
			t.Fatalf("Publish: %v", err)
		}
		return duplicate
	}
	// Publish repeats a try that was not confirmed in time, and is then rightly told of a duplicate.
	// So it is new jobs, one after the other, of which one must be called new.
	jobs := 0
	var job ImportJob
	await(t, "Publish of a new job that is no duplicate", func() bool {
		jobs++
		job = newJob(fmt.Sprintf("k%d", jobs))
		if _, ok := look(job.Job); ok {
			t.Error("Waiting before Publish found the job")
		}
		return !publish(job)
	})
	if !publish(job) {
		t.Error("Publish again: a new job, want a duplicate")
	}
	if got, ok := look(job.Job); !ok || got.RequestHash != "h" || len(got.Lines) != 1 {
		t.Errorf("Waiting = %+v, %v, want the job", got, ok)
	}
	stream, err := q.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if info, err := stream.Info(ctx); err != nil || info.State.Msgs != uint64(jobs) {
		t.Errorf("stream after %d jobs, one of them twice = %+v, %v", jobs, info, err)
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
