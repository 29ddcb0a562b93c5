package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Sidecar starts squall with the given arguments in the network namespace of the node, with no
// capabilities but the given ones, on a read-only file system. Its standard input and output are
// the Sidecar's; its standard error is in its container's log. It is attached before it starts, so
// that no output is missed. Name must be unique among the node's sidecars.
func (s *System) Sidecar(
	ctx context.Context, n Node, name string, args, capabilities []string,
) (*Sidecar, error) {
	full := n.Name + "-" + name
	created, err := s.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: s.containerName(full),
		Config: &container.Config{
			Image: s.images.Squall, Cmd: args,
			Labels:    map[string]string{labelRun: s.runID, labelNode: full},
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &container.HostConfig{
			NetworkMode:    container.NetworkMode("container:" + n.ContainerID),
			CapDrop:        []string{"ALL"},
			CapAdd:         capabilities,
			ReadonlyRootfs: true,
			SecurityOpt:    []string{"no-new-privileges"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("sidecar %s: create: %w", full, err)
	}
	sidecar, err := s.attach(ctx, created.ID)
	if err != nil {
		err = fmt.Errorf("sidecar %s: %w", full, err)
		return nil, errors.Join(err, s.removeSidecar(context.WithoutCancel(ctx), created.ID))
	}
	return sidecar, nil
}

// attach connects to the container's streams and starts it.
func (s *System) attach(ctx context.Context, id string) (*Sidecar, error) {
	// Subtle: the connection must outlive ctx, which bounds only the start.
	attached, err := s.docker.ContainerAttach(context.WithoutCancel(ctx), id,
		client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if _, err := s.docker.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		attached.Close()
		return nil, fmt.Errorf("start: %w", err)
	}
	reader, writer := io.Pipe()
	var demux sync.WaitGroup
	demux.Go(func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, attached.Reader)
		writer.CloseWithError(err) // nil is io.EOF for the reader
	})
	shut := sync.OnceValue(func() error {
		err := s.removeSidecar(context.WithoutCancel(ctx), id)
		attached.Close()
		reader.Close()
		demux.Wait()
		return err
	})
	return &Sidecar{Stdin: &attachedStdin{attached.HijackedResponse}, Stdout: reader, Close: shut}, nil
}

// removeSidecar kills and removes a sidecar; one that is gone already is what is wanted.
func (s *System) removeSidecar(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err := s.docker.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("remove sidecar: %w", err)
	}
	return nil
}

// attachedStdin is the writing half of an attached container; closing it is the process's end of
// input, its output stays readable.
type attachedStdin struct{ conn client.HijackedResponse }

func (a *attachedStdin) Write(p []byte) (int, error) { return a.conn.Conn.Write(p) }
func (a *attachedStdin) Close() error                { return a.conn.CloseWrite() }
