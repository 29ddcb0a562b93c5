package cmd

import (
	"errors"
	"fmt"
	"squall/target"

	"github.com/spf13/cobra"
)

func newDoctorCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do: Docker, kernel, images, limits",
		Long: "Say what this machine can do: Docker, kernel, images, limits. It changes nothing.\n" +
			"Exit code 5 when something is missing without which no run works.",
		Example: "  squall doctor",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			missing := 0
			for _, f := range target.Examine(c.Context()) {
				fmt.Fprintf(s.Out, "%-8s %-15s %s\n", f.Level, f.Name, f.Text)
				if f.Level == target.LevelMissing {
					missing++
				}
			}
			if missing > 0 {
				return withCode(5, errors.New("something is missing without which no run works"))
			}
			return nil
		},
	}
}
