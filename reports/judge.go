package reports

import "squall/reports/verdict"

// Judge judges what the run measured and stores the verdict in it.
func (r *Run) Judge() {
	r.Verdict = verdict.Judge(verdict.Input{
		Objectives: r.Objectives, Recording: r.Recording, Injections: r.Injections,
		Ledger: r.Ledger, Planned: r.Planned,
	})
}
