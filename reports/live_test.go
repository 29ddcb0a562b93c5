package reports

import (
	"bytes"
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

// play shows the same run to a view: two steps, eleven seconds, a fault from the third to the eighth.
func play(l *Live) {
	l.Step("image postgres: building", false, 0)
	l.Step("image postgres: built", true, 1500*time.Millisecond)
	for s := 1; s <= 11; s++ {
		at := time.Duration(s) * time.Second
		switch s {
		case 3:
			l.Event(chaos.Event{At: at, Fault: "crash", Phase: chaos.PhaseEffective})
		case 9:
			l.Event(chaos.Event{At: at, Fault: "crash", Phase: chaos.PhaseEnded, Text: "exited with 137"})
		}
		l.Tick(loadgen.Tick{Elapsed: at, Offered: 40, Achieved: 39, P99: 12 * time.Millisecond, Failed: 2, Unsent: 1})
	}
	l.Close()
	l.Close()
}

func TestLivePlain(t *testing.T) {
	var out bytes.Buffer
	play(NewLive(&out, false, 11*time.Second, 2*time.Second))
	want := []string{
		"     1.5 s  image postgres: built",
		"   1 s / 11 s  offered  40.0/s  achieved  39.0/s  p99   12.0 ms  in flight   0  bad 3  warm-up",
		"   3 s  crash effective: ",
		"   6 s / 11 s  offered  40.0/s  achieved  39.0/s  p99   12.0 ms  in flight   0  bad 3  during crash",
		"   9 s  crash ended: exited with 137",
		"  11 s / 11 s  offered  40.0/s  achieved  39.0/s  p99   12.0 ms  in flight   0  bad 3  after",
	}
	if got := strings.Split(strings.TrimRight(out.String(), "\n"), "\n"); !equalLines(got, want) {
		t.Errorf("plain view =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLiveRedraws(t *testing.T) {
	var out bytes.Buffer
	play(NewLive(&out, true, 11*time.Second, 2*time.Second))
	text := out.String()
	if got := strings.Count(text, "\r\x1b[2K"); got < 11 {
		t.Errorf("the line was redrawn %d times in 11 seconds, want at least once a second", got)
	}
	if !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") {
		t.Errorf("Close must end the open line once, got %q at the end", text[len(text)-20:])
	}
}

func equalLines(got, want []string) bool {
	return strings.Join(got, "\n") == strings.Join(want, "\n")
}
