package loadgen

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStolenSince(t *testing.T) {
	const before = "cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 50 0 25 400 5 0 2 17 0 0\n"
	for _, test := range []struct {
		name, before, after string
		want                float64
	}{
		{"a quarter", before, "cpu  120 0 60 920 10 0 5 85 9 0\n", 0.25},
		{"nothing", before, "cpu  120 0 60 920 10 0 5 35 9 0\n", 0},
		{"no time went by", before, before, 0},
		{"unreadable before", "", before, 0},
		{"unreadable after", before, "cpu  1 2 3\n", 0},
		{"no number", before, "cpu  120 0 60 920 10 0 x 85 9 0\n", 0},
		{"backwards", before, "cpu  120 0 60 920 10 0 5 30 9 0\n", 0},
	} {
		if got := parseTicks(test.after).stolenSince(parseTicks(test.before)); got != test.want {
			t.Errorf("%s: stolenSince() = %v, want %v", test.name, got, test.want)
		}
	}
	if now := hostTicks(); now.total == 0 {
		t.Error("hostTicks() is empty: /proc/stat was not understood")
	}
}

func TestNoteStall(t *testing.T) {
	m := newMonitor(slog.New(slog.DiscardHandler))
	second := time.Second
	quiet := []Stall{
		{At: 0, For: second, Steal: 0.2, SchedP99: 99 * time.Millisecond},
		{At: second, For: 1400 * time.Millisecond},
		{At: 2 * second, For: 200 * time.Millisecond, Steal: 1, SchedP99: second},
	}
	stalls := []Stall{
		{At: 3 * second, For: second, Steal: 0.25},
		{At: 4 * second, For: second, SchedP99: 100 * time.Millisecond},
		{At: 5 * second, For: 1500 * time.Millisecond},
	}
	for _, s := range append(quiet, stalls...) {
		m.noteStall(s)
	}
	if diff := cmp.Diff(stalls, m.stalls); diff != "" {
		t.Errorf("stalls (-want +got):\n%s", diff)
	}
}

// childLoad marks the copy of this test program that is to be stopped in the middle of its load.
const childLoad = "SQUALL_TEST_CHILD_LOAD"

// TestRunStoodStill stops the whole process, as a hypervisor does, and holds that the recording says
// when nobody looked at the target and that the second took longer than one.
func TestRunStoodStill(t *testing.T) {
	if os.Getenv(childLoad) != "" {
		loadAndTell(t)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunStoodStill$")
	child.Env = append(os.Environ(), childLoad+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var health Health
	ticks := 0
	for lines := bufio.NewScanner(output); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "TICK":
			ticks++
			if ticks == 1 { // the load goes on: stop it, so long that nobody can take it for noise
				stopFor(t, child.Process, 1600*time.Millisecond)
			}
			if ticks == 4 { // the seconds after it have been looked at
				input.Close()
			}
		case strings.HasPrefix(line, "{"):
			if err := json.Unmarshal([]byte(line), &health); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err != nil || ticks < 4 {
		t.Fatalf("child ended with %v after %d seconds", err, ticks)
	}
	const least = 1500 * time.Millisecond
	gap, stall := false, false
	for _, g := range health.ProbeGaps {
		gap = gap || g.For >= least && g.At >= 0
	}
	for _, s := range health.Stalls {
		stall = stall || s.For >= least
	}
	if !gap || !stall || health.ProbeGapMax < least {
		t.Errorf("after %s of standing still: gaps %+v, stalls %+v, want one of each as long", least, health.ProbeGaps, health.Stalls)
	}
}

func stopFor(t *testing.T, p *os.Process, d time.Duration) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(d)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// loadAndTell is the child: it says each second that its load goes on, ends it when its input ends, and then says how
// healthy it was.
func loadAndTell(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(newEcoTrack())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	s := mustSchedule(t, steady(20, 10*time.Minute, Class{Name: requestCalculate, Weight: 1}))
	r := mustRun(ctx, t, s, Options{BaseURL: server.URL, Progress: func(Tick) { _, _ = os.Stdout.WriteString("TICK\n") }})
	text, err := json.Marshal(r.Health)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.Write(append(text, '\n'))
}
