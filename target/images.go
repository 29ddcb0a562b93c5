package target

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// recipes holds everything the images are made of: Dockerfiles, configuration templates, and the
// sources of etcd and NATS under names that go:embed takes.
//
//go:embed ecotrack/images
var recipes embed.FS

const (
	recipesDir = "ecotrack/images"
	baseImage  = "debian:trixie-slim"

	// labelImage marks what EnsureImages built.
	labelImage = "squall.image"
)

// Images names what a system is started from, as "squall/<name>:<hash of its inputs>".
type Images struct {
	Postgres string `json:"postgres"` // PostgreSQL 17 and Patroni 4
	HAProxy  string `json:"haproxy"`
	Etcd     string `json:"etcd"`
	NATS     string `json:"nats"`
	Squall   string `json:"squall"` // EcoTrack's programs, the chaos agent and the reaper
}

// All returns the images by name.
func (i Images) All() map[string]string {
	return map[string]string{
		"postgres": i.Postgres, "haproxy": i.HAProxy, "etcd": i.Etcd, "nats": i.NATS, "squall": i.Squall,
	}
}

// Step is one line of progress. A step is reported when it starts (Done false) and when it ended.
type Step struct {
	Name string        // what is worked on: "image postgres", "node engine-2"
	Text string        // what is done: "ready", "cached", "PostgreSQL 17 and Patroni 4 from Debian packages"
	Done bool          // whether it ended
	Took time.Duration // how long it took, once Done
}

// ImageOptions says what EnsureImages builds from; the zero value is usable.
type ImageOptions struct {
	// Binary is the static Linux squall that goes into the squall image. Default: this program.
	Binary string
	// Progress is called for each step, one at a time. Default: nobody is told.
	Progress func(Step)
}

// EnsureImages makes what is missing and returns the names of all images. It is idempotent: a name
// carries the hash of everything the image is made of, so only a change rebuilds. The base image
// is pulled once if a registry answers, and otherwise made from Debian's package mirror.
//
// The first run takes about three minutes on two cores, later ones well under a second. A network
// that is away for a minute is waited for. One that stays away ends it within ten minutes with a
// *StepError for each step that it kept from ending. What older programs left is removed (prune.go).
func EnsureImages(ctx context.Context, opts ImageOptions) (Images, error) {
	binary := opts.Binary
	if binary == "" {
		self, err := os.Executable()
		if err != nil {
			return Images{}, fmt.Errorf("images: find this program: %w", err)
		}
		binary = self
	}
	if err := checkBinary(binary); err != nil {
		return Images{}, err
	}
	docker, err := connect(ctx)
	if err != nil {
		return Images{}, err
	}
	defer docker.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, setupWithin, errSetupLimit)
	defer cancel()
	b := &imageBuilder{docker: docker.Client, report: serialProgress(opts.Progress)}
	return b.all(ctx, binary)
}

// imageBuilder makes images, two at a time.
type imageBuilder struct {
	docker *client.Client
	report func(Step)
}

// recipe is how one image is made.
type recipe struct {
	name   string
	tag    string                // once find has been there
	what   string                // for people
	binary string                // a file that becomes "program" in the build context
	source string                // or: the directory of a Go program to build first
	base   bool                  // whether it starts from the base image
	keep   func(*Images, string) // where its name goes
}

func allRecipes(binary string) []recipe {
	return []recipe{
		{
			name: "postgres", what: "PostgreSQL 17 and Patroni 4 from Debian packages", base: true,
			keep: func(i *Images, t string) { i.Postgres = t },
		},
		{
			name: "etcd", what: "etcd from the Go module proxy", source: "etcd",
			keep: func(i *Images, t string) { i.Etcd = t },
		},
		{
			name: "nats", what: "NATS server from the Go module proxy", source: "nats",
			keep: func(i *Images, t string) { i.NATS = t },
		},
		{
			name: "haproxy", what: "HAProxy from Debian packages", base: true,
			keep: func(i *Images, t string) { i.HAProxy = t },
		},
		{
			name: "squall", what: "this program, from scratch", binary: binary,
			keep: func(i *Images, t string) { i.Squall = t },
		},
	}
}

// all makes what is missing, and then removes what is old.
func (b *imageBuilder) all(ctx context.Context, binary string) (Images, error) {
	var (
		images  Images
		missing []recipe
	)
	for _, r := range allRecipes(binary) {
		present, err := b.find(ctx, &r)
		if err != nil {
			return Images{}, fmt.Errorf("image %s: %w", r.name, err)
		}
		if !present {
			missing = append(missing, r)
		}
		r.keep(&images, r.tag)
	}
	if err := b.checkDisk(ctx, missing); err != nil {
		return Images{}, err
	}
	if err := b.makeAll(ctx, missing); err != nil {
		return Images{}, err
	}
	b.prune(ctx, images)
	return images, nil
}

// find names the recipe's image and says whether somebody has made it.
func (b *imageBuilder) find(ctx context.Context, r *recipe) (bool, error) {
	sum, err := r.inputs()
	if err != nil {
		return false, err
	}
	r.tag = "squall/" + r.name + ":" + sum
	present, err := b.present(ctx, r.tag)
	if err != nil || !present {
		return false, err
	}
	b.touch(ctx, r.tag)
	b.report(Step{Name: "image " + r.name, Text: "cached as " + r.tag, Done: true})
	return true, nil
}

// makeAll builds the images. Two builds run at once; those on the base image wait for it first. All
// are needed, so one that cannot be made ends the rest.
func (b *imageBuilder) makeAll(ctx context.Context, missing []recipe) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	base := sync.OnceValue(func() error {
		if err := b.ensureBase(ctx); err != nil {
			return fmt.Errorf("image base: %w", err)
		}
		return nil
	})
	slots := make(chan struct{}, 2)
	for _, r := range missing {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			err := b.makeOne(ctx, r, base)
			if err == nil || isEcho(ctx, err) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			abandon(errAbandoned)
			// Two that wait for the same base image have one error.
			if !slices.ContainsFunc(errs, func(e error) bool { return errors.Is(e, err) }) {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// isEcho says whether err only repeats that another image cannot be made.
func isEcho(ctx context.Context, err error) bool {
	return errors.Is(err, errAbandoned) ||
		errors.Is(context.Cause(ctx), errAbandoned) && errors.Is(err, context.Canceled)
}

// makeOne builds an image and, before it, what it starts from.
func (b *imageBuilder) makeOne(ctx context.Context, r recipe, base func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.base {
		if err := base(); err != nil {
			return err
		}
	}
	err := b.timed("image "+r.name, r.what, func() error { return b.build(ctx, r) })
	if err != nil {
		return fmt.Errorf("image %s: %w", r.name, err)
	}
	return nil
}

// teller reports what happens between the start and the end of an image's step.
func (b *imageBuilder) teller(name string) func(string) {
	return func(text string) { b.report(Step{Name: "image " + name, Text: text}) }
}

// timed reports a step before and after do.
func (b *imageBuilder) timed(name, what string, do func() error) error {
	start := time.Now()
	b.report(Step{Name: name, Text: what})
	err := do()
	if err == nil {
		b.report(Step{Name: name, Text: "ready", Done: true, Took: time.Since(start)})
	}
	return err
}

// present says whether the daemon has the image.
func (b *imageBuilder) present(ctx context.Context, tag string) (bool, error) {
	_, err := b.docker.ImageInspect(ctx, tag)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// inputs returns twelve hexadecimal digits that change when anything the image is made of does.
// Templates are not among them: they are rendered into the container at its start.
func (r recipe) inputs() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(recipes, recipesDir+"/"+r.name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".tmpl") {
			return err
		}
		content, err := recipes.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(content))
		sum.Write(content)
		return err
	})
	if err != nil {
		return "", err
	}
	if r.binary != "" {
		file, err := os.Open(r.binary)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }() // only read
		if _, err := io.Copy(sum, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// serialProgress returns a reporter that is safe to call at any time from any goroutine.
func serialProgress(report func(Step)) func(Step) {
	if report == nil {
		return func(Step) {}
	}
	var mu sync.Mutex
	return func(s Step) {
		mu.Lock()
		defer mu.Unlock()
		report(s)
	}
}

// sortedKeys returns the keys of m in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
