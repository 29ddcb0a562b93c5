package scenarios_test

import (
	"testing"
	"time"
)

// smallNodes is a system that starts in half the time, for tests of what ends a run and for the controls.
const smallNodes = "{consensus: {count: 1}, queue: {count: 1}, engine: {count: 2}}"

// kinds are the three faults of e2e.yaml, each as a fault of its own.
var kinds = map[string]string{
	"engine-crash":  "kind: kill, select: {role: engine, mode: one}",
	"slow-network":  "kind: latency, select: {role: engine, mode: all}, peer: {role: database-balancer}, delay: 15ms, loss: 3%",
	"primary-crash": "kind: kill, select: {role: primary}",
}

// broken starts a run on a small system in which a fault begins soon and lasts until the run is ended from outside, and
// returns when the fault is effective. It may take a second system to come up.
func broken(t *testing.T, out, fault string) (scenario, *process) {
	t.Helper()
	for try := 1; ; try++ {
		s := own(t, "testdata/e2e")
		p := start(t, "run", s.file, "--out", out,
			"--set", "target={nodes: "+smallNodes+"}", "--set", "objectives=[lost_writes == 0]",
			"--set", "faults=[{name: broken, at: 4s, for: 45s, settle: 1s, "+fault+"}]")
		err := p.stderr.await("broken effective", p.ended, 4*time.Minute)
		if err == nil {
			return s, p
		}
		if !p.environmentFailed() || try == mostTries {
			t.Fatalf("%v; it ended with %v, reasons %q", err, p.cmd.ProcessState, p.result().Reasons)
		}
		t.Logf("REPEATED try %d: the environment failed: %q; it said:\n%s", try, p.result().Reasons, p.stderr)
	}
}

func TestContainerRunWithThreeFaults(t *testing.T) {
	s := own(t, "testdata/e2e")
	code, res := s.play(t)
	if code != 0 || res.Outcome != "met" || res.ExitCode != code {
		t.Fatalf("squall run e2e: exit %d, outcome %s, exit_code %d, want 0 and met: %s",
			code, res.Outcome, res.ExitCode, res.Reasons)
	}
	if len(res.Injections) != 3 {
		t.Fatalf("injections: %d, want 3", len(res.Injections))
	}
	for _, i := range res.Injections {
		if !i.Felt || !i.Undone || i.Error != "" {
			t.Errorf("%s on %s: felt %v, undone %v, error %q", i.Fault, i.Target, i.Felt, i.Undone, i.Error)
		}
	}
	if !res.Audit.Complete || res.Audit.Lost != 0 || res.Audit.Acknowledged < 300 || len(res.Audit.CheckedNodes) != 4 {
		t.Errorf("audit: %+v, want complete, none lost, at least 300 acknowledged, 4 nodes", res.Audit)
	}
	for _, f := range res.Failover {
		if f.Injection == "primary-crash" && (f.RTOWrite == nil || *f.RTOWrite <= 0) {
			t.Errorf("rto(write) of the primary's crash: %v, want a time above 0", f.RTOWrite)
		}
	}
	s.noLeftovers(t, 0)
}

// The sabotaged twins: each must come out missed, by the objective that names its defect.
func TestContainerControlsTurnRed(t *testing.T) {
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) { c.turnsRed(t, "--set", "target.nodes="+smallNodes) })
	}
}

type control struct{ name, missed string }

var controls = []control{
	{"controls/async-replication", "lost_writes == 0"},
	{"controls/no-health-checks", "failed(calculate) == 0 during engine-crash"},
}

func (c control) turnsRed(t *testing.T, more ...string) {
	t.Helper()
	code, res := own(t, c.name).play(t, more...)
	if code != 1 || res.Outcome != "missed" {
		t.Fatalf("squall run %s: exit %d, outcome %s, want 1 and missed: %s", c.name, code, res.Outcome, res.Reasons)
	}
	if got := res.outcome(t, c.missed); got != "missed" {
		t.Errorf("%s: %s is %s, want missed", c.name, c.missed, got)
	}
}

func TestContainerInterruptLeavesNothing(t *testing.T) {
	s, p := broken(t, t.TempDir(), kinds["slow-network"])
	p.interrupt(t)
	code := p.wait(t, 3*time.Minute)
	s.noLeftovers(t, 0)
	res := p.result()
	if code != 130 || res.Outcome != "aborted" || res.ExitCode != 130 {
		t.Errorf("SIGINT: exit %d, outcome %s, exit_code %d, want 130 and aborted", code, res.Outcome, res.ExitCode)
	}
	if len(res.Injections) != 1 || !res.Injections[0].Undone {
		t.Errorf("injections after SIGINT: %+v, want the one, undone", res.Injections)
	}
}

// The network fault is the one that leaves rules in a kernel. The others are killed by make test-deep.
func TestContainerKill9ThenRecover(t *testing.T) { kill9ThenRecover(t, kinds["slow-network"]) }

func kill9ThenRecover(t *testing.T, fault string) {
	t.Helper()
	out := t.TempDir()
	s, p := broken(t, out, fault)
	p.kill(t)
	rec := start(t, "recover", "--out", out)
	if code := rec.wait(t, 3*time.Minute); code != 0 {
		t.Fatalf("squall recover: exit %d, want 0", code)
	}
	s.noLeftovers(t, 3*time.Minute) // how soon is a figure, of make prove
	again := start(t, "recover", "--out", out)
	if code := again.wait(t, time.Minute); code != 0 {
		t.Errorf("squall recover again: exit %d, want 0: it must be safe to repeat", code)
	}
}
