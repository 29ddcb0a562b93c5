package cmd

import (
	"fmt"
	"squall/reports"

	"github.com/spf13/cobra"
)

func newReportCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "report <folder>",
		Short: "Judge and render a recorded run again; needs no target",
		Long: `Report reads the raw measurements of a result folder, judges the objectives again and writes
result.json, report.html, junit.xml and summary.md anew. It needs neither Docker nor the target.
Its exit code is that of the verdict.`,
		Example: `  squall report results/quarterly-peak/20261123T150000Z-20260331
  squall report "$(squall run engine-crash | tail -1)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := reports.Load(args[0])
			if err != nil {
				return withCode(2, err)
			}
			run.Judge()
			if err := reports.Write(args[0], run); err != nil {
				return withCode(5, err)
			}
			_ = reports.Terminal(s.Out, reports.New(run), isTerminal(s.Out))
			fmt.Fprintln(s.Out, args[0])
			return withCode(run.Verdict.ExitCode, silent(run.Verdict.ExitCode))
		},
	}
}
