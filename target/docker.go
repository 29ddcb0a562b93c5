package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// loopback is the only address through which this host reaches containers.
const loopback = "127.0.0.1"

// minimumAPI is the oldest Docker API that was tried: Docker 20.10.
const minimumAPI = "1.41"

// ErrNoDocker says that no Docker daemon answers.
var ErrNoDocker = errors.New("no Docker daemon answers")

// APIError says that the Docker daemon is too old.
type APIError struct{ Got, Want string }

func (e *APIError) Error() string {
	return fmt.Sprintf("the Docker daemon speaks API %s, want %s (Docker 20.10) or newer", e.Got, e.Want)
}

// pinLoopback settles testcontainers before its first call, which reads these once.
//
// Subtle: on a machine with a /.dockerenv testcontainers believes that it runs in a container and
// hands out the default gateway's address instead of the loopback, so that load would go to a
// foreign host. And its own reaper derives its session from the parent process, so two runs from
// one shell share a reaper that may be about to exit: each run starts one of its own (reaper.go).
func pinLoopback() error {
	return errors.Join(
		os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", loopback),
		os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"),
	)
}

// connect returns a client of the Docker daemon; the caller closes it.
func connect(ctx context.Context) (*testcontainers.DockerClient, error) {
	if err := pinLoopback(); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	tclog.SetDefault(tclog.NewNoopLogger())
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("docker: %w: %w", ErrNoDocker, err)
	}
	if err := checkHost(os.Getenv("DOCKER_HOST"), docker.DaemonHost()); err != nil {
		docker.Close()
		return nil, fmt.Errorf("docker: %w", err)
	}
	version, err := docker.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		docker.Close()
		return nil, fmt.Errorf("docker: %w: %w", ErrNoDocker, err)
	}
	if err := checkAPI(version.APIVersion); err != nil {
		docker.Close()
		return nil, fmt.Errorf("docker: %w", err)
	}
	return docker, nil
}

// checkHost refuses another daemon than the one that the environment names. Subtle: testcontainers
// goes on to the next it knows when that one does not answer, and things would be made, and removed,
// on a machine that nobody meant.
func checkHost(wanted, got string) error {
	if wanted != "" && got != wanted {
		return fmt.Errorf("%w at DOCKER_HOST=%s, or tc.host in ~/.testcontainers.properties names another; "+
			"not using %s instead", ErrNoDocker, wanted, got)
	}
	return nil
}

// checkAPI refuses a daemon older than minimumAPI.
func checkAPI(version string) error {
	if olderAPI(version, minimumAPI) {
		return &APIError{Got: version, Want: minimumAPI}
	}
	return nil
}

// olderAPI compares versions such as "1.41"; one that cannot be read is old.
func olderAPI(version, than string) bool {
	parse := func(v string) int {
		major, minor, _ := strings.Cut(v, ".")
		a, errA := strconv.Atoi(major)
		b, errB := strconv.Atoi(minor)
		if errA != nil || errB != nil {
			return -1
		}
		return a*1000 + b
	}
	return parse(version) < parse(than)
}
