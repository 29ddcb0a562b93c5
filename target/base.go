package target

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// ensureBase makes sure that the base image is there: present, pulled, or made locally under the
// same name, so that one Dockerfile serves machines with and without a registry.
func (b *imageBuilder) ensureBase(ctx context.Context) error {
	present, err := b.present(ctx, baseImage)
	if present || err != nil {
		return err
	}
	tool, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return b.timed("image base", "pull "+baseImage, func() error {
			e := effort{step: "pull " + baseImage, within: onlyPullWithin, advice: pullAdvice}
			return attempt(ctx, e, b.teller("base"), b.pull)
		})
	}
	// An unreachable registry must not cost minutes where there is another way.
	err = b.timed("image base", "pull "+baseImage, func() error { return tryOnce(ctx, pullWithin, b.pull) })
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx) // nil as long as ctx goes on
	}
	what := baseImage + " from Debian's package mirror with mmdebstrap (no registry)"
	return b.timed("image base", what, func() error {
		e := effort{step: "mmdebstrap", within: bootstrapWithin, advice: mirrorAdvice(os.Getenv)}
		return attempt(ctx, e, b.teller("base"),
			func(ctx context.Context) error { return b.bootstrapBase(ctx, tool) })
	})
}

// pull gets the base image from its registry.
func (b *imageBuilder) pull(ctx context.Context) error {
	response, err := b.docker.ImagePull(ctx, baseImage, client.ImagePullOptions{})
	if err == nil {
		err = response.Wait(ctx)
	}
	if errdefs.IsNotFound(err) {
		return permanentError{fmt.Errorf("pull %s: %w", baseImage, err)}
	}
	if err != nil {
		return failure("pull "+baseImage, err, "")
	}
	return nil
}

// bootstrapBase makes the base image with mmdebstrap. Without a mirror argument mmdebstrap takes
// Debian's own, with security and updates. It removes its tree also when it is ended.
func (b *imageBuilder) bootstrapBase(ctx context.Context, tool string) error {
	dir, err := os.MkdirTemp("", "squall-base-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // best effort: it is in the temporary directory
	file := filepath.Join(dir, "base.tar")
	cmd := exec.CommandContext(ctx, tool, bootstrapArgs(file)...)
	if output, err := runChild(ctx, cmd); err != nil {
		return failure("mmdebstrap", err, lastLines(string(output), buildLines))
	}
	archive, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }() // only read
	source := client.ImageImportSource{Source: archive, SourceName: "-"}
	result, err := b.docker.ImageImport(ctx, source, baseImage, client.ImageImportOptions{
		Changes: []string{`CMD ["/bin/bash"]`},
	})
	if err != nil {
		return failure("docker import "+baseImage, err, "")
	}
	defer result.Close()
	return readProgress("docker import "+baseImage, result)
}

// bootstrapArgs are mmdebstrap's. An update of which a part failed is a failure, and so is a server
// that falls silent for 20 seconds. Not --quiet: it would keep apt-get's reasons to itself.
func bootstrapArgs(file string) []string {
	return []string{
		"--variant=minbase", "--components=main",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		`--aptopt=Acquire::Languages "none"`,
		`--aptopt=Acquire::Retries "3"`,
		`--aptopt=Acquire::http::Timeout "20"`, `--aptopt=Acquire::https::Timeout "20"`,
		`--aptopt=APT::Update::Error-Mode "any"`,
		`--aptopt=Dir::Cache::pkgcache ""`, `--aptopt=Dir::Cache::srcpkgcache ""`,
		`--aptopt=APT::Install-Recommends "false"`,
		`--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/cache/debconf/*-old ` +
			`"$1"/usr/share/info/* "$1"/var/log/*`,
		"trixie", file,
	}
}
