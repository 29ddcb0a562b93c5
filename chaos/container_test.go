package chaos

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"squall/chaos/agent"
	"squall/target"
	"strings"
	"sync"
	"testing"
	"time"
)

// These tests break a container of their own, on a Docker network of their own. Its image is this test
// binary on nothing (FROM scratch), so the binary must be static: CGO_ENABLED=0, as make has it. The
// same image is the agent.

// TestContainerProcess is not a test of its own: it is what runs in the containers.
func TestContainerProcess(t *testing.T) {
	switch os.Getenv("SQUALL_TEST_ROLE") {
	case "echo":
		l, err := net.Listen("tcp", ":9000")
		if err != nil {
			t.Fatal(err)
		}
		for {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	case "agent":
		if err := agent.Serve(t.Context(), os.Stdin, os.Stdout, agent.NewKernel(), agent.TTL); err != nil {
			t.Fatal(err)
		}
	}
}

// dockerSystem is a System of one node, an echo server, driven by the docker command.
type dockerSystem struct {
	name string // of the run, the image, the network and, with a suffix, the containers
	node target.Node

	mu     sync.Mutex
	agents []*exec.Cmd
}

func docker(ctx context.Context, args ...string) (string, error) {
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}

func newDockerSystem(t *testing.T) *dockerSystem {
	t.Helper()
	s := &dockerSystem{name: "squall-chaos-test-" + strings.ToLower(crand.Text()[:8])}
	lock, err := target.LockRun(s.name) // when this process is killed, `squall recover` finds what is left
	if err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := docker(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	label := "squall.run=" + s.name
	t.Cleanup(func() { // t.Context is over by then
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// Agents remove themselves, at any moment: RemoveRun asks until nothing is left.
		_, removed := target.RemoveRun(ctx, s.name)
		_, imageGone := docker(ctx, "image", "rm", "-f", s.name)
		if err := errors.Join(removed, imageGone, lock.Release()); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	file := "FROM scratch\nCOPY squall /squall\nENTRYPOINT [\"/squall\", \"-test.run=^TestContainerProcess$\"]\n"
	for name, content := range map[string][]byte{"squall": binary, "Dockerfile": []byte(file)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	must("build", "-q", "--label", label, "--label", "squall.test=1", "-t", s.name, dir) // make sweep looks for squall.test
	must("network", "create", "--label", label, s.name)
	id := must("run", "-d", "--name", s.name+"-echo", "--label", label, "--network", s.name,
		"-e", "SQUALL_TEST_ROLE=echo", "-p", "127.0.0.1:0:9000", s.name)
	addr := must("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
	at, err := netip.ParseAddr(addr)
	if err != nil {
		said, _ := docker(t.Context(), "logs", id)
		t.Fatalf("the echo server has ended; is the test binary static (CGO_ENABLED=0)? It said: %s", said)
	}
	s.node = target.Node{Name: "echo-1", Role: target.RoleEngine, ContainerID: id, Addr: at}
	return s
}

// dial connects to the node through its port on 127.0.0.1, which a restart may change.
func (s *dockerSystem) dial(ctx context.Context) (net.Conn, error) {
	addr, err := docker(ctx, "port", s.node.ContainerID, "9000/tcp")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		return nil, fmt.Errorf("published at %s, want 127.0.0.1", addr)
	}
	return net.DialTimeout("tcp", addr, time.Second)
}

func (s *dockerSystem) Nodes() []target.Node { return []target.Node{s.node} }

func (s *dockerSystem) Select(context.Context, target.Selector, *rand.Rand) ([]target.Node, error) {
	return s.Nodes(), nil
}

func (s *dockerSystem) Primary(context.Context) (target.Node, int, error) {
	return target.Node{}, 0, errors.New("no databases")
}

func (s *dockerSystem) Kill(ctx context.Context, n target.Node) error {
	_, err := docker(ctx, "kill", "-s", "KILL", n.ContainerID)
	return err
}

func (s *dockerSystem) Start(ctx context.Context, n target.Node) error {
	_, err := docker(ctx, "start", n.ContainerID)
	return err
}

func (s *dockerSystem) Running(ctx context.Context, n target.Node) (running bool, exitCode int, err error) {
	out, err := docker(ctx, "inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", n.ContainerID)
	if err == nil {
		_, err = fmt.Sscan(out, &running, &exitCode)
	}
	return running, exitCode, err
}

func (s *dockerSystem) WaitHealthy(ctx context.Context, _ target.Node) error {
	for {
		if c, err := s.dial(ctx); err == nil {
			_, err = ping(c)
			c.Close()
			if err == nil {
				return nil
			}
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (s *dockerSystem) Sidecar(ctx context.Context, n target.Node, name string, _, capabilities []string) (*target.Sidecar, error) {
	full := s.name + "-" + n.Name + "-" + name
	args := []string{
		"run", "--rm", "-i", "--name", full, "--label", "squall.run=" + s.name,
		"--network", "container:" + n.ContainerID, "--cap-drop", "ALL", "--read-only", "-e", "SQUALL_TEST_ROLE=agent",
	}
	for _, c := range capabilities {
		args = append(args, "--cap-add", c)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "docker", append(args, s.name)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.agents = append(s.agents, cmd)
	s.mu.Unlock()
	return &target.Sidecar{Stdin: in, Stdout: out, Close: func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, stderr.Bytes())
		}
		return nil
	}}, nil
}

// ping sends a small message and waits for its echo.
func ping(c net.Conn) (time.Duration, error) {
	began := time.Now()
	b := make([]byte, 16)
	if err := c.SetDeadline(began.Add(time.Minute)); err != nil {
		return 0, err
	}
	if _, err := c.Write(b); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, b)
	return time.Since(began), err
}

// pinger pings over one connection, and a new one when it breaks, until ctx is done.
type pinger struct {
	start time.Time
	at    []time.Duration // since start, when a ping was sent
	took  []time.Duration
}

func (p *pinger) run(ctx context.Context, s *dockerSystem) {
	var c net.Conn
	for sleep(ctx, 5*time.Millisecond) {
		var err error
		if c == nil {
			if c, err = s.dial(ctx); err != nil {
				c = nil // the node is down: a kill is under way
				continue
			}
		}
		at := time.Since(p.start)
		took, err := ping(c)
		if err != nil {
			c.Close()
			c = nil
			continue
		}
		p.at, p.took = append(p.at, at), append(p.took, took)
	}
	if c != nil {
		c.Close()
	}
}

// median is that of the pings sent between from and to.
func (p *pinger) median(t *testing.T, from, to time.Duration) time.Duration {
	t.Helper()
	var in []time.Duration
	for i, at := range p.at {
		if at >= from && at+p.took[i] <= to {
			in = append(in, p.took[i])
		}
	}
	if len(in) == 0 {
		t.Fatalf("no ping between %s and %s of %d", from, to, len(p.at))
	}
	slices.Sort(in)
	return in[len(in)/2]
}

func TestDeepFaultsAreInjectedFeltAndGone(t *testing.T) {
	const delay = 100 * time.Millisecond
	s := newDockerSystem(t)
	if err := s.WaitHealthy(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	it := target.Selector{Name: "echo-1"}
	specs := []Spec{
		{Name: "slow", Kind: KindLatency, At: time.Second, For: 4 * time.Second, Select: it, Delay: delay, Jitter: delay / 10},
		{Name: "lossy", Kind: KindLoss, At: 12 * time.Second, For: 4 * time.Second, Select: it, Loss: 20},
		{Name: "dead", Kind: KindKill, At: 24 * time.Second, For: 2 * time.Second, Select: it},
	}
	ctx, cancel := context.WithCancel(t.Context())
	pings := &pinger{start: time.Now()}
	var pinging sync.WaitGroup
	pinging.Go(func() { pings.run(ctx, s) })
	played := play(t.Context(), t, s, specs...)
	cancel()
	pinging.Wait()
	for _, in := range played.injections {
		if !in.Felt || !in.Undone || in.Error != "" {
			t.Errorf("%s = %+v, want felt and undone", in.Fault, in)
		}
		t.Logf("%s: %s (at %s, ended %s, healthy after %s)", in.Fault, in.Effect.Summary, in.Effective, in.Ended, in.Resolution)
	}
	slow := played.injections[0]
	if got := pings.median(t, slow.Effective, slow.Ended); got < delay*8/10 {
		t.Errorf("median ping %s while slow, want about %s", got, delay)
	}
	if got := pings.median(t, slow.Ended+slow.Resolution, specs[1].At); got >= delay {
		t.Errorf("median ping %s after slow, want it undelayed", got)
	}
	if got := played.injections[2].Effect.Measured["exit_code"]; got != 137 {
		t.Errorf("exit code %g, want 137", got)
	}
	if open, err := Unfinished(played.journal); err != nil || len(open) > 0 {
		t.Errorf("Unfinished() = %v, %v, want none", open, err)
	}
}

// The docker command stands for the harness here: it holds the agent's stdin, and is killed.
func TestContainerKilledHarnessLeavesNothingBehind(t *testing.T) {
	const delay = 100 * time.Millisecond
	s := newDockerSystem(t)
	if err := s.WaitHealthy(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	c, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	car, err := attach(t.Context(), s, s.node, "slow")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := car.status(t.Context(), agent.Request{Op: agent.OpApply, Rules: &agent.Rules{Name: "slow", Delay: delay}}); err != nil {
		t.Fatal(err)
	}
	if took, err := ping(c); err != nil || took < delay {
		t.Fatalf("ping took %s, %v, want at least %s", took, err, delay)
	}
	killed := time.Now()
	if err := s.agents[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for {
		took, err := ping(c)
		if err == nil && took < delay {
			break
		}
		if since := time.Since(killed); since > time.Minute {
			t.Fatalf("%s after the harness was killed a ping takes %s, %v", since, took, err)
		}
	}
	t.Logf("undone %s after the harness was killed", time.Since(killed))
	if err := car.close(); err == nil {
		t.Error("close of a killed agent = nil, want its error")
	}
}
