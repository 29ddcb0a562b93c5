package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"squall/reports"
	"squall/reports/verdict"
	"squall/scenarios"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type runOptions struct {
	seed    uint64
	out     string
	set     []string
	keep    bool
	repeat  int
	binary  string
	verbose bool
}

func newRunCommand(s *streams) *cobra.Command {
	var opts runOptions
	c := &cobra.Command{
		Use:   "run <scenario>",
		Short: "Start the system, load it, break it, judge it, and write a report",
		Long: `Run plays a scenario from nothing to its verdict: it starts the system in containers, drives
the load, injects the faults, reads the whole ledger back, judges the objectives, writes the
result folder and removes everything. The last line of stdout is the result folder.

Exit codes: 0 met; 1 missed; 2 usage or invalid scenario; 3 invalid run (the generator or the host
was not trustworthy); 4 inconclusive; 5 environment; 130/143 interrupted, undone, partial report.`,
		Example: `  squall run quarterly-peak
  squall run ./my-scenario.yaml --seed 7 --set load.profile.peak=400000/h
  squall run database-failover --repeat 5      # a distribution of failover times`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return runScenario(c.Context(), s, args[0], opts)
		},
	}
	f := c.Flags()
	f.Uint64Var(&opts.seed, "seed", 0, "repeat a plan: same schedule, ids, bodies and targets (default: the scenario's)")
	f.StringVar(&opts.out, "out", "results", "folder that gets <scenario>/<time>-<seed>/")
	f.StringArrayVar(&opts.set, "set", nil, "override a value of the scenario, `path=value`; repeatable")
	f.BoolVar(&opts.keep, "keep", false, "leave the system running (remove it with squall down)")
	f.IntVar(&opts.repeat, "repeat", 1, "run it this many times, with seeds counting up; worst exit code wins")
	f.StringVar(&opts.binary, "binary", "", "squall binary for the images (default: this one)")
	f.BoolVarP(&opts.verbose, "verbose", "v", false, "log every detail to stderr")
	return c
}

func runScenario(ctx context.Context, s *streams, name string, opts runOptions) error {
	sc, err := scenarios.Load(name, scenarios.WithSet(opts.set))
	if err != nil {
		return withCode(2, err)
	}
	if opts.repeat < 1 || opts.repeat > 100 {
		return fmt.Errorf("--repeat: want 1 to 100, got %d", opts.repeat)
	}
	if opts.seed == 0 {
		opts.seed = sc.Seed
	}
	var runs []reports.Run
	worst := 0
	for i := range opts.repeat {
		seed := opts.seed + uint64(i)
		run, code, err := runOnce(ctx, s, name, sc, seed, opts)
		if err != nil {
			return err
		}
		runs = append(runs, run)
		worst = verdict.WorstCode(worst, code)
		if ctx.Err() != nil {
			break
		}
	}
	if opts.repeat > 1 {
		_ = reports.Repeats(s.Out, runs)
	}
	if ctx.Err() != nil {
		return withCode(scenarios.InterruptCode(ctx), errInterrupted)
	}
	return withCode(worst, silent(worst))
}

// runOnce plays the scenario once and prints its verdict and, last, its folder.
func runOnce(ctx context.Context, s *streams, name string, sc scenarios.Scenario, seed uint64,
	opts runOptions,
) (run reports.Run, code int, err error) {
	live := reports.NewLive(s.Err, isTerminal(s.Err), sc.Load.Profile.For, sc.Load.WarmUp)
	defer live.Close()
	fmt.Fprintf(s.Err, "squall %s, seed %d: %s\n", reports.Visible(sc.Name), seed, reports.Visible(sc.Question))
	dir, run, err := scenarios.Run(ctx, sc, scenarios.RunOptions{
		Seed: seed, Out: opts.out, Binary: opts.binary, Keep: opts.keep,
		Command: repeatCommand(name, seed, opts), Version: version(), Progress: live,
		Log: newLogger(s, opts.logLevel()),
	})
	live.Close()
	var setup *scenarios.SetupError
	switch {
	case errors.As(err, &setup) && ctx.Err() != nil:
		return run, 0, withCode(scenarios.InterruptCode(ctx), fmt.Errorf("%w while starting; everything removed", errInterrupted))
	case err != nil:
		return run, 0, withCode(5, err)
	}
	_ = reports.Terminal(s.Out, reports.New(run), isTerminal(s.Out))
	if opts.keep {
		fmt.Fprintln(s.Err, "the system keeps running; `squall down` removes it")
	}
	fmt.Fprintln(s.Out, dir)
	return run, run.Verdict.ExitCode, nil
}

// repeatCommand is what a reader of the report types to run the same plan again.
func repeatCommand(name string, seed uint64, opts runOptions) string {
	words := []string{"squall", "run", name, "--seed", strconv.FormatUint(seed, 10)}
	for _, set := range opts.set {
		words = append(words, "--set", "'"+set+"'")
	}
	return strings.Join(words, " ")
}

func (o runOptions) logLevel() slog.Level {
	if o.verbose {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func newLogger(s *streams, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: level}))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// version is the commit that the program was built from, or its module's version.
func version() string {
	program, err := os.Executable()
	if err != nil {
		return "unknown"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(info, program+".version")
}

// versionOf takes the commit from the program, or from the file that make writes beside it
// (DESIGN.md, decision 50). A commit whose checkout had changes says so.
func versionOf(info *debug.BuildInfo, beside string) string {
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		commit = commit[:min(12, len(commit))]
		if settings["vcs.modified"] == "true" {
			commit += "-dirty"
		}
		return commit
	}
	if text, err := os.ReadFile(beside); err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return strings.TrimSpace(string(text))
	}
	return info.Main.Version
}
