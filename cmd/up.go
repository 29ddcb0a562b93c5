package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"squall/scenarios"
	"squall/target"
	"time"

	"github.com/spf13/cobra"
)

type upOptions struct {
	runID  string
	binary string
	spec   target.Spec
	stream *streams
}

func newUpCommand(s *streams) *cobra.Command {
	opts := &upOptions{stream: s}
	c := &cobra.Command{
		Use:   "up [scenario]",
		Short: "Start the target alone and keep it; `squall down` removes it",
		Long: `Up starts the target of a scenario, or with every default, prints the address of each node and
of the balancer, and leaves it running.`,
		Example: `  squall up
  squall up controls/async-replication
  squall up --failover stock --health-checks off`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				sc, err := scenarios.Load(args[0])
				if err != nil {
					return withCode(2, err)
				}
				opts.spec = withFlags(sc.Target, opts.spec)
			}
			return startTarget(c.Context(), opts)
		},
	}
	f := c.Flags()
	f.StringVar(&opts.runID, "run-id", "up-"+time.Now().UTC().Format("20060102-150405"),
		"label of everything that is started")
	f.StringVar(&opts.binary, "binary", "", "static Linux squall for the images (default: this program)")
	f.StringVar(&opts.spec.Failover, "failover", "", "Patroni's timers: lab or stock (default lab)")
	f.StringVar(&opts.spec.Replication, "replication", "", "quorum or async (default quorum)")
	f.StringVar(&opts.spec.HealthChecks, "health-checks", "", "on or off (default on)")
	return c
}

// withFlags is the scenario's target with what the command line says otherwise.
func withFlags(spec, flags target.Spec) target.Spec {
	spec.Failover = cmp.Or(flags.Failover, spec.Failover)
	spec.Replication = cmp.Or(flags.Replication, spec.Replication)
	spec.HealthChecks = cmp.Or(flags.HealthChecks, spec.HealthChecks)
	return spec
}

// startTarget starts the system and prints its addresses. A system that did not come up is removed.
//
// The lock tells `squall recover` a start that was killed from a system that was kept.
func startTarget(ctx context.Context, opts *upOptions) (err error) {
	lock, err := target.LockRun(opts.runID)
	if err != nil {
		return withCode(5, err)
	}
	defer func() { err = errors.Join(err, withCode(5, lock.Release())) }()
	progress := printSteps(opts.stream.Err)
	images, err := target.EnsureImages(ctx, target.ImageOptions{Binary: opts.binary, Progress: progress})
	if err != nil {
		return withCode(5, err)
	}
	began := time.Now()
	system, err := target.Up(ctx, opts.spec, target.Options{
		RunID: opts.runID, Images: images, Progress: progress,
		Log: slog.New(slog.NewTextHandler(opts.stream.Err, nil)),
	})
	if err != nil {
		if system != nil {
			if downErr := system.Down(ctx); downErr != nil {
				err = fmt.Errorf("%w; and then: %w", err, downErr)
			}
		}
		return withCode(5, err)
	}
	took := time.Since(began).Round(100 * time.Millisecond)
	fmt.Fprintf(opts.stream.Out, "ready in %s as run %s\n", took, system.RunID())
	for _, n := range system.Nodes() {
		fmt.Fprintf(opts.stream.Out, "%-20s zone %s", n.Name, n.Zone)
		for _, service := range slices.Sorted(maps.Keys(n.Endpoints)) {
			fmt.Fprintf(opts.stream.Out, "  %s %s", service, n.Endpoints[service])
		}
		fmt.Fprintln(opts.stream.Out)
	}
	fmt.Fprintln(opts.stream.Out, system.BaseURL())
	return nil
}
