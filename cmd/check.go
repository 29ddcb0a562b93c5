package cmd

import (
	"errors"
	"fmt"
	"squall/scenarios"

	"github.com/spf13/cobra"
)

type checkOptions struct {
	files []string
	set   []string
}

func newCheckCommand(s *streams) *cobra.Command {
	var opts checkOptions
	c := &cobra.Command{
		Use:   "check <file>... [--set path=value]...",
		Short: "Check scenario files; report every mistake with file, line and column",
		Long: "Check scenario files without running anything. Every mistake of every file is reported\n" +
			"at once as file:line:column: field: what to do. The exit code is 2 when there is one.",
		Example: "  squall check my-scenario.yaml\n" +
			"  squall check quarterly-peak --set load.profile.for=30s",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			opts.files = args
			return checkScenarios(s, opts)
		},
	}
	c.Flags().StringArrayVar(&opts.set, "set", nil,
		"override a field, such as load.profile.for=30s (repeatable)")
	return c
}

func checkScenarios(s *streams, opts checkOptions) error {
	mistakes := 0
	for _, name := range opts.files {
		sc, err := scenarios.Load(name, scenarios.WithSet(opts.set))
		if err == nil {
			fmt.Fprintf(s.Out, "%s: ok: %d classes, %d faults, %d objectives\n", sc.File,
				len(sc.Load.Mix), len(sc.Faults), len(sc.Objectives))
			continue
		}
		if invalid, ok := errors.AsType[*scenarios.InvalidError](err); ok {
			mistakes += len(invalid.Problems)
		} else {
			mistakes++
		}
		fmt.Fprintln(s.Err, err)
	}
	switch mistakes {
	case 0:
		return nil
	case 1:
		return errors.New("check: 1 mistake")
	}
	return fmt.Errorf("check: %d mistakes", mistakes)
}
