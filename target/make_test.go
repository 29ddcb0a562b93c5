package target

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// pretendDaemon returns a builder whose daemon is the given function; ref is the last element of the
// path, or for a build its tag.
func pretendDaemon(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, ref string)) *imageBuilder {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that a client has gone
		ref := path.Base(strings.TrimSuffix(r.URL.Path, "/json"))
		if ref == "build" {
			ref = r.URL.Query().Get("t")
		}
		answer(w, r, ref)
	}))
	t.Cleanup(server.Close)
	docker, err := client.New(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithAPIVersion("1.48"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return &imageBuilder{docker: docker, report: func(Step) {}}
}

// TestMakeAllSaysOnceThatTheBaseIsMissing: two images wait for it.
func TestMakeAllSaysOnceThatTheBaseIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no mmdebstrap
	b := pretendDaemon(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		http.Error(w, `{"message":"no such image"}`, http.StatusNotFound)
	})
	err := b.makeAll(t.Context(), []recipe{
		{name: "postgres", base: true, tag: "squall/postgres:x"}, {name: "haproxy", base: true, tag: "squall/haproxy:x"},
	})
	step, ok := errors.AsType[*StepError](err)
	if !ok || step.Tries != 1 || strings.Count(err.Error(), "image base: pull") != 1 || !strings.Contains(err.Error(), "mmdebstrap") {
		t.Errorf("makeAll() = %v, want the missing base image once, after one try, and what to do", err)
	}
}

// TestMakeAllEndsWithTheFirstFailure: what cannot be completed is not waited for.
func TestMakeAllEndsWithTheFirstFailure(t *testing.T) {
	building := make(chan struct{})
	b := pretendDaemon(t, func(w http.ResponseWriter, r *http.Request, ref string) {
		switch ref {
		case "squall/nats:x":
			close(building)
			<-r.Context().Done()
		case "squall/haproxy:x":
			<-building
			http.Error(w, `{"message":"dockerfile parse error"}`, http.StatusBadRequest)
		default: // the base image is there
			_, _ = w.Write([]byte("{}"))
		}
	})
	start := time.Now()
	err := b.makeAll(t.Context(), []recipe{
		{name: "nats", tag: "squall/nats:x"},
		{name: "haproxy", base: true, tag: "squall/haproxy:x"},
		{name: "squall", tag: "squall/squall:x"},
	})
	if err == nil || !strings.Contains(err.Error(), "image haproxy: docker build: given up after one try") ||
		strings.Contains(err.Error(), "nats") || strings.Contains(err.Error(), "image squall") {
		t.Errorf("makeAll() = %v, want what is wrong with haproxy and nothing else", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("makeAll() took %s, want an end at once", took)
	}
}

func TestDeterministic(t *testing.T) {
	for status, want := range map[int]bool{0: false, 1: true, 2: true, 100: false, 127: true, 137: false, 143: false} {
		if got := deterministic(status); got != want {
			t.Errorf("deterministic(%d) = %t, want %t", status, got, want)
		}
	}
}

func TestReadBuildKnowsWhatIsPermanent(t *testing.T) {
	for status, want := range map[string]bool{"1": true, "100": false} {
		body := `{"errorDetail":{"code":` + status + `,"message":"returned a non-zero code: ` + status + `"}}`
		_, permanent := errors.AsType[permanentError](readProgress("docker build", strings.NewReader(body)))
		if permanent != want {
			t.Errorf("readProgress(status %s) is permanent: %t, want %t", status, permanent, want)
		}
	}
}

func TestBootstrapArgs(t *testing.T) {
	args := strings.Join(bootstrapArgs("/tmp/x.tar"), "\n")
	for _, want := range []string{`Acquire::Retries "3"`, `Acquire::http::Timeout "20"`, `Error-Mode "any"`} {
		if !strings.Contains(args, want) {
			t.Errorf("bootstrapArgs() = %s, want %s among them", args, want)
		}
	}
	if !strings.HasSuffix(args, "trixie\n/tmp/x.tar") {
		t.Errorf("bootstrapArgs() = %s, want the suite and the file last", args)
	}
}
