package target

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

func TestSuperfluous(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	used := func(ago time.Duration, id string, tags ...string) leftover {
		return leftover{id: id, tags: tags, used: now.Add(-ago)}
	}
	busy := func(l leftover) leftover { l.busy = true; return l }
	current := []string{"squall/squall:now", "squall/postgres:now"}
	tests := []struct {
		name  string
		found []leftover
		want  []string
	}{
		{"the current one, however old", []leftover{used(99*time.Hour, "a", "squall/squall:now")}, nil},
		{"one previous of each recipe stays", []leftover{
			used(3*time.Hour, "c", "squall/squall:c"), used(1*time.Hour, "a", "squall/squall:a"),
			used(0, "now", "squall/squall:now"), used(2*time.Hour, "b", "squall/squall:b"),
			used(5*time.Hour, "p", "squall/postgres:p"),
		}, []string{"b", "c"}},
		{"used a moment ago", []leftover{
			used(1*time.Minute, "a", "squall/squall:a"), used(9*time.Minute, "b", "squall/squall:b"),
			used(pruneAfter, "c", "squall/squall:c"),
		}, []string{"c"}},
		{"in use", []leftover{
			used(1*time.Hour, "a", "squall/squall:a"), busy(used(2*time.Hour, "b", "squall/squall:b")),
		}, nil},
		{"stages: none is kept, but that of a build that may still run", []leftover{
			used(time.Minute, "s"), used(time.Hour, "t"), busy(used(time.Hour, "u")), used(2*time.Hour, "v"),
		}, []string{"t", "v"}},
		{"another name beside ours, or instead", []leftover{
			used(1*time.Hour, "a", "squall/squall:a"), used(2*time.Hour, "b", "squall/squall:b", "mine:keep"),
			used(3*time.Hour, "c", "mine:too"), used(3*time.Hour, "d", "registry:5000/squall/squall:d"),
		}, nil},
		{"a recipe that is no more: its last stays", []leftover{
			used(1*time.Hour, "a", "squall/redis:a"), used(2*time.Hour, "b", "squall/redis:b"),
		}, []string{"b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, l := range superfluous(test.found, current, now) {
				got = append(got, l.id)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("superfluous() (-want +got):\n%s", diff)
			}
		})
	}
}

// daemon is as much of Docker as prune needs: images with parents, and one container.
type daemon struct {
	mu      sync.Mutex
	images  []image.Summary
	named   map[string]time.Time // when an image was last named, by id
	removed []string             // the references and noprune of each removal
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	ref, inspect := strings.CutSuffix(strings.TrimPrefix(path, "images/"), "/json")
	var answer any
	switch {
	case path == "images/json":
		heads := slices.DeleteFunc(slices.Clone(d.images), func(i image.Summary) bool {
			return slices.ContainsFunc(d.images, func(child image.Summary) bool { return child.ParentID == i.ID })
		})
		answer = heads // also those without the label, as if the filter were not heeded
	case path == "containers/json":
		answer = []container.Summary{{ID: "1", ImageID: "sha256:busy"}}
	case r.Method == http.MethodDelete:
		d.removed = append(d.removed, ref+" noprune="+r.URL.Query().Get("noprune"))
		d.images = slices.DeleteFunc(d.images, func(i image.Summary) bool {
			return i.ID == ref || slices.Contains(i.RepoTags, ref)
		})
		answer = []image.DeleteResponse{{Deleted: ref}}
	case inspect:
		answer = map[string]any{"Id": ref, "Metadata": map[string]any{"LastTagTime": d.named[ref]}}
	default:
		http.Error(w, "no such thing: "+r.URL.Path, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// TestPrune has the stages of two builds on one base image without a name, which is not ours.
func TestPrune(t *testing.T) {
	old := time.Now().Add(-time.Hour).Unix()
	summary := func(id, parent, label string, created int64, tags ...string) image.Summary {
		i := image.Summary{ID: "sha256:" + id, Created: created, RepoTags: tags}
		if parent != "" {
			i.ParentID = "sha256:" + parent
		}
		if label != "" {
			i.Labels = map[string]string{labelImage: label}
		}
		return i
	}
	d := &daemon{
		images: []image.Summary{
			summary("base", "", "", old),
			summary("stage-1", "base", "stage", old), summary("stage-2", "stage-1", "stage", old),
			summary("stage-3", "stage-1", "stage", old, "<none>:<none>"),
			summary("now", "", "1", old, "squall/squall:now"),
			summary("a", "", "1", old+2, "squall/squall:a"), summary("b", "", "1", old+1, "squall/squall:b"),
			summary("c", "", "1", old, "squall/squall:c"), summary("busy", "", "1", old, "squall/squall:busy"),
			summary("foreign", "", "", old), summary("theirs", "", "", old, "postgres:17"),
		},
		named: map[string]time.Time{"sha256:c": time.Now()}, // somebody asked for it just now
	}
	server := httptest.NewServer(d)
	defer server.Close()
	docker, err := client.New(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithAPIVersion("1.48"))
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	var steps []Step
	b := &imageBuilder{docker: docker, report: func(s Step) { steps = append(steps, s) }}
	b.prune(t.Context(), Images{Squall: "squall/squall:now"})
	want := []string{
		"sha256:stage-1 noprune=1", "sha256:stage-2 noprune=1", "sha256:stage-3 noprune=1",
		"squall/squall:a noprune=", "squall/squall:b noprune=",
	}
	slices.Sort(d.removed)
	if diff := cmp.Diff(want, d.removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if len(steps) != 1 || !strings.Contains(steps[0].Text, "removed 5") || !steps[0].Done {
		t.Errorf("steps = %v, want one that says what was removed", steps)
	}
	steps = nil
	if b.prune(t.Context(), Images{Squall: "squall/squall:now"}); len(steps) != 0 || len(d.removed) != len(want) {
		t.Errorf("prune() again = %v, %v, want nothing", steps, d.removed)
	}
}

// TestStagesAreLabelled: without its label a stage is never removed.
func TestStagesAreLabelled(t *testing.T) {
	for _, r := range allRecipes("squall") {
		content, err := recipes.ReadFile(recipesDir + "/" + r.name + "/Dockerfile")
		if err != nil {
			t.Fatal(err)
		}
		stages := strings.Split(string(content), "\nFROM ")
		for _, stage := range stages[:len(stages)-1] {
			if strings.Contains(stage, " AS ") && !strings.Contains(stage, "\nLABEL "+labelImage+"=") {
				t.Errorf("a stage of %s has no label:\n%s", r.name, stage)
			}
		}
	}
}
