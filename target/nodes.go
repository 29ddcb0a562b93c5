package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Kill ends the node's processes with SIGKILL and returns once it is not running. The container
// stays, and Start brings it back with its data.
func (s *System) Kill(ctx context.Context, n Node) error {
	_, err := s.docker.ContainerKill(ctx, n.ContainerID, client.ContainerKillOptions{Signal: "SIGKILL"})
	if err != nil {
		return fmt.Errorf("kill %s: %w", n.Name, err)
	}
	for {
		running, _, err := s.Running(ctx, n)
		if err != nil {
			return fmt.Errorf("kill %s: %w", n.Name, err)
		}
		if !running {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("kill %s: still running: %w", n.Name, err)
		}
	}
}

// Start starts a node that is not running; its ports stay, its Addr may change and is read again.
// Starting a running node is no error.
func (s *System) Start(ctx context.Context, n Node) error {
	if _, err := s.docker.ContainerStart(ctx, n.ContainerID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	addr, err := s.address(ctx, n.ContainerID)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	if now, ok := s.Node(n.Name); ok {
		now.Addr = addr
		s.setNode(now)
	}
	return nil
}

// Running says whether the node's main process runs (a paused one does), and its exit code when
// it does not.
func (s *System) Running(ctx context.Context, n Node) (running bool, exitCode int, err error) {
	state, err := s.state(ctx, n)
	if err != nil {
		return false, 0, err
	}
	return state.Running, state.ExitCode, nil
}

func (s *System) state(ctx context.Context, n Node) (*container.State, error) {
	inspected, err := s.docker.ContainerInspect(ctx, n.ContainerID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", n.Name, err)
	}
	if inspected.Container.State == nil {
		return nil, fmt.Errorf("inspect %s: no state", n.Name)
	}
	return inspected.Container.State, nil
}

// WaitHealthy returns once the node does its work: an EcoTrack node is ready; a database node is
// primary or streams, and the cluster is back at full redundancy; HAProxy sees its servers; etcd
// and NATS have a quorum. When ctx ends first, the error says what was still missing.
func (s *System) WaitHealthy(ctx context.Context, n Node) error {
	for {
		missing := s.checkNode(ctx, n)
		if missing == nil {
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not healthy: %w: %w", n.Name, s.lastReason(ctx, n, missing), err)
		}
	}
}

// lastReason asks once more after a wait has ended: what the last check reported may only be that
// its context had ended.
func (s *System) lastReason(ctx context.Context, n Node, missing error) error {
	if !errors.Is(missing, context.Canceled) && !errors.Is(missing, context.DeadlineExceeded) {
		return missing
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if again := s.checkNode(ctx, n); again != nil {
		return again
	}
	return missing
}

// Logs returns the node's last lines, standard output and error together. A tail of zero or less
// means all of them.
func (s *System) Logs(ctx context.Context, n Node, tail int) (string, error) {
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "all"}
	if tail > 0 {
		options.Tail = strconv.Itoa(tail)
	}
	stream, err := s.docker.ContainerLogs(ctx, n.ContainerID, options)
	if err != nil {
		return "", fmt.Errorf("logs of %s: %w", n.Name, err)
	}
	defer stream.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, stream); err != nil {
		return "", fmt.Errorf("logs of %s: %w", n.Name, err)
	}
	return text.String(), nil
}
