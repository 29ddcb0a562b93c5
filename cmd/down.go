package cmd

import (
	"fmt"
	"squall/target"

	"github.com/spf13/cobra"
)

func newDownCommand(s *streams) *cobra.Command {
	var runID string
	c := &cobra.Command{
		Use:     "down",
		Short:   "Remove every container, network and volume that Squall started",
		Example: "  squall down\n  squall down --run-id up-20261123-150405",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			removed, err := target.RemoveRun(c.Context(), runID)
			for _, what := range removed {
				fmt.Fprintln(s.Out, "removed", what)
			}
			if err == nil && len(removed) == 0 {
				fmt.Fprintln(s.Out, "nothing to remove")
			}
			return withCode(5, err)
		},
	}
	c.Flags().StringVar(&runID, "run-id", "", "only this run (default: every run)")
	return c
}
