package verdict

import "fmt"

// exampleKind sorts the examples of an audit; the first are the worst.
type exampleKind int

const (
	lostExample exampleKind = iota
	duplicateExample
	phantomExample
	alteredExample
	wrongExample
	divergedExample
	exampleKinds
)

// exampleBox keeps the first sentences of each kind.
type exampleBox [exampleKinds][]string

func (b *exampleBox) add(kind exampleKind, format string, args ...any) {
	if len(b[kind]) < maxExamples {
		b[kind] = append(b[kind], fmt.Sprintf(format, args...))
	}
}

// pick takes up to limit sentences, in turns, so that many of one kind do not hide another; the
// result is sorted by kind.
func (b *exampleBox) pick(limit int) []string {
	var take [exampleKinds]int
	for taken := true; taken; {
		taken = false
		for kind := range b {
			if limit > 0 && take[kind] < len(b[kind]) {
				take[kind]++
				limit--
				taken = true
			}
		}
	}
	picked := []string{}
	for kind, sentences := range b {
		picked = append(picked, sentences[:take[kind]]...)
	}
	return picked
}
