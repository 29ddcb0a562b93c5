package scenarios_test

import (
	"bytes"
	"context"
	"crypto/rand"
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

// A process is one squall under test.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *watcher
	ended  chan struct{} // closed when it has ended
	err    error         // of its end; read it after ended
}

// start runs the binary of SQUALL_BINARY, which `make containers` sets. It dies with the test, however the test ends.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	binary := os.Getenv("SQUALL_BINARY")
	if binary == "" {
		t.Fatal("SQUALL_BINARY is not set: run `make containers`, or set it to a static squall binary")
	}
	p := &process{cmd: exec.Command(binary, args...), stderr: newWatcher(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			_ = p.cmd.Process.Kill() // the test has failed already; recover in the next line
			<-p.ended
			_ = exec.Command(binary, "recover").Run()
		}
		if t.Failed() {
			t.Logf("squall %s: stderr:\n%s\nstdout:\n%s", strings.Join(args, " "), p.stderr, &p.stdout)
		}
	})
	return p
}

// wait returns the exit code.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) {
			t.Fatalf("squall: %v", p.err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("squall still runs after %s", limit)
		return -1
	}
}

// await waits for a text on stderr. It fails at once when the process ends without it, with what it said.
func (p *process) await(t *testing.T, text string, limit time.Duration) {
	t.Helper()
	if err := p.stderr.await(text, p.ended, limit); err != nil {
		select {
		case <-p.ended:
			t.Fatalf("%v; squall ended with %v; reasons: %q", err, p.cmd.ProcessState, p.result().Reasons)
		default:
			t.Fatal(err)
		}
	}
}

// environmentFailed says whether the process has ended because its target or Docker failed it, and not by a fault of Squall.
func (p *process) environmentFailed() bool {
	select {
	case <-p.ended:
		return noAnswer(p.cmd.ProcessState.ExitCode(), p.result(), "") != ""
	default:
		return false
	}
}

func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process with a signal that leaves it no time for anything.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// result is the part of result.json that the end-to-end tests look at.
type result struct {
	Outcome  string   `json:"outcome"` // empty: there is no result.json
	ExitCode int      `json:"exit_code"`
	Reasons  []string `json:"reasons"`
	Load     struct {
		Planned, Sent, Unsent, OK, Failed uint64
	} `json:"load"`
	Injections []injection `json:"injections"`
	Failover   []struct {
		Injection string   `json:"injection"`
		RTOWrite  *float64 `json:"rto_write_s"`
		Outage    *float64 `json:"outage_s"`
	} `json:"failover"`
	Audit      audit `json:"audit"`
	Objectives []struct {
		Text    string   `json:"text"`
		Outcome string   `json:"outcome"`
		Value   *float64 `json:"value"`
		Bound   float64  `json:"bound"`
		Unit    string   `json:"unit"`
		Op      string   `json:"op"`
		Why     string   `json:"why"`
	} `json:"objectives"`
}

type injection struct {
	Fault  string `json:"fault"`
	Target string `json:"target"`
	Felt   bool   `json:"felt"`
	Undone bool   `json:"undone"`
	Error  string `json:"error"`
}

type audit struct {
	Acknowledged int      `json:"acknowledged"`
	Lost         int      `json:"lost"`
	Duplicate    int      `json:"duplicate"`
	Altered      int      `json:"altered"`
	Wrong        int      `json:"wrong"`
	Phantom      int      `json:"phantom"`
	Diverged     int      `json:"diverged"`
	CheckedNodes []string `json:"checked_nodes"`
	Complete     bool     `json:"complete"`
}

// result reads result.json from the folder that stdout's last line names; the zero result when there is none.
func (p *process) result() (res result) {
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	data, err := os.ReadFile(filepath.Join(lines[len(lines)-1], "result.json"))
	if err != nil || json.Unmarshal(data, &res) != nil {
		return result{}
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

// A scenario is a scenario file under a name that nobody else has, so that what is left of its runs can be told from what
// other runs left before, or do beside.
type scenario struct{ name, file string }

// own copies a scenario file, such as "controls/async-replication", under a name of its own.
func own(t *testing.T, path string) scenario {
	t.Helper()
	data, err := os.ReadFile(path + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := filepath.Base(path)
	name := before + "-" + strings.ToLower(rand.Text()[:8])
	named := strings.Replace(string(data), "\nname: "+before+"\n", "\nname: "+name+"\n", 1)
	if named == string(data) {
		t.Fatalf("%s.yaml has no line `name: %s`", path, before)
	}
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	return scenario{name, file}
}

// leftovers lists every container, network and volume of the scenario's runs.
func (s scenario) leftovers(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, list := range [][]string{
		{"ps", "-a", "--format", `{{.Names}} {{.Label "squall.run"}}`},
		{"network", "ls", "--format", `{{.Name}} {{.Label "squall.run"}}`},
		{"volume", "ls", "--format", `{{.Name}} {{.Label "squall.run"}}`},
	} {
		out, err := exec.Command("docker", append(list, "--filter", "label=squall.run")...).Output()
		if err != nil {
			t.Fatalf("docker %v: %v", list, err)
		}
		for line := range strings.Lines(string(out)) {
			object, run, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(run, s.name+"-") {
				all = append(all, list[0]+" "+object)
			}
		}
	}
	return all
}

// miscounted says whether Docker has lost count of what is on an empty network, and therefore never removes it
// (moby/moby#42119). Removing it here hides nothing: what can be removed was left.
func miscounted(t *testing.T, network string) bool {
	t.Helper()
	on, err := exec.Command("docker", "network", "inspect", "-f", "{{len .Containers}}", network).Output()
	if err != nil || strings.TrimSpace(string(on)) != "0" {
		return false
	}
	out, err := exec.Command("docker", "network", "rm", network).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has active endpoints") {
		return false
	}
	t.Logf("%s (moby/moby#42119)", bytes.TrimSpace(out))
	return true
}

// noLeftovers waits until nothing is left, at most limit.
func (s scenario) noLeftovers(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		left := s.leftovers(t)
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			network, is := strings.CutPrefix(left[0], "network ")
			if len(left) > 1 || !is || !miscounted(t, network) {
				t.Errorf("left behind %s after the end: %s", limit, strings.Join(left, ", "))
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
