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
			if asJSON {
				return printScenariosJSON(s)
			}
			return printScenarios(s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printScenariosJSON(s *streams) error {
	encoder := json.NewEncoder(s.Out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(scenarios.List())
}

func printScenarios(s *streams) error {
	for _, sc := range scenarios.List() {
		if _, err := fmt.Fprintf(s.Out, "%s\n    %s\n", sc.Name, sc.Question); err != nil {
			return err
		}
	}
	return nil
}
