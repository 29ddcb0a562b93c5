package target

// How a system comes up, and what to do with it:
//
//	images, err := target.EnsureImages(ctx, target.ImageOptions{})
//	sys, err := target.Up(ctx, target.Spec{}, target.Options{RunID: "r1", Images: images, Reap: true})
//	if sys != nil {                       // also after an error: a half-started system wants removal
//		defer sys.Down(context.WithoutCancel(ctx))
//	}
//	http.Get(sys.BaseURL() + "/readyz")   // load goes here, to 127.0.0.1
//	nodes, err := sys.Select(ctx, target.Selector{Role: target.RolePrimary}, rng)
//	err = sys.Kill(ctx, nodes[0])
//	err = sys.Start(ctx, nodes[0])
//	err = sys.WaitHealthy(ctx, nodes[0])

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Options says how a system is started.
type Options struct {
	RunID    string       // labels everything of the run: letters, digits, dot, dash, underscore; required
	Images   Images       // from EnsureImages; required
	Progress func(Step)   // called for each step, one at a time; may be nil
	Log      *slog.Logger // may be nil
	// Reap has a container of the run's own remove everything of the run, within about 10 s,
	// once this process is gone. Without it the system stays until Down or RemoveRun.
	Reap bool
}

var runIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Up starts the system and returns once every node is healthy, or with an error when one is not
// within spec.ReadyWithin: a *NotReadyError names the node and shows its last log lines. What was
// started is returned with the error, so that the caller can take it down.
func Up(ctx context.Context, spec Spec, opts Options) (*System, error) {
	spec = spec.WithDefaults()
	if err := checkUp(spec, opts); err != nil {
		return nil, fmt.Errorf("system up: %w", err)
	}
	plans, err := spec.plan(opts.Images)
	if err != nil {
		return nil, fmt.Errorf("system up: %w", err)
	}
	docker, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("system up: %w", err)
	}
	s := &System{
		runID: opts.RunID, spec: spec, images: opts.Images, docker: docker,
		log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)), report: serialProgress(opts.Progress),
		ports: newPorts(opts.RunID), network: "squall-" + opts.RunID,
		http: newLoopbackClient(),
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(spec.ReadyWithin))
	defer cancel()
	if opts.Reap {
		if err := s.startReaper(ctx); err != nil {
			return s, fmt.Errorf("system up: reaper: %w", err)
		}
	}
	if err := s.start(ctx, plans); err != nil {
		return s, fmt.Errorf("system up: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return s, fmt.Errorf("system up: %w", err)
	}
	return s, nil
}

// checkUp refuses what could only fail later and less clearly.
func checkUp(spec Spec, opts Options) error {
	var errs []error
	if !runIDPattern.MatchString(opts.RunID) {
		errs = append(errs, fmt.Errorf("run id %q: want letters, digits, dot, dash and underscore", opts.RunID))
	}
	images := opts.Images.All()
	for _, name := range sortedKeys(images) {
		if images[name] == "" {
			errs = append(errs, fmt.Errorf("image %s: not given, EnsureImages makes it", name))
		}
	}
	spec.Validate(func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	})
	return errors.Join(errs...)
}

// start makes the network and every node at once: the programs wait for each other.
func (s *System) start(ctx context.Context, plans []nodePlan) error {
	if err := s.makeNetwork(ctx); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	slots := make(chan struct{}, 6) // as many as the daemon starts faster than one by one
	for _, p := range plans {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			node, err := s.launch(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if node.ContainerID != "" {
				s.setNode(node)
			}
			if err != nil {
				errs = append(errs, err)
				return
			}
			s.log.Debug("node started", slog.String("node", p.name), slog.Duration("took", time.Since(began)))
		})
	}
	wg.Wait()
	if len(errs) > 1 { // they have the same cause nearly always, and one is enough to read
		return fmt.Errorf("%w (and %d nodes more)", errs[0], len(errs)-1)
	}
	return errors.Join(errs...)
}

func (s *System) makeNetwork(ctx context.Context) error {
	//nolint:staticcheck // network.New cannot set the name, and the name says whose it is
	_, err := testcontainers.GenericNetwork(ctx, testcontainers.GenericNetworkRequest{
		NetworkRequest: testcontainers.NetworkRequest{
			Name: s.network, Driver: "bridge", Labels: map[string]string{labelRun: s.runID},
		},
	})
	if err != nil {
		return err
	}
	inspected, err := s.docker.NetworkInspect(ctx, s.network, client.NetworkInspectOptions{})
	if err != nil {
		return err
	}
	for _, c := range inspected.Network.IPAM.Config {
		s.prefixes = append(s.prefixes, c.Subnet)
	}
	return nil
}

// newLoopbackClient returns a client that reaches nothing but the loopback.
func newLoopbackClient() *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			// A fresh connection each time: a pooled one into a paused container would lie.
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(address)
				if err != nil || !to.Addr().IsLoopback() {
					return nil, fmt.Errorf("dial %s: not a loopback address", address)
				}
				return dialer.DialContext(ctx, network, address)
			},
		},
	}
}

// setNode adds or replaces a node.
func (s *System) setNode(n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.nodes, func(have Node) bool { return have.Name == n.Name })
	if i >= 0 {
		s.nodes[i] = n
		return
	}
	s.nodes = append(s.nodes, n)
	slices.SortFunc(s.nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}
