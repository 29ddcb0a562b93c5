package target

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Containers undoes faults by container, for a harness that only has the journal of a killed one.
type Containers struct{ docker *testcontainers.DockerClient }

// OpenContainers connects to the Docker daemon. The caller must Close it.
func OpenContainers(ctx context.Context) (*Containers, error) {
	docker, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Containers{docker}, nil
}

// Close ends the connection.
func (c *Containers) Close() error { return c.docker.Close() }

// Inspect says whether a container still exists and runs.
func (c *Containers) Inspect(ctx context.Context, id string) (exists, running bool, err error) {
	found, err := c.docker.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("inspect %.12s: %w", id, err)
	}
	return true, found.Container.State.Running, nil
}

// Start starts a container that does not run.
func (c *Containers) Start(ctx context.Context, id string) error {
	_, err := c.docker.ContainerStart(ctx, id, client.ContainerStartOptions{})
	return err
}

// RemoveSidecars removes the containers of ours in the container's network namespace.
func (c *Containers) RemoveSidecars(ctx context.Context, id string) error {
	sidecars, err := c.sidecars(ctx, id)
	if err != nil {
		return err
	}
	for _, s := range sidecars {
		_, err := c.docker.ContainerRemove(ctx, s.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove sidecar %.12s: %w", s.ID, err)
		}
	}
	return nil
}

// Sidecars counts the containers of ours in the container's network namespace.
func (c *Containers) Sidecars(ctx context.Context, id string) (int, error) {
	sidecars, err := c.sidecars(ctx, id)
	return len(sidecars), err
}

func (c *Containers) sidecars(ctx context.Context, id string) ([]container.Summary, error) {
	ours := make(client.Filters).Add("label", labelRun)
	list, err := c.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list sidecars: %w", err)
	}
	var found []container.Summary
	for _, s := range list.Items {
		if s.HostConfig.NetworkMode == "container:"+id {
			found = append(found, s)
		}
	}
	return found, nil
}

// DaemonVersion is the version of the Docker daemon, such as "20.10.24".
func DaemonVersion(ctx context.Context) (string, error) {
	docker, err := connect(ctx)
	if err != nil {
		return "", err
	}
	defer docker.Close()
	version, err := docker.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", fmt.Errorf("docker: %w", err)
	}
	return version.Version, nil
}
