package scenarios_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Three tries, and no new one after half of the limit: the last one still has time to end.
const (
	mostTries = 3
	playLimit = 10 * time.Minute
)

// play runs a scenario until it gives an answer. A run that came out invalid (the host or the generator was not to be
// trusted) or whose environment failed says nothing about Squall; it is run again, and the log says why.
func (s scenario) play(t *testing.T, more ...string) (int, result) {
	t.Helper()
	began := time.Now()
	unfelt := ""
	for try := 1; ; try++ {
		p := start(t, append([]string{"run", s.file, "--out", t.TempDir()}, more...)...)
		code := p.wait(t, playLimit-time.Since(began))
		res := p.result()
		why := noAnswer(code, res, unfelt)
		if why == "" || try == mostTries || time.Since(began) > playLimit/2 {
			return code, res
		}
		unfelt = res.unfelt()
		t.Logf("REPEATED try %d of %s: %s", try, s.name, why)
		if res.Outcome == "" {
			t.Logf("it said:\n%s", p.stderr)
		}
	}
}

// noAnswer says why a run may be repeated; empty: it is an answer. Lost, doubled, altered or wrong writes always are,
// and so are a fault that was not undone and a fault (unfeltBefore) that was not felt twice in a row.
func noAnswer(code int, res result, unfeltBefore string) string {
	a := res.Audit
	if a.Lost+a.Duplicate+a.Altered+a.Wrong+a.Phantom+a.Diverged > 0 {
		return ""
	}
	for _, i := range res.Injections {
		if i.Felt && !i.Undone {
			return ""
		}
	}
	unfelt := res.unfelt()
	switch {
	case code == 3:
		return fmt.Sprintf("invalid: %q", res.Reasons)
	case code != 4 && code != 5:
		return ""
	case unfelt != "" && unfelt == unfeltBefore:
		return ""
	case unfelt != "":
		return unfelt + " was not felt"
	case code == 5:
		return fmt.Sprintf("the environment failed: %q", res.Reasons)
	}
	return ""
}

// unfelt names the faults that were not felt.
func (res result) unfelt() string {
	var names []string
	for _, i := range res.Injections {
		if !i.Felt {
			names = append(names, i.Fault)
		}
	}
	return strings.Join(names, ", ")
}

func TestOnlyWhatIsNoAnswerIsRepeated(t *testing.T) {
	felt := []injection{{Fault: "crash", Felt: true, Undone: true}}
	unfelt := []injection{{Fault: "crash"}}
	for _, c := range []struct {
		name   string
		code   int
		res    result
		before string
		repeat bool
	}{
		{name: "met", code: 0, res: result{Injections: felt}},
		{name: "missed", code: 1, res: result{Injections: felt}},
		{name: "invalid", code: 3, res: result{Injections: felt}, repeat: true},
		{name: "inconclusive", code: 4, res: result{Injections: felt}},
		{name: "environment before the load", code: 5, repeat: true},
		{name: "environment under load", code: 5, res: result{Injections: felt}, repeat: true},
		{name: "not felt", code: 4, res: result{Injections: unfelt}, repeat: true},
		{name: "another one not felt", code: 4, res: result{Injections: unfelt}, before: "slow", repeat: true},
		{name: "not felt twice in a row", code: 4, res: result{Injections: unfelt}, before: "crash"},
		{name: "not injected twice in a row", code: 5, res: result{Injections: unfelt}, before: "crash"},
		{name: "not undone", code: 5, res: result{Injections: []injection{{Fault: "crash", Felt: true}}}},
		{name: "invalid and lost", code: 3, res: result{Audit: audit{Lost: 1}}},
		{name: "invalid and doubled", code: 3, res: result{Audit: audit{Duplicate: 1}}},
		{name: "environment and altered", code: 5, res: result{Audit: audit{Altered: 1}}},
		{name: "environment and wrong", code: 5, res: result{Audit: audit{Wrong: 1}}},
	} {
		if why := noAnswer(c.code, c.res, c.before); (why != "") != c.repeat {
			t.Errorf("%s: noAnswer() = %q, want a reason to repeat: %t", c.name, why, c.repeat)
		}
	}
}
