package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// The free disk that building takes at its peak, with some to spare.
const (
	diskForBase    = 3 << 30   // Docker: the base image, two build stages of 600 MB, and what they become
	diskForTree    = 1 << 30   // temporary: mmdebstrap's tree of 250 MB, and its tar
	diskForSource  = 1 << 30   // the Go tool's caches: etcd's and NATS' modules and packages
	diskForProgram = 256 << 20 // Docker: an image of one program, twice
)

// place is a directory that needs free disk.
type place struct {
	what, dir  string // "Docker's directory", "/var/lib/docker"
	free, need uint64 // bytes
}

// checkDisk looks whether there is room to make what is missing. A place that it cannot look at, as
// that of a daemon in a virtual machine, it leaves out with a word.
func (b *imageBuilder) checkDisk(ctx context.Context, missing []recipe) error {
	if len(missing) == 0 {
		return nil
	}
	root := ""
	if strings.HasPrefix(b.docker.DaemonHost(), "unix://") {
		info, err := b.docker.Info(ctx, client.InfoOptions{})
		if err != nil {
			return fmt.Errorf("docker info: %w", err)
		}
		root = info.Info.DockerRootDir
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	var places []place
	for _, p := range placesFor(missing, root, os.TempDir(), cache) {
		if p.free, err = freeDisk(p.dir); err != nil {
			text := fmt.Sprintf("free disk of %s not looked at: %v", p.what, err)
			b.report(Step{Name: "free disk", Text: text, Done: true})
			continue
		}
		places = append(places, p)
	}
	return shortOf(places)
}

// placesFor says how much disk the recipes need where.
func placesFor(missing []recipe, root, temp, cache string) []place {
	inDocker := place{what: "Docker's directory", dir: root, need: diskForProgram}
	var others []place
	if slices.ContainsFunc(missing, func(r recipe) bool { return r.base }) {
		inDocker.need = diskForBase
		others = append(others, place{what: "the temporary directory", dir: temp, need: diskForTree})
	}
	if slices.ContainsFunc(missing, func(r recipe) bool { return r.source != "" }) {
		others = append(others, place{what: "the cache directory", dir: cache, need: diskForSource})
	}
	return append([]place{inDocker}, others...)
}

// shortOf returns an error that names every place without the room that it needs.
func shortOf(places []place) error {
	var errs []error
	for _, p := range places {
		if p.free < p.need {
			errs = append(errs, fmt.Errorf("disk full: %s (%s) has %.1f GiB free, building needs %.1f GiB; "+
				"make room, for instance with `docker image prune` or `go clean -cache`",
				p.what, p.dir, float64(p.free)/(1<<30), float64(p.need)/(1<<30)))
		}
	}
	return errors.Join(errs...)
}

// freeDisk returns the bytes that an ordinary user may still write below dir.
func freeDisk(dir string) (uint64, error) {
	if dir == "" {
		return 0, errors.New("it is not on this machine")
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	return disk.Bavail * uint64(max(0, disk.Bsize)), nil
}
