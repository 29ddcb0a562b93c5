package cmd

import (
	"encoding/json"
	"fmt"
	"squall/scenarios"

	"github.com/spf13/cobra"
)

func newListCommand(s *streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [--json]",
		Short: "List the shipped scenarios and the question that each asks",
		Long: "List the shipped scenarios and the question that each asks. Those under controls/ are\n" +
			"broken on purpose and must come out missed: they prove that a red run turns red.",
		Example: "  squall list\n  squall list --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return listScenarios(s, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func listScenarios(s *streams, asJSON bool) error {
	list := scenarios.List()
	if asJSON {
		encoder := json.NewEncoder(s.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	for _, sc := range list {
		if _, err := fmt.Fprintf(s.Out, "%s\n    %s\n", sc.Name, sc.Question); err != nil {
			return err
		}
	}
	return nil
}
