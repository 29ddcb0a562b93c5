package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"squall/target/ecotrack/engine"
	"squall/target/ecotrack/factors"
	"squall/target/ecotrack/ledger"
	"squall/target/ecotrack/reporting"
	"squall/target/ecotrack/worker"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// ecotrackOptions is the configuration of a role, from the environment (target/ecotrack/README.md).
type ecotrackOptions struct {
	role, node, zone, listen             string
	database, readDatabase, queue        string
	queueReplicas, maxInFlight, maxConns int32
	workerLoops                          int32
	timeout, drain                       time.Duration
	log                                  *slog.Logger
}

func newEcotrackCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "ecotrack <role>",
		Short: "Run one role of EcoTrack, the reference target",
		Long: "Run one role of EcoTrack, the reference target, until SIGTERM. The configuration comes from\n" +
			"the environment; target/ecotrack/README.md lists the variables.",
		Example: "  ECOTRACK_DATABASE_URL=postgres://... ECOTRACK_QUEUE_URL=nats://... squall ecotrack engine\n" +
			"  ECOTRACK_READ_DATABASE_URL=postgres://... squall ecotrack reporting",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return withCode(2, errors.New("ecotrack: name a role: engine, worker or reporting"))
		},
	}
	roles := []struct {
		name, short string
		run         func(context.Context, ecotrackOptions) error
	}{
		{"engine", "Serve the HTTP API", runEngine},
		{"worker", "Take imports off the queue", runWorker},
		{"reporting", "Serve inventories from the read replica", runReporting},
	}
	for _, r := range roles {
		c.AddCommand(&cobra.Command{
			Use: r.name, Short: r.short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				opts, err := ecotrackFromEnv(r.name, os.Getenv, s)
				if err != nil {
					return withCode(2, err)
				}
				return withCode(5, r.run(c.Context(), opts))
			},
		})
	}
	return c
}

// ecotrackFromEnv reads the configuration of role and reports all mistakes at once.
func ecotrackFromEnv(role string, getenv func(string) string, s *streams) (ecotrackOptions, error) {
	var mistakes []error
	text := func(name, standard string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return standard
	}
	required := func(name string) string {
		v := getenv(name)
		if v == "" {
			mistakes = append(mistakes, fmt.Errorf("ecotrack %s: %s must be set", role, name))
		}
		return v
	}
	number := func(name, standard string) int32 {
		v, err := strconv.ParseInt(text(name, standard), 10, 32)
		if err != nil || v < 1 {
			mistakes = append(mistakes, fmt.Errorf("ecotrack %s: %s must be a number > 0, got %q",
				role, name, getenv(name)))
		}
		return int32(v)
	}
	o := ecotrackOptions{
		role: role, node: text("ECOTRACK_NODE", role), zone: getenv("ECOTRACK_ZONE"),
		listen:        text("ECOTRACK_LISTEN", ":8080"),
		queueReplicas: number("ECOTRACK_QUEUE_REPLICAS", "1"),
		maxInFlight:   number("ECOTRACK_MAX_IN_FLIGHT", "128"),
		maxConns:      number("ECOTRACK_MAX_CONNECTIONS", "12"),
		workerLoops:   number("ECOTRACK_WORKER_LOOPS", "2"),
	}
	if role == "reporting" {
		o.readDatabase = required("ECOTRACK_READ_DATABASE_URL")
	} else {
		o.database = required("ECOTRACK_DATABASE_URL")
		o.queue = required("ECOTRACK_QUEUE_URL")
	}
	duration := func(name, standard string) time.Duration {
		d, err := time.ParseDuration(text(name, standard))
		if err != nil || d <= 0 {
			mistakes = append(mistakes, fmt.Errorf("ecotrack %s: %s must be a duration > 0s, got %q",
				role, name, getenv(name)))
		}
		return d
	}
	o.timeout, o.drain = duration("ECOTRACK_TIMEOUT", "10s"), duration("ECOTRACK_DRAIN", "1s")
	var level slog.Level
	if err := level.UnmarshalText([]byte(text("ECOTRACK_LOG_LEVEL", "info"))); err != nil {
		mistakes = append(mistakes, fmt.Errorf("ecotrack %s: ECOTRACK_LOG_LEVEL: %w", role, err))
	}
	o.log = slog.New(slog.NewJSONHandler(s.Err, &slog.HandlerOptions{Level: level})).
		With(slog.String("node", o.node))
	return o, errors.Join(mistakes...)
}

func (o ecotrackOptions) ledger(ctx context.Context, url string, readOnly bool) (*ledger.Ledger, error) {
	return ledger.Open(ctx, url, ledger.Options{
		Node: o.node, MaxConns: o.maxConns,
		ReadOnly: readOnly, Log: o.log,
	})
}

func (o ecotrackOptions) openQueue() (*engine.Queue, error) {
	return engine.OpenQueue(o.queue, engine.QueueOptions{
		Name: o.node, Replicas: int(o.queueReplicas),
		Log: o.log,
	})
}

// service returns the HTTP side of a role with the metrics of its pool.
func (o ecotrackOptions) service(reg *prometheus.Registry, l *ledger.Ledger, ready func() error,
) *engine.Service {
	engine.RegisterPool(reg, l.Stat)
	return engine.NewService(engine.ServiceOptions{
		Role: o.role, Node: o.node, Zone: o.zone,
		MaxInFlight: int(o.maxInFlight), Timeout: o.timeout, Drain: o.drain, Ready: ready,
		Registry: reg, Log: o.log,
	})
}

func (o ecotrackOptions) serve(ctx context.Context, s *engine.Service) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("ecotrack %s: %w", o.role, err)
	}
	return s.Serve(ctx, ln)
}

func runEngine(ctx context.Context, o ecotrackOptions) error {
	catalogue, err := factors.Load()
	if err != nil {
		return err
	}
	// What a request in flight needs outlives the signal: it is closed after the service has drained.
	store, err := o.ledger(context.WithoutCancel(ctx), o.database, false)
	if err != nil {
		return err
	}
	defer store.Close()
	queue, err := o.openQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	s := o.service(prometheus.NewRegistry(), store, store.Ready)
	engine.New(catalogue, store, queue).Register(s)
	return o.serve(ctx, s)
}

func runWorker(ctx context.Context, o ecotrackOptions) error {
	catalogue, err := factors.Load()
	if err != nil {
		return err
	}
	store, err := o.ledger(context.WithoutCancel(ctx), o.database, false)
	if err != nil {
		return err
	}
	defer store.Close()
	queue, err := o.openQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	reg := prometheus.NewRegistry()
	s := o.service(reg, store, func() error { return errors.Join(store.Ready(), queue.Ready()) })
	w := worker.New(engine.NewCalculator(catalogue), store, worker.Options{Registry: reg, Log: o.log})
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, queue, int(o.workerLoops)) })
	err = o.serve(ctx, s)
	stop()
	wg.Wait()
	return err
}

func runReporting(ctx context.Context, o ecotrackOptions) error {
	store, err := o.ledger(context.WithoutCancel(ctx), o.readDatabase, true)
	if err != nil {
		return err
	}
	defer store.Close()
	s := o.service(prometheus.NewRegistry(), store, store.Ready)
	reporting.New(store).Register(s)
	return o.serve(ctx, s)
}
