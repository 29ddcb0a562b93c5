package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"squall/target/ecotrack/reporting"
	"squall/target/ecotrack/worker"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The way of an import through all roles, over a real queue and a real database: accepted while
// the database is down, worked off by two workers when it is there, and found in the inventory.
func TestContainerImportFromEngineToInventory(t *testing.T) {
	catalogue, err := factors.Load()
	if err != nil {
		t.Fatal(err)
	}
	queue := openQueue(t)
	down := openLedger(t, "postgres://127.0.0.1:1/none?sslmode=disable", false)
	s := engine.NewService(engine.ServiceOptions{Ready: down.Ready})
	engine.New(catalogue, down, queue).Register(s)
	front := httptest.NewServer(s)
	defer front.Close()

	const lines = 250
	var file strings.Builder
	file.WriteString("factor,quantity,unit\n")
	for range lines - 1 {
		file.WriteString("epa24.stat.anthracite.mmbtu,1,mmBtu\n")
	}
	file.WriteString("none,1,kg\n")
	accepted := request(t, "POST", front.URL+"/v1/imports?period=2026-Q1", file.String(), http.StatusAccepted)
	location := front.URL + "/v1/jobs/" + accepted["job"].(string)
	if job := request(t, "GET", location, "", http.StatusOK); job["state"] != "queued" {
		t.Errorf("job with the database down = %v, want queued", job)
	}

	url := newDatabase(t)
	store := openLedger(t, url, false)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		w := worker.New(engine.NewCalculator(catalogue), store, worker.Options{})
		wg.Go(func() { w.Run(ctx, queue, 1) })
	}
	defer wg.Wait()
	defer stop()
	s = engine.NewService(engine.ServiceOptions{})
	engine.New(catalogue, store, queue).Register(s)
	reporting.New(openLedger(t, url, true)).Register(s)
	back := httptest.NewServer(s)
	defer back.Close()
	location = back.URL + "/v1/jobs/" + accepted["job"].(string)
	await(t, "job done", func() bool {
		return request(t, "GET", location, "", http.StatusOK)["state"] == "done"
	})
	job := request(t, "GET", location, "", http.StatusOK)
	if job["done"] != float64(lines-1) || job["failed"] != 1.0 {
		t.Errorf("job = %v, want %d kept and 1 failed", job, lines-1)
	}
	inventory := request(t, "GET", back.URL+"/v1/inventories/2026-Q1", "", http.StatusOK)
	if total := inventory["total"].(map[string]any); total["co2e_kg"] != "26001.078" || total["count"] != 249.0 {
		t.Errorf("inventory = %v, want 249 x 104.422 kg = 26001.078", inventory)
	}
	await(t, "message acknowledged", func() bool {
		_, waits, err := queue.Waiting(t.Context(), accepted["job"].(string))
		return err == nil && !waits
	})
}

// request sends a request with the key "imp" and returns the answer's JSON. A 503 is repeated: with
// the key that is safe, and on a slow machine the store or the queue may honestly be late.
func request(t *testing.T, method, url, body string, want int) (v map[string]any) {
	t.Helper()
	await(t, method+" "+url, func() bool {
		status, text := requestOnce(t, method, url, body)
		if status == http.StatusServiceUnavailable {
			return false
		}
		if status != want {
			t.Fatalf("%s %s = %d %s, want %d", method, url, status, text, want)
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return v
}

func requestOnce(t *testing.T, method, url, body string) (status int, text []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "imp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text
}

func openQueue(t *testing.T) *engine.Queue {
	t.Helper()
	url := os.Getenv("SQUALL_TEST_QUEUE_URL")
	if url == "" {
		t.Fatal("SQUALL_TEST_QUEUE_URL must name a throw-away NATS JetStream (make test starts one)")
	}
	prefix := fmt.Sprintf("worker-test-%d-", os.Getpid())
	q, err := engine.OpenQueue(url, engine.QueueOptions{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, nats.Timeout(patience))
	if err != nil {
		t.Fatalf("connect to SQUALL_TEST_QUEUE_URL: %v", err)
	}
	base := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(base, patience) // the client's own limit is 5 s
		defer cancel()
		defer nc.Close()
		defer q.Close()
		js, err := jetstream.New(nc)
		if err == nil {
			err = js.DeleteStream(ctx, prefix+engine.StreamName)
		}
		if err != nil {
			t.Errorf("delete stream: %v", err)
		}
	})
	await(t, "queue connected", func() bool { return q.Ready() == nil })
	return q
}

func openLedger(t *testing.T, url string, readOnly bool) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), url, ledger.Options{
		ReadOnly: readOnly, ConnectTimeout: patience, AcquireTimeout: patience, StatementTimeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// newDatabase makes a database on the server of SQUALL_TEST_DATABASE_URL and returns its URL.
func newDatabase(t *testing.T) string {
	t.Helper()
	url := os.Getenv("SQUALL_TEST_DATABASE_URL")
	if url == "" {
		t.Fatal("SQUALL_TEST_DATABASE_URL must name a throw-away PostgreSQL (make test starts one)")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("SQUALL_TEST_DATABASE_URL: %v", err)
	}
	cfg.RuntimeParams["synchronous_commit"] = "local" // tests of package ledger take standbys away
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect to SQUALL_TEST_DATABASE_URL: %v", err)
	}
	ctx := context.WithoutCancel(t.Context())
	name := fmt.Sprintf("squall_worker_test_%d", os.Getpid())
	t.Cleanup(func() {
		if _, err := c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
		_ = c.Close(ctx)
	})
	for _, sql := range []string{"CREATE DATABASE " + name, "ALTER DATABASE " + name + " SET synchronous_commit = local"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable",
		cfg.Host, cfg.Port, cfg.User, cfg.Password, name)
}

// patience bounds what is certain to happen, so that a test ends when it does not. It is no statement
// about speed: a machine may stall for seconds at any point of a test.
const patience = 2 * time.Minute

// await polls until ok, with patience.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, patience)
		case <-ticker.C:
		}
	}
}
