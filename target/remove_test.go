package target

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"
)

// fakeDocker is a daemon with a few objects of one run, and speaks what removing them needs.
type fakeDocker struct {
	mu      sync.Mutex
	objects map[string][]string // kind ("containers") to ids, in their order
	deletes map[string]int      // id to how often its removal was asked for
	// refuse says how the nth removal of an object ends: 0 removes it, 204 promises it and leaves it,
	// anything else is the status of the answer.
	refuse func(id string, n int) int
	// foreign are removed by somebody else at this many listings.
	foreign map[string]int
	lists   int
	broken  int // so many listings fail

	attached bool   // a container of somebody else is on the network
	tries    int    // how many removals of one object are refused before the caller is told to give up; 0: never
	giveUp   func() // tells it
}

func (f *fakeDocker) client(t *testing.T) *client.Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	docker, err := client.New(client.WithHost("tcp://"+strings.TrimPrefix(server.URL, "http://")), client.WithAPIVersion("1.44"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return docker
}

func (f *fakeDocker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1.44, kind, id
	if len(parts) < 2 {
		http.NotFound(w, r)
		return
	}
	kind := parts[1]
	if r.Method == http.MethodGet && len(parts) == 2 || parts[len(parts)-1] == "json" {
		f.list(w, kind)
		return
	}
	id := parts[2]
	if r.Method == http.MethodGet {
		f.inspectNetwork(w, id)
		return
	}
	if !slices.Contains(f.objects[kind], id) {
		fail(w, http.StatusNotFound, "no such object")
		return
	}
	f.deletes[id]++
	status := 0
	if f.refuse != nil {
		status = f.refuse(id, f.deletes[id])
	}
	if status >= 400 {
		if f.deletes[id] == f.tries {
			f.giveUp()
		}
		fail(w, status, "removal of "+id+" is already in progress")
		return
	}
	if status == 0 {
		f.objects[kind] = slices.DeleteFunc(f.objects[kind], func(o string) bool { return o == id })
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *fakeDocker) inspectNetwork(w http.ResponseWriter, id string) {
	on := map[string]any{}
	if f.attached {
		on["foreign"] = map[string]any{"Name": "foreign"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"Id": id, "Name": id, "Containers": on})
}

func (f *fakeDocker) list(w http.ResponseWriter, kind string) {
	if kind == "containers" {
		f.lists++
		for id, at := range f.foreign {
			if f.lists >= at {
				f.objects[kind] = slices.DeleteFunc(f.objects[kind], func(o string) bool { return o == id })
			}
		}
	}
	if f.broken > 0 {
		f.broken--
		fail(w, http.StatusInternalServerError, "daemon is busy")
		return
	}
	found := []map[string]any{}
	for _, id := range f.objects[kind] {
		found = append(found, map[string]any{"Id": id, "Name": id, "Names": []string{"/" + id}, "State": "running"})
	}
	w.Header().Set("Content-Type", "application/json")
	if kind == "volumes" {
		_ = json.NewEncoder(w).Encode(map[string]any{"Volumes": found})
		return
	}
	_ = json.NewEncoder(w).Encode(found)
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":%q}`, text)
}

func TestRemoveRun(t *testing.T) {
	t.Parallel()
	times := func(n, status int) func(string, int) int {
		return func(id string, nth int) int {
			if id == "engine-1" && nth <= n {
				return status
			}
			return 0
		}
	}
	network := func(status int) func(string, int) int {
		return func(id string, _ int) int {
			if id == "net" {
				return status
			}
			return 0
		}
	}
	everything := []string{"container db-1", "container engine-1", "network net", "volume vol"}
	for _, test := range []struct {
		name string
		fake *fakeDocker
		want []string
		err  []string // parts of the error; none: no error
	}{
		{name: "all at once", fake: &fakeDocker{}, want: everything},
		{name: "it stays listed for a while, and is named once", fake: &fakeDocker{refuse: times(3, 204)}, want: everything},
		{name: "in progress for longer than a few rounds", fake: &fakeDocker{refuse: times(25, 409)}, want: everything},
		{
			name: "somebody else removes it", fake: &fakeDocker{refuse: times(1000, 409), foreign: map[string]int{"engine-1": 3}},
			want: []string{"container db-1", "network net", "volume vol"},
		},
		{name: "the daemon is busy", fake: &fakeDocker{broken: 2}, want: everything},
		{
			name: "it stays", fake: &fakeDocker{refuse: times(1000, 409), tries: 3},
			want: []string{"container db-1", "network net", "volume vol"},
			err:  []string{"remove run r: still there: container engine-1", "removal of engine-1 is already in progress", "tried"},
		},
		{
			name: "Docker has lost count of what is on the network", fake: &fakeDocker{refuse: network(403)},
			want: []string{
				"container db-1", "container engine-1",
				"network net as far as Docker lets us: it is empty, and goes when Docker restarts (moby/moby#42119)", "volume vol",
			},
		},
		{
			name: "something foreign is on the network", fake: &fakeDocker{refuse: network(403), attached: true, tries: mostRefusals + 2},
			want: []string{"container db-1", "container engine-1", "volume vol"},
			err:  []string{"remove run r: still there: network net", "tried"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.fake.giveUp = cancel
			test.fake.deletes = map[string]int{}
			test.fake.objects = map[string][]string{
				"containers": {"db-1", "engine-1", "self"}, "networks": {"net"}, "volumes": {"vol"},
			}
			removed, err := removeRun(ctx, test.fake.client(t), "r", "self")
			if diff := cmp.Diff(test.want, removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if (err != nil) != (len(test.err) > 0) {
				t.Fatalf("removeRun() = %v, want an error: %t", err, len(test.err) > 0)
			}
			for _, part := range test.err {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("removeRun() = %v, want %q in it", err, part)
				}
			}
			if test.fake.deletes["self"] > 0 {
				t.Error("the reaper's own container was removed")
			}
		})
	}
}

// TestRemoveRunLimit holds who bounds a removal: ctx, and else a minute.
func TestRemoveRunLimit(t *testing.T) {
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if free, bound := removalLimit(context.Background()), removalLimit(limited); free != time.Minute || bound != 0 {
		t.Errorf("removalLimit() = %s without a deadline and %s with one, want 1m0s and 0s", free, bound)
	}
	fake := &fakeDocker{
		deletes: map[string]int{}, objects: map[string][]string{"containers": {"engine-1"}},
		refuse: func(string, int) int { return http.StatusConflict },
	}
	docker := fake.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(500*time.Millisecond, cancel)
	began := time.Now()
	_, err := removeRun(ctx, docker, "r", "")
	if err == nil || !strings.Contains(err.Error(), "still there: container engine-1") || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("removeRun(cancelled) = %v, want what is still there, and why it was given up", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("removeRun(cancelled) took %s, want it to end with its ctx", took)
	}
}
