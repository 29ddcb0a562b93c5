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

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

// buildLines is how many of a failed build's last lines its error shows.
const buildLines = 15

// build makes one image: the recipe's directory, and its program, as an in-memory build context.
func (b *imageBuilder) build(ctx context.Context, r recipe, tag string) error {
	program := r.binary
	if r.source != "" {
		built, err := compile(ctx, r)
		if err != nil {
			return err
		}
		program = built
	}
	archive, err := buildContext(r, program)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	base := baseImage
	result, err := b.docker.ImageBuild(ctx, archive, client.ImageBuildOptions{
		Tags:        []string{tag},
		Labels:      map[string]string{labelImage: "1"},
		BuildArgs:   map[string]*string{"BASE": &base},
		Remove:      true,
		ForceRemove: true,
		Version:     build.BuilderV1,
	})
	if err != nil {
		return fmt.Errorf("docker build: %w", err)
	}
	defer result.Body.Close()
	return readBuild(result.Body)
}

// readBuild follows a build to its end; its error carries the last lines of the output.
func readBuild(body io.Reader) error {
	var lines []string
	messages := json.NewDecoder(body)
	for {
		var m jsonstream.Message
		err := messages.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("docker build: read output: %w", err)
		}
		for line := range strings.Lines(m.Stream) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		lines = lines[max(0, len(lines)-buildLines):]
		if m.Error != nil {
			return fmt.Errorf("docker build: %s; last lines:\n  %s",
				m.Error.Message, strings.Join(lines, "\n  "))
		}
	}
}

// buildContext returns the recipe's files and the program as a tar.
func buildContext(r recipe, program string) (io.Reader, error) {
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
func compile(ctx context.Context, r recipe) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("building it needs the Go tool (1.26 or newer) in PATH")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum, err := r.inputs()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "squall", r.name+"-"+sum)
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
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-ldflags", "-s -w",
		"-o", program, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off", "GOFLAGS=-mod=readonly")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build in %s: %w; last lines:\n  %s",
			dir, err, lastLines(string(output), buildLines))
	}
	return program, nil
}

// ensureBase makes sure that the base image is there: present, pulled once, or made locally under
// the same name, so that one Dockerfile serves machines with and without a registry.
func (b *imageBuilder) ensureBase(ctx context.Context) error {
	present, err := b.present(ctx, baseImage)
	if present || err != nil {
		return err
	}
	pullErr := b.pull(ctx, baseImage)
	if pullErr == nil {
		return nil
	}
	tool, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return fmt.Errorf("%s is absent and cannot be pulled (%w), and making it needs mmdebstrap: "+
			"install it with `apt-get install mmdebstrap`", baseImage, pullErr)
	}
	return b.timed("image base", baseImage+" from Debian's package mirror with mmdebstrap (no registry)",
		func() error { return b.bootstrapBase(ctx, tool) })
}

// pull tries a registry once and shortly.
func (b *imageBuilder) pull(ctx context.Context, ref string) error {
	start := time.Now()
	b.report(Step{Name: "image base", Text: "pull " + ref})
	// Twenty seconds do for 30 MB when a registry answers; an unreachable one must not cost minutes.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	response, err := b.docker.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	if err := response.Wait(ctx); err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	b.report(Step{Name: "image base", Text: "pulled", Done: true, Took: time.Since(start)})
	return nil
}

// bootstrapBase makes the base image with mmdebstrap. Without a mirror argument mmdebstrap takes
// Debian's own, with security and updates.
func (b *imageBuilder) bootstrapBase(ctx context.Context, tool string) error {
	dir, err := os.MkdirTemp("", "squall-base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "base.tar")
	cmd := exec.CommandContext(ctx, tool, "--quiet", "--variant=minbase", "--components=main",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		`--aptopt=Acquire::Languages "none"`,
		`--aptopt=Dir::Cache::pkgcache ""`, `--aptopt=Dir::Cache::srcpkgcache ""`,
		`--aptopt=APT::Install-Recommends "false"`,
		`--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/cache/debconf/*-old `+
			`"$1"/usr/share/info/* "$1"/var/log/*`,
		"trixie", file)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w; last lines:\n  %s", err, lastLines(string(output), buildLines))
	}
	archive, err := os.Open(file)
	if err != nil {
		return err
	}
	defer archive.Close()
	source := client.ImageImportSource{Source: archive, SourceName: "-"}
	result, err := b.docker.ImageImport(ctx, source, baseImage, client.ImageImportOptions{
		Changes: []string{`CMD ["/bin/bash"]`},
	})
	if err != nil {
		return fmt.Errorf("docker import %s: %w", baseImage, err)
	}
	defer result.Close()
	_, err = io.Copy(io.Discard, result)
	return err
}

// lastLines returns the last n lines of text, each but the first indented by two blanks.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
