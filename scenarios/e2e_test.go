package scenarios_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// result is the part of result.json that the end-to-end tests look at.
type result struct {
	Outcome  string   `json:"outcome"`
	ExitCode int      `json:"exit_code"`
	Reasons  []string `json:"reasons"`
	Load     struct {
		Planned, Sent, Unsent, OK, Failed uint64
	} `json:"load"`
	Injections []struct {
		Fault  string `json:"fault"`
		Target string `json:"target"`
		Felt   bool   `json:"felt"`
		Undone bool   `json:"undone"`
		Error  string `json:"error"`
	} `json:"injections"`
	Failover []struct {
		Injection string   `json:"injection"`
		RTOWrite  *float64 `json:"rto_write_s"`
	} `json:"failover"`
	Audit struct {
		Acknowledged int      `json:"acknowledged"`
		Lost         int      `json:"lost"`
		CheckedNodes []string `json:"checked_nodes"`
		Complete     bool     `json:"complete"`
	} `json:"audit"`
	Objectives []struct {
		Text    string `json:"text"`
		Outcome string `json:"outcome"`
		Why     string `json:"why"`
	} `json:"objectives"`
}

// A run is one process of squall under test.
type run struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *watcher
	done   chan error
}

// start runs the binary of SQUALL_BINARY, which `make containers` sets, with results in out.
func start(t *testing.T, args ...string) *run {
	t.Helper()
	binary := os.Getenv("SQUALL_BINARY")
	if binary == "" {
		t.Fatal("SQUALL_BINARY is not set: run `make containers`, or set it to a static squall binary")
	}
	r := &run{cmd: exec.Command(binary, args...), stderr: newWatcher(), done: make(chan error, 1)}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill() // the test has failed already; recover in the next line
			_ = exec.Command(binary, "recover").Run()
		}
		if t.Failed() {
			t.Logf("stderr:\n%s\nstdout:\n%s", r.stderr, &r.stdout)
		}
	})
	return r
}

// wait returns the exit code.
func (r *run) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case err := <-r.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("squall: %v", err)
		}
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("squall still runs after %s", limit)
		return -1
	}
}

// result reads result.json from the folder that stdout's last line names.
func (r *run) result(t *testing.T) result {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stdout.String()), "\n")
	var res result
	data, err := os.ReadFile(filepath.Join(lines[len(lines)-1], "result.json"))
	if err != nil {
		t.Fatalf("result of the run: %v", err)
	}
	if err := json.Unmarshal(data, &res); err != nil {
		t.Fatalf("result.json: %v", err)
	}
	return res
}

// outcome of the objective with the given text.
func (res result) outcome(t *testing.T, text string) string {
	t.Helper()
	for _, o := range res.Objectives {
		if o.Text == text {
			return o.Outcome
		}
	}
	t.Fatalf("objective %q is not in result.json: %+v", text, res.Objectives)
	return ""
}

// leftovers lists every container, network and volume that carries a run's label.
func leftovers(t *testing.T) string {
	t.Helper()
	var all []string
	for _, list := range [][]string{
		{"ps", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"},
	} {
		out, err := exec.Command("docker", append(list, "--filter", "label=squall.run")...).Output()
		if err != nil {
			t.Fatalf("docker %v: %v", list, err)
		}
		for id := range strings.FieldsSeq(string(out)) {
			all = append(all, list[0]+" "+id)
		}
	}
	return strings.Join(all, ", ")
}

// noLeftovers waits until nothing is left, at most limit.
func noLeftovers(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		left := leftovers(t)
		if left == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("left behind %s after the end: %s", limit, left)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// playUntilValid runs a scenario to its end. On a busy machine the load generator may find itself
// untrustworthy and the run invalid (exit 3): then, and only then, it is run again, twice at most.
func playUntilValid(t *testing.T, scenario string) (int, result) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		r := start(t, "run", scenario, "--out", t.TempDir())
		code := r.wait(t, 8*time.Minute)
		res := r.result(t)
		if code != 3 || attempt == 3 {
			return code, res
		}
		t.Logf("attempt %d: the run was invalid: %s", attempt, res.Reasons)
	}
}

func TestContainerRunWithThreeFaults(t *testing.T) {
	code, res := playUntilValid(t, "testdata/e2e.yaml")
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
	if left := leftovers(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// The sabotaged twins: each must come out missed, by the objective that names its defect.
func TestContainerControlsTurnRed(t *testing.T) {
	for _, c := range []struct{ name, missed string }{
		{"controls/async-replication", "lost_writes == 0"},
		{"controls/no-health-checks", "failed(calculate) == 0 during engine-crash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, res := playUntilValid(t, c.name)
			if code != 1 || res.Outcome != "missed" {
				t.Fatalf("squall run %s: exit %d, outcome %s, want 1 and missed: %s", c.name, code, res.Outcome, res.Reasons)
			}
			if got := res.outcome(t, c.missed); got != "missed" {
				t.Errorf("%s: %s is %s, want missed", c.name, c.missed, got)
			}
		})
	}
}

func TestContainerInterruptLeavesNothing(t *testing.T) {
	r := start(t, "run", "testdata/e2e.yaml", "--out", t.TempDir())
	r.stderr.await(t, "slow-network effective", 4*time.Minute)
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	code := r.wait(t, 2*time.Minute)
	if left := leftovers(t); left != "" {
		t.Errorf("left behind after SIGINT: %s", left)
	}
	res := r.result(t)
	if code != 130 || res.Outcome != "aborted" || res.ExitCode != 130 {
		t.Errorf("SIGINT: exit %d, outcome %s, exit_code %d, want 130 and aborted", code, res.Outcome, res.ExitCode)
	}
	for _, i := range res.Injections {
		if i.Fault == "slow-network" && !i.Undone {
			t.Errorf("slow-network after SIGINT: not undone: %s", i.Error)
		}
	}
}

func TestContainerKill9ThenRecover(t *testing.T) {
	for _, fault := range []string{"engine-crash", "slow-network", "primary-crash"} {
		t.Run(fault, func(t *testing.T) {
			out := t.TempDir()
			r := start(t, "run", "testdata/e2e.yaml", "--out", out)
			r.stderr.await(t, fault+" effective", 4*time.Minute)
			if err := r.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-r.done
			began := time.Now()
			rec := start(t, "recover", "--out", out)
			if code := rec.wait(t, time.Minute); code != 0 {
				t.Fatalf("squall recover: exit %d, want 0", code)
			}
			noLeftovers(t, 30*time.Second-time.Since(began))
			again := start(t, "recover", "--out", out)
			if code := again.wait(t, time.Minute); code != 0 {
				t.Errorf("squall recover again: exit %d, want 0: it must be safe to repeat", code)
			}
		})
	}
}
