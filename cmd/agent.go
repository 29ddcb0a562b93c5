package cmd

import (
	"fmt"
	"io"
	"squall/chaos/agent"

	"github.com/spf13/cobra"
)

// exitAgent is the exit code of what the machine could not do (DESIGN.md, Command line).
const exitAgent = 5

// newAgentCommand is the sidecar that breaks a node's network; the harness starts it, nobody types
// it.
func newAgentCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:    "agent",
		Short:  "Break and mend the network namespace it runs in, as the harness asks on stdin",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, closes := s.In.(io.ReadCloser)
			if !closes {
				in = io.NopCloser(s.In)
			}
			if err := agent.Serve(c.Context(), in, s.Out, agent.NewKernel(), agent.TTL); err != nil {
				return withCode(exitAgent, fmt.Errorf("agent: %w", err))
			}
			return nil
		},
	}
}
