package reports

import "squall/reports/verdict"

// Judge judges what the run measured and stores the verdict in it. A run that something ended early
// is never better than an Error: what was measured until then may be fine, but it is not the plan. An
// aborted run keeps the exit code of the signal that ended it when it is judged again.
func (r *Run) Judge() {
	interrupted := r.Verdict // what Load read back: only it knows the signal
	r.Verdict = verdict.Judge(verdict.Input{
		Objectives: r.Objectives, Recording: r.Recording, Injections: r.Injections,
		Ledger: r.Ledger, Planned: r.Planned, Changes: r.Changes,
	})
	if interrupted.Outcome == verdict.Aborted && r.Verdict.Outcome == verdict.Aborted {
		r.Verdict.ExitCode = interrupted.ExitCode
	}
	for _, w := range r.Warnings {
		r.Verdict.Reasons = append(r.Verdict.Reasons, "warning: "+w)
	}
	if v := &r.Verdict; r.Error != "" {
		switch v.Outcome {
		case verdict.Met, verdict.Inconclusive, verdict.Invalid:
			v.Outcome, v.ExitCode = verdict.Error, verdict.ExitError
			v.Reasons = append([]string{"the run ended early: " + r.Error}, v.Reasons...)
		case verdict.Missed, verdict.Error, verdict.Aborted: // no better as it is
		}
	}
}
