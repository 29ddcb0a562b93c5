package cmd

import (
	"squall/scenarios"

	"github.com/spf13/cobra"
)

func newRecoverCommand(s *streams) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "recover",
		Short: "Undo whatever a killed run left behind; safe to repeat",
		Long: `Recover removes every container, network and volume of runs whose process is gone, verifies that
no fault of theirs is still open, and says what it did. Runs that are being played, and systems
that were kept on purpose, are left alone.`,
		Example: `  squall recover
  squall recover --out /var/tmp/results`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withCode(5, scenarios.Recover(c.Context(), out, s.Out))
		},
	}
	c.Flags().StringVar(&out, "out", "results", "the results folder of the killed run, for its journal")
	return c
}
