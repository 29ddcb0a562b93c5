package cmd

import (
	"squall/scenarios"

	"github.com/spf13/cobra"
)

func newSchemaCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Long: "Print the JSON Schema (draft 2020-12) of scenario files, so that an editor completes and\n" +
			"checks a file as it is typed. With the YAML language server, begin a scenario with\n" +
			"`# yaml-language-server: $schema=<path of the schema>`.",
		Example: "  squall schema > squall.schema.json\n" +
			"  squall schema | jq '.properties.load'",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := scenarios.Schema()
			if err != nil {
				return err
			}
			_, err = s.Out.Write(schema)
			return err
		},
	}
}
