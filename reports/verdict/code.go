package verdict

import "slices"

// WorstCode is the exit code of two runs together: the worse one, in the order missed, error,
// invalid, inconclusive, met (DESIGN.md, Command line). A code that is none of these is worst.
func WorstCode(a, b int) int {
	order := []int{ExitMissed, ExitError, ExitInvalid, ExitInconclusive, ExitMet}
	if slices.Index(order, a) < slices.Index(order, b) {
		return a
	}
	return b
}
