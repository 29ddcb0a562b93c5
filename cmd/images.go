package cmd

import (
	"fmt"
	"io"
	"squall/target"
	"time"

	"github.com/spf13/cobra"
)

func newImagesCommand(s *streams) *cobra.Command {
	var opts target.ImageOptions
	c := &cobra.Command{
		Use:   "images",
		Short: "Build the images a system is started from, and print their names",
		Long: "Build what is missing of the images a system is started from, and print their names.\n" +
			"Nothing but the Debian base image is ever pulled; without a registry that one is made\n" +
			"from Debian's package mirror. `squall up` and `squall run` do this themselves.",
		Example: "  squall images\n  squall images --binary bin/squall",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			opts.Progress = printSteps(s.Err)
			images, err := target.EnsureImages(c.Context(), opts)
			if err != nil {
				return withCode(5, err)
			}
			for _, name := range []string{"postgres", "haproxy", "etcd", "nats", "squall"} {
				fmt.Fprintf(s.Out, "%-9s %s\n", name, images.All()[name])
			}
			return nil
		},
	}
	c.Flags().StringVar(&opts.Binary, "binary", "",
		"static Linux squall that goes into the squall image (default: this program)")
	return c
}

// printSteps returns a reporter that writes one line a step.
func printSteps(w io.Writer) func(target.Step) {
	return func(s target.Step) {
		switch {
		case !s.Done:
			fmt.Fprintf(w, "  ... %-22s %s\n", s.Name, s.Text)
		case s.Took > 0:
			fmt.Fprintf(w, "  ok  %-22s %s in %s\n", s.Name, s.Text, s.Took.Round(100*time.Millisecond))
		default:
			fmt.Fprintf(w, "  ok  %-22s %s\n", s.Name, s.Text)
		}
	}
}
