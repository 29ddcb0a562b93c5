package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// launchTries bounds how often a node is started again on other ports.
const launchTries = 4

// launch starts one node and returns it. When a port was taken between its choice and the start,
// it tries again on others.
func (s *System) launch(ctx context.Context, p nodePlan) (Node, error) {
	for try := 1; ; try++ {
		node, err := s.launchOnce(ctx, p)
		if err == nil {
			return node, nil
		}
		if !portTaken(err) || try == launchTries {
			return node, fmt.Errorf("start %s: %w", p.name, err)
		}
		if node.ContainerID == "" {
			continue
		}
		_, err = s.docker.ContainerRemove(ctx, node.ContainerID, client.ContainerRemoveOptions{Force: true})
		if err != nil {
			return node, fmt.Errorf("start %s: a port was taken: %w", p.name, err)
		}
	}
}

func (s *System) launchOnce(ctx context.Context, p nodePlan) (Node, error) {
	node := Node{Name: p.name, Role: p.role, Zone: p.zone, Image: p.image, Endpoints: make(map[string]string)}
	bindings := make(network.PortMap)
	var exposed []string
	for _, service := range sortedKeys(p.ports) {
		port, err := s.ports.next(ctx)
		if err != nil {
			return node, err
		}
		inside := strconv.Itoa(p.ports[service]) + "/tcp"
		exposed = append(exposed, inside)
		bindings[network.MustParsePort(inside)] = []network.PortBinding{
			{HostIP: netip.MustParseAddr(loopback), HostPort: strconv.Itoa(port)},
		}
		node.Endpoints[service] = net.JoinHostPort(loopback, strconv.Itoa(port))
	}
	request := testcontainers.ContainerRequest{
		Image:          p.image,
		Name:           s.containerName(p.name),
		Cmd:            p.cmd,
		Env:            p.env,
		Labels:         s.labels(p.name, p.role, p.zone),
		ExposedPorts:   exposed,
		Networks:       []string{s.network},
		NetworkAliases: map[string][]string{s.network: {p.name, string(p.role)}},
		Files:          containerFiles(p.files),
		ConfigModifier: func(c *container.Config) { c.Hostname = p.name },
		HostConfigModifier: func(h *container.HostConfig) {
			h.PortBindings = bindings
			h.Mounts = s.mounts(p)
			h.ShmSize = 128 << 20
			limit(&h.Resources, p.limits)
		},
	}
	started, err := testcontainers.GenericContainer(ctx,
		testcontainers.GenericContainerRequest{Started: true, ContainerRequest: request})
	if started != nil {
		node.ContainerID = started.GetContainerID()
	}
	if err != nil {
		return node, err
	}
	node.Addr, err = s.address(ctx, node.ContainerID)
	return node, err
}

// limit sets the resource limits of a node. Swap is no way around the memory limit.
func limit(r *container.Resources, n NodeSpec) {
	if n.CPU > 0 {
		r.NanoCPUs = int64(n.CPU * 1e9)
	}
	if n.Memory > 0 {
		r.Memory, r.MemorySwap = int64(n.Memory), int64(n.Memory)
	}
}

// mounts gives the node its volume. Data never lies on the container's own layer: with
// fuse-overlayfs each of its writes would go through a second process.
func (s *System) mounts(p nodePlan) []mount.Mount {
	if p.volume == "" {
		return nil
	}
	return []mount.Mount{{
		Type:          mount.TypeVolume,
		Source:        s.containerName(p.name),
		Target:        p.volume,
		VolumeOptions: &mount.VolumeOptions{Labels: s.labels(p.name, p.role, p.zone)},
	}}
}

func containerFiles(files map[string]string) []testcontainers.ContainerFile {
	list := make([]testcontainers.ContainerFile, 0, len(files))
	for _, path := range sortedKeys(files) {
		list = append(list, testcontainers.ContainerFile{
			Reader: strings.NewReader(files[path]), ContainerFilePath: path, FileMode: 0o644,
		})
	}
	return list
}

// containerName is a node's name for Docker, where several runs live side by side.
func (s *System) containerName(node string) string { return "squall-" + s.runID + "-" + node }

func (s *System) labels(name string, role Role, zone string) map[string]string {
	return map[string]string{labelRun: s.runID, labelNode: name, labelRole: string(role), labelZone: zone}
}

// address returns the container's address on the run's network.
func (s *System) address(ctx context.Context, id string) (netip.Addr, error) {
	inspected, err := s.docker.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return netip.Addr{}, err
	}
	settings := inspected.Container.NetworkSettings
	if settings == nil || settings.Networks[s.network] == nil {
		return netip.Addr{}, errors.New("not on the run's network")
	}
	return settings.Networks[s.network].IPAddress, nil
}
