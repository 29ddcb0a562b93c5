package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// The labels of everything that belongs to a run.
const (
	labelRun  = "squall.run"
	labelNode = "squall.node"
	labelRole = "squall.role"
	labelZone = "squall.zone"
)

// RunInfo is what exists of one run.
type RunInfo struct {
	ID         string
	Created    time.Time // of the oldest container; zero when there is none
	Containers int
	Networks   int
	Volumes    int
}

// RemoveRun removes every container, network and volume that carries the run's label, and returns
// what it removed, such as "container engine-1". An empty runID means every run. What is paused is
// resumed first. It takes a minute at most unless ctx says otherwise. It is safe to repeat, and an
// error means that something is still there, and names it.
func RemoveRun(ctx context.Context, runID string) ([]string, error) {
	docker, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	return removeRun(ctx, docker.Client, runID, "")
}

// Runs lists the runs that left something, in the order of their names.
func Runs(ctx context.Context) ([]RunInfo, error) {
	docker, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	found, err := findRun(ctx, docker.Client, "")
	if err != nil {
		return nil, err
	}
	runs := make(map[string]*RunInfo)
	run := func(labels map[string]string) *RunInfo {
		id := labels[labelRun]
		if runs[id] == nil {
			runs[id] = &RunInfo{ID: id}
		}
		return runs[id]
	}
	for _, c := range found.containers {
		r := run(c.Labels)
		r.Containers++
		if created := time.Unix(c.Created, 0).UTC(); r.Created.IsZero() || created.Before(r.Created) {
			r.Created = created
		}
	}
	for _, n := range found.networks {
		run(n.labels).Networks++
	}
	for _, v := range found.volumes {
		run(v.labels).Volumes++
	}
	list := make([]RunInfo, 0, len(runs))
	for _, id := range sortedKeys(runs) {
		list = append(list, *runs[id])
	}
	return list, nil
}

// labelled is a network (by id) or a volume (by name).
type labelled struct {
	id, name string
	labels   map[string]string
}

// remains is what exists of a run, or of all.
type remains struct {
	containers []container.Summary
	networks   []labelled
	volumes    []labelled
}

func (r remains) empty() bool { return len(r.containers)+len(r.networks)+len(r.volumes) == 0 }

// String names what remains.
func (r remains) String() string {
	var names []string
	for _, c := range r.containers {
		names = append(names, "container "+containerName(c))
	}
	for _, n := range r.networks {
		names = append(names, "network "+n.name)
	}
	for _, v := range r.volumes {
		names = append(names, "volume "+v.name)
	}
	return strings.Join(names, ", ")
}

// findRun lists what carries the run's label; an empty runID means any run.
func findRun(ctx context.Context, docker *client.Client, runID string) (remains, error) {
	label := labelRun
	if runID != "" {
		label += "=" + runID
	}
	filters := make(client.Filters).Add("label", label)
	var found remains
	containers, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return found, fmt.Errorf("list containers: %w", err)
	}
	found.containers = containers.Items
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	if err != nil {
		return found, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks.Items {
		found.networks = append(found.networks, labelled{n.ID, n.Name, n.Labels})
	}
	volumes, err := docker.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
	if err != nil {
		return found, fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes.Items {
		found.volumes = append(found.volumes, labelled{v.Name, v.Name, v.Labels})
	}
	return found, nil
}

// removeWithin bounds a removal whose caller set no limit.
const removeWithin = time.Minute

// removeRun removes what carries the run's label, except the container whose id begins with spare
// (a reaper cannot remove itself), until ctx ends, or a minute when it has no deadline. It looks again
// until nothing is left: a container that was being created while the list was read, or is being
// removed by somebody else, shows up in the next one. What was removed is named once.
func removeRun(ctx context.Context, docker *client.Client, runID, spare string) ([]string, error) {
	r := removal{docker: docker, gone: map[string]string{}, refused: map[string]int{}}
	err := Retry(ctx, removalLimit(ctx), func(ctx context.Context) error {
		found, err := findRun(ctx, docker, runID)
		if err != nil {
			return err
		}
		found.containers = slices.DeleteFunc(found.containers, func(c container.Summary) bool {
			return spare != "" && strings.HasPrefix(c.ID, spare)
		})
		found.networks = slices.DeleteFunc(found.networks, r.miscounted)
		if found.empty() {
			return nil
		}
		left := fmt.Errorf("still there: %s", found)
		return errors.Join(append([]error{left}, r.remove(ctx, found)...)...)
	})
	removed := slices.Sorted(maps.Values(r.gone))
	if err != nil {
		return removed, fmt.Errorf("remove run %s: %w", cmp.Or(runID, "any"), err)
	}
	return removed, nil
}

// removalLimit is a minute, or 0 where ctx has a deadline of its own.
func removalLimit(ctx context.Context) time.Duration {
	if _, limited := ctx.Deadline(); limited {
		return 0
	}
	return removeWithin
}

// removal is one removal of a run.
type removal struct {
	docker  *client.Client
	gone    map[string]string // what was removed, by id
	refused map[string]int    // how often Docker would not remove a network, by id, though nothing is on it
}

// mostRefusals is how often an empty network may be refused before it is given up.
const mostRefusals = 20

// miscounted says whether Docker has lost count of what is on a network: it says "has active endpoints" of an empty one,
// for good, and forgets the network when it starts again (moby/moby#42119, seen with Docker 20.10.24). Nobody can
// remove it until then; it is named, and no failure.
func (r *removal) miscounted(n labelled) bool {
	if r.refused[n.id] < mostRefusals {
		return false
	}
	r.gone[n.id] = "network " + n.name + " as far as Docker lets us: it is empty, and goes when Docker restarts (moby/moby#42119)"
	return true
}

// remove takes containers off their networks one after the other, since many at once are what makes Docker lose count;
// removes them, all at once; and then networks and volumes, which only then are free. It returns what it could not
// remove; what is not there any more is none of that.
func (r *removal) remove(ctx context.Context, found remains) (problems []error) {
	for _, n := range found.networks {
		for _, c := range found.containers {
			if c.NetworkSettings != nil && c.NetworkSettings.Networks[n.name] != nil {
				// Best effort: removing the container takes it off as well.
				_, _ = r.docker.NetworkDisconnect(ctx, n.id, client.NetworkDisconnectOptions{Container: c.ID, Force: true})
			}
		}
	}
	var mu sync.Mutex
	note := func(id, what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			r.gone[id] = what
		case !errdefs.IsNotFound(err):
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, c := range found.containers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			note(c.ID, "container "+containerName(c), removeContainer(ctx, r.docker, c))
		})
	}
	wg.Wait()
	for _, n := range found.networks {
		_, err := r.docker.NetworkRemove(ctx, n.id, client.NetworkRemoveOptions{})
		if errdefs.IsPermissionDenied(err) && len(found.containers) == 0 && r.unused(ctx, n.id) {
			r.refused[n.id]++
		}
		note(n.id, "network "+n.name, err)
	}
	for _, v := range found.volumes {
		_, err := r.docker.VolumeRemove(ctx, v.id, client.VolumeRemoveOptions{Force: true})
		note(v.id, "volume "+v.name, err)
	}
	return problems
}

// unused says whether no container is on a network, of whatever run.
func (r *removal) unused(ctx context.Context, id string) bool {
	inspected, err := r.docker.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
	return err == nil && len(inspected.Network.Containers) == 0
}

func removeContainer(ctx context.Context, docker *client.Client, c container.Summary) error {
	if c.State == container.StatePaused {
		// Best effort: a container that vanished meanwhile is what is wanted.
		_, _ = docker.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{})
	}
	// A conflict says that its removal is under way: no failure, unless it is still there at the end.
	_, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return err
}

// containerName is the node's name, or the container's when it is no node.
func containerName(c container.Summary) string {
	if name := c.Labels[labelNode]; name != "" {
		return name
	}
	if len(c.Names) > 0 {
		return strings.TrimPrefix(c.Names[0], "/")
	}
	return c.ID[:min(12, len(c.ID))]
}
