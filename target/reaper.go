package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

const (
	reaperPort = 8080
	// reaperWord is what the reaper says to each client: it is there.
	reaperWord = "ACK\n"
	// clientWord is the client's answer: it has heard that. From then on the reaper counts it, and
	// only what was counted can go.
	clientWord = "HERE\n"
	// dialReaperWithin bounds the wait for the reaper's word; it is shorter than the reaper's own wait
	// for its first client.
	dialReaperWithin = 30 * time.Second
	dockerSock       = "/var/run/docker.sock"
)

// ReapOptions says whose things a reaper removes and when; the zero durations are usable.
type ReapOptions struct {
	RunID  string        // the only run that this reaper can remove; required
	Listen string        // address, default ":8080"
	First  time.Duration // how long it waits for its first client, default 1m
	Grace  time.Duration // how long after its last confirmed client is gone, default 1s
}

// Reap removes everything of one run once nobody is connected any more, and returns. It is the
// guard that outlives a killed harness: the harness holds a connection as long as it lives, and the
// kernel closes it whatever way the harness ends. Cancelling ctx ends it without a removal.
//
// It resembles testcontainers' reaper, but it takes its filter from its own command line: nobody
// who reaches its port can make it remove another run's things.
func Reap(ctx context.Context, opts ReapOptions, log *slog.Logger) error {
	if !runIDPattern.MatchString(opts.RunID) {
		return fmt.Errorf("reaper: run id %q is not one", opts.RunID)
	}
	if opts.Listen == "" {
		opts.Listen = ":" + strconv.Itoa(reaperPort)
	}
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	defer docker.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opts.Listen)
	if err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	if err := awaitAlone(ctx, listener, opts); err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	log.Info("nobody is connected, removing the run", slog.String("run", opts.RunID))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	// Docker names a container's host after the first twelve digits of its id: spare ourselves.
	self, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	removed, err := removeRun(ctx, docker, opts.RunID, self)
	log.Info("removed", slog.Int("count", len(removed)))
	if err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	return nil
}

// awaitAlone returns once no confirmed client has been connected for the grace, or none ever came.
// It owns the listener.
func awaitAlone(ctx context.Context, listener net.Listener, opts ReapOptions) error {
	first, grace := opts.First, opts.Grace
	if first == 0 {
		first = time.Minute
	}
	if grace == 0 {
		grace = time.Second
	}
	changes := make(chan int)
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer listener.Close()
	defer close(done)
	wg.Go(func() { acceptAll(listener, &wg, changes, done) })
	clients := 0
	alone := time.NewTimer(first)
	defer alone.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-alone.C:
			return nil
		case change := <-changes:
			clients += change
			if clients > 0 {
				alone.Stop()
			} else {
				alone.Reset(grace)
			}
		}
	}
}

// acceptAll serves clients until the listener is closed; it tells of each that comes and goes.
func acceptAll(listener net.Listener, wg *sync.WaitGroup, changes chan<- int, done <-chan struct{}) {
	tell := func(change int) {
		select {
		case changes <- change:
		case <-done:
		}
	}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		wg.Go(func() {
			// The end of the harness closes the connection; closing done ends it from this side.
			stop := make(chan struct{})
			defer close(stop)
			wg.Go(func() {
				select {
				case <-done:
				case <-stop:
				}
				conn.Close()
			})
			if confirmed(conn) {
				tell(+1)
				defer tell(-1)
				_, _ = io.Copy(io.Discard, conn) // it ends with the connection, whatever the error
			}
		})
	}
}

// confirmed greets a client and waits until it has answered.
//
// Subtle: a client that gave up before it was greeted, or a proxy that looked whether somebody
// listens, was never there. If its going started the grace, a harness that connects again a moment
// too late would lose its living run.
func confirmed(conn net.Conn) bool {
	if _, err := io.WriteString(conn, reaperWord); err != nil {
		return false
	}
	answer := make([]byte, len(clientWord))
	_, err := io.ReadFull(conn, answer)
	return err == nil && string(answer) == clientWord
}

// startReaper starts the run's reaper and connects to it, before anything else exists.
func (s *System) startReaper(ctx context.Context) error {
	for try := 1; ; try++ {
		err := s.startReaperOnce(ctx)
		if err == nil || !portTaken(err) || try == launchTries {
			return err
		}
		if _, err := removeRun(ctx, s.docker.Client, s.runID, ""); err != nil {
			return err
		}
	}
}

func (s *System) startReaperOnce(ctx context.Context) error {
	port, err := s.ports.next(ctx)
	if err != nil {
		return err
	}
	inside := strconv.Itoa(reaperPort) + "/tcp"
	_, err = testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Started: true,
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        s.images.Squall,
			Name:         s.containerName("reaper"),
			Cmd:          []string{"reaper", "--run", s.runID},
			Env:          map[string]string{"DOCKER_HOST": "unix://" + dockerSock},
			Labels:       map[string]string{labelRun: s.runID, labelNode: "reaper"},
			ExposedPorts: []string{inside},
			HostConfigModifier: func(h *container.HostConfig) {
				h.AutoRemove = true
				h.Binds = []string{socketPath(s.docker.DaemonHost()) + ":" + dockerSock}
				h.PortBindings = network.PortMap{network.MustParsePort(inside): []network.PortBinding{
					{HostIP: netip.MustParseAddr(loopback), HostPort: strconv.Itoa(port)},
				}}
			},
		},
	})
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	conn, err := dialReaper(ctx, address)
	if err != nil {
		return err
	}
	s.reaper = holdReaper(ctx, conn, address, s.log, reconnectWithin)
	return nil
}

// dialReaper connects, waits for the reaper's word and answers it. Docker's proxy accepts connections
// before the reaper does, and drops them; that is why it tries again. Silence is no reason: a reaper
// that is slow to greet will, and a connection given up is one more to come too late.
func dialReaper(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialReaperWithin)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			if err = greet(ctx, conn); err == nil {
				return conn, nil
			}
			conn.Close()
		}
		if waitErr := pause(ctx, 50*time.Millisecond); waitErr != nil {
			return nil, fmt.Errorf("connect to %s: %w", address, errors.Join(err, waitErr))
		}
	}
}

// greet hears the reaper's word and answers it, for as long as ctx lasts.
func greet(ctx context.Context, conn net.Conn) error {
	// A deadline in the past ends what is waiting; the connection is closed then.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	word := make([]byte, len(reaperWord))
	if _, err := io.ReadFull(conn, word); err != nil {
		return err
	}
	if string(word) != reaperWord {
		return fmt.Errorf("the reaper said %q, want %q", word, reaperWord)
	}
	if _, err := io.WriteString(conn, clientWord); err != nil {
		return err
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return nil
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// socketPath is where the daemon's socket lies on its host. A daemon reached in another way is
// asked through the usual place.
func socketPath(host string) string {
	if path, found := strings.CutPrefix(host, "unix://"); found {
		return path
	}
	return dockerSock
}
