package cmd

import (
	"encoding/json"
	"squall/scenarios"

	"github.com/spf13/cobra"
)

// planSeed is used where neither the scenario nor the command names a seed, so that `squall plan`
// prints the same twice. A run without a seed draws one.
const planSeed = 1

type planOptions struct {
	scenario string
	seed     uint64
	set      []string
	asJSON   bool
}

func newPlanCommand(s *streams) *cobra.Command {
	var opts planOptions
	c := &cobra.Command{
		Use:   "plan <scenario> [--seed n] [--set path=value]... [--json]",
		Short: "Print what a run would do: rates, faults, phases, nodes; start nothing",
		Long: "Print what a run of the scenario would do: the rate over time, every fault with its\n" +
			"instants, the phases that are judged, the objectives and the nodes that would be started.\n" +
			"Nothing is started and Docker is not needed. The same seed prints the same plan.",
		Example: "  squall plan quarterly-peak\n" +
			"  squall plan my-scenario.yaml --seed 7 --set load.profile.for=30s --json",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			opts.scenario = args[0]
			return planScenario(s, opts)
		},
	}
	c.Flags().Uint64Var(&opts.seed, "seed", 0,
		"repeat the plan of this seed (default: the scenario's, else 1)")
	c.Flags().StringArrayVar(&opts.set, "set", nil,
		"override a field, such as load.profile.for=30s (repeatable)")
	c.Flags().BoolVar(&opts.asJSON, "json", false, "print JSON")
	return c
}

func planScenario(s *streams, opts planOptions) error {
	sc, err := scenarios.Load(opts.scenario, scenarios.WithSet(opts.set))
	if err != nil {
		return err
	}
	seed := opts.seed
	if seed == 0 && sc.Seed == 0 {
		seed = planSeed
	}
	plan, err := scenarios.NewPlan(sc, seed)
	if err != nil {
		return err
	}
	if opts.asJSON {
		encoder := json.NewEncoder(s.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(plan)
	}
	return plan.Print(s.Out)
}
