package target

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlacesFor(t *testing.T) {
	all := allRecipes("squall")
	one := func(name string) []recipe {
		for _, r := range all {
			if r.name == name {
				return []recipe{r}
			}
		}
		t.Fatalf("no recipe %s", name)
		return nil
	}
	tests := []struct {
		name    string
		missing []recipe
		want    map[string]uint64
	}{
		{"everything", all, map[string]uint64{"/docker": 3 << 30, "/tmp": 1 << 30, "/cache": 1 << 30}},
		{"only the program, as after each change", one("squall"), map[string]uint64{"/docker": 256 << 20}},
		{"one on the base image", one("haproxy"), map[string]uint64{"/docker": 3 << 30, "/tmp": 1 << 30}},
		{"one from the module proxy", one("nats"), map[string]uint64{"/docker": 256 << 20, "/cache": 1 << 30}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := make(map[string]uint64)
			for _, p := range placesFor(test.missing, "/docker", "/tmp", "/cache") {
				got[p.dir] = p.need
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("placesFor() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShortOf(t *testing.T) {
	docker := place{what: "Docker's directory", dir: "/var/lib/docker", free: 3 << 30, need: 3 << 30}
	temp := place{what: "the temporary directory", dir: "/tmp", free: 2 << 30, need: 1 << 30}
	if err := shortOf([]place{docker, temp}); err != nil {
		t.Errorf("shortOf(just enough) = %v, want nil", err)
	}
	docker.free--
	temp.free = 512 << 20
	err := shortOf([]place{docker, temp})
	if err == nil {
		t.Fatal("shortOf(too little) = nil, want an error")
	}
	for _, want := range []string{
		"/var/lib/docker", "needs 3.0 GiB", "/tmp", "0.5 GiB free", "needs 1.0 GiB", "docker image prune", "go clean -cache",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("shortOf() = %v, want %q in it", err, want)
		}
	}
}

func TestFreeDisk(t *testing.T) {
	if free, err := freeDisk(t.TempDir()); err != nil || free == 0 {
		t.Errorf("freeDisk(temporary) = %d, %v, want some", free, err)
	}
	for _, dir := range []string{"", "/nowhere/at/all"} {
		if _, err := freeDisk(dir); err == nil {
			t.Errorf("freeDisk(%q) = nil error, want one", dir)
		}
	}
}
