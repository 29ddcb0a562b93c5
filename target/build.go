package target

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

// buildLines is how many of a failed build's last lines its error shows.
const buildLines = 15

// The limits of one try: three times and more of what two cores and a slow mirror need.
const (
	buildWithin     = 240 * time.Second // postgres: 100 s
	compileWithin   = 180 * time.Second // etcd: 60 s
	bootstrapWithin = 150 * time.Second // the base image: 25 s
	pullWithin      = 20 * time.Second  // do for 30 MB when a registry answers
	onlyPullWithin  = 90 * time.Second  // when there is no other way to the base image
)

// build makes one image: the recipe's directory, and its program, as an in-memory build context.
func (b *imageBuilder) build(ctx context.Context, r recipe) error {
	program := r.binary
	if r.source != "" {
		built, err := b.compile(ctx, r)
		if err != nil {
			return err
		}
		program = built
	}
	archive, err := buildContext(r, program)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	e := effort{step: "docker build", within: buildWithin, advice: daemonAdvice}
	if r.base {
		e.advice = insideAdvice
	}
	return attempt(ctx, e, b.teller(r.name), func(ctx context.Context) error {
		return b.buildOnce(ctx, bytes.NewReader(archive.Bytes()), r.tag)
	})
}

// buildOnce has the daemon build; it ends the build when ctx ends. What a step of the Dockerfile
// has made is in the daemon's cache for the next try.
func (b *imageBuilder) buildOnce(ctx context.Context, archive io.Reader, tag string) error {
	base := baseImage
	result, err := b.docker.ImageBuild(ctx, archive, client.ImageBuildOptions{
		Tags:        []string{tag},
		Labels:      map[string]string{labelImage: "1"},
		BuildArgs:   map[string]*string{"BASE": &base},
		Remove:      true,
		ForceRemove: true,
		Version:     build.BuilderV1,
	})
	if errdefs.IsInvalidArgument(err) {
		return permanentError{fmt.Errorf("docker build: %w", err)} // a mistake in the Dockerfile
	}
	if err != nil {
		return failure("docker build", err, "")
	}
	defer result.Body.Close()
	return readProgress("docker build", result.Body)
}

// readProgress follows what the daemon tells of a build or an import to its end: a failure comes in the
// text of an answer that began as a success. Its error carries the last lines of the output.
func readProgress(step string, body io.Reader) error {
	var lines []string
	messages := json.NewDecoder(body)
	for {
		var m jsonstream.Message
		err := messages.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: read output: %w", step, err)
		}
		for line := range strings.Lines(m.Stream) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		lines = lines[max(0, len(lines)-buildLines):]
		if m.Error != nil {
			err := failure(step, m.Error, strings.Join(lines, "\n  "))
			if deterministic(m.Error.Code) {
				return permanentError{err}
			}
			return err
		}
	}
}

// deterministic says whether the exit status of a RUN line means that it would end so again: not
// that of apt-get, which has one for all its failures, nor that of a killed process, nor none.
func deterministic(status int) bool {
	const aptGet, killed = 100, 128
	return status > 0 && status < killed && status != aptGet
}

// buildContext returns the recipe's files and the program as a tar.
func buildContext(r recipe, program string) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	dir := recipesDir + "/" + r.name
	entries, err := fs.ReadDir(recipes, dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		content, err := recipes.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := addFile(out, e.Name(), 0o644, content); err != nil {
			return nil, err
		}
	}
	if program != "" {
		content, err := os.ReadFile(program)
		if err != nil {
			return nil, err
		}
		if err := addFile(out, "program", 0o755, content); err != nil {
			return nil, err
		}
	}
	return &buf, out.Close()
}

func addFile(out *tar.Writer, name string, mode int64, content []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

// compile builds the recipe's Go program, statically, into a cache directory and returns its path.
// A try that was cut short is not lost: modules and packages are in the Go tool's caches.
func (b *imageBuilder) compile(ctx context.Context, r recipe) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("building it needs the Go tool (1.26 or newer) in PATH")
	}
	dir, err := unpackSource(r)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "program")
	e := effort{step: "go build", within: compileWithin, advice: moduleAdvice(goProxy(ctx, goTool), os.Getenv)}
	return program, attempt(ctx, e, b.teller(r.name), func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-ldflags", "-s -w",
			"-o", program, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off", "GOFLAGS=-mod=readonly")
		output, err := runChild(ctx, cmd)
		if err != nil {
			return failure("go build in "+dir, err, lastLines(string(output), buildLines))
		}
		return nil
	})
}

// unpackSource writes the recipe's Go program into a cache directory and returns it.
func unpackSource(r recipe) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum, err := r.inputs()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, r.name+"-"+sum)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		content, err := recipes.ReadFile(path.Join(recipesDir, r.source, name+".txt"))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// cacheDir returns the directory of what Squall compiles, and makes it.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "squall")
	return dir, os.MkdirAll(dir, 0o755)
}

// goProxy is where the Go tool gets modules from.
func goProxy(ctx context.Context, goTool string) string {
	output, err := exec.CommandContext(ctx, goTool, "env", "GOPROXY").Output()
	if err != nil {
		return "unknown" // it only goes into an error's text
	}
	return strings.TrimSpace(string(output))
}

// lastLines returns the last n lines of text, each but the first indented by two blanks.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
