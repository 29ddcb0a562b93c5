package cmd

import (
	"log/slog"
	"squall/target"

	"github.com/spf13/cobra"
)

// newReaperCommand removes a run once its harness is gone; the harness starts it in a container,
// nobody types it.
func newReaperCommand(s *streams) *cobra.Command {
	var opts target.ReapOptions
	c := &cobra.Command{
		Use:    "reaper --run ID",
		Short:  "Remove everything of a run once nobody is connected any more",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withCode(5, target.Reap(c.Context(), opts, slog.New(slog.NewTextHandler(s.Err, nil))))
		},
	}
	c.Flags().StringVar(&opts.RunID, "run", "", "the only run it may remove")
	c.Flags().StringVar(&opts.Listen, "listen", "", "address to listen on (default :8080)")
	c.Flags().DurationVar(&opts.First, "first", 0, "how long to wait for the first client (default 1m)")
	c.Flags().DurationVar(&opts.Grace, "grace", 0, "how long to wait after the last client (default 1s)")
	return c
}
