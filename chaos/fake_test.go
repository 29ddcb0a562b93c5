package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"squall/chaos/agent"
	"squall/target"
	"sync"
	"testing"
	"time"
)

// fakeSystem is a system of five nodes in memory; its fields make it misbehave.
type fakeSystem struct {
	mu       sync.Mutex
	nodes    []target.Node
	stopped  map[string]int // exit code by node
	primary  string
	timeline int
	kernels  map[string]*fakeKernel // by node
	log      []string

	exit       int           // exit code of a kill; default 137
	promote    time.Duration // after the primary's kill another one answers
	killPanics bool
	startFails int // so many starts fail
	unhealthy  bool
	deaf       map[string]bool // the agents of these nodes end when asked to apply
	agentLives time.Duration   // the first agent ends by itself after that; 0: it does not
}

func newFakeSystem() *fakeSystem {
	s := &fakeSystem{
		stopped: map[string]int{}, kernels: map[string]*fakeKernel{}, deaf: map[string]bool{},
		primary: "database-1", timeline: 1, exit: exitSIGKILL, promote: 2 * time.Second,
	}
	for i, name := range []string{"engine-1", "engine-2", "database-1", "database-2", "queue-1"} {
		role := map[byte]target.Role{'e': target.RoleEngine, 'd': target.RoleDatabase, 'q': target.RoleQueue}[name[0]]
		n := target.Node{
			Name: name, Role: role, ContainerID: "c-" + name, Zone: string("abc"[i%3]),
			Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}),
		}
		s.nodes = append(s.nodes, n)
		s.kernels[name] = &fakeKernel{addr: n.Addr, active: map[string]agent.Rules{}, traffic: 1000}
	}
	return s
}

func (s *fakeSystem) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *fakeSystem) Nodes() []target.Node { return s.nodes }

func (s *fakeSystem) Select(_ context.Context, sel target.Selector, _ *rand.Rand) ([]target.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []target.Node
	for _, n := range s.nodes {
		role := sel.Role == "" || sel.Role == n.Role || sel.Role == target.RolePrimary && n.Name == s.primary
		if role && (sel.Name == "" || sel.Name == n.Name) && (sel.Zone == "" || sel.Zone == n.Zone) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no node matches %+v", sel)
	}
	if sel.Mode != "all" {
		out = out[:1]
	}
	return out, nil
}

func (s *fakeSystem) Primary(context.Context) (target.Node, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		if _, down := s.stopped[n.Name]; n.Name == s.primary && !down {
			return n, s.timeline, nil
		}
	}
	return target.Node{}, 0, errors.New("no primary")
}

func (s *fakeSystem) Kill(_ context.Context, n target.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killPanics {
		panic("the fake was told to")
	}
	s.note("kill %s", n.Name)
	s.stopped[n.Name] = s.exit
	if n.Name == s.primary && s.promote > 0 {
		time.AfterFunc(s.promote, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.primary = "database-2"
		})
		// The timeline follows the leader's lock, as Patroni has it.
		time.AfterFunc(s.promote+time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.timeline++
		})
	}
	return nil
}

func (s *fakeSystem) Start(ctx context.Context, n target.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.startFails > 0 {
		s.startFails--
		return fmt.Errorf("start %s: no such image", n.Name)
	}
	s.note("start %s", n.Name)
	delete(s.stopped, n.Name)
	return nil
}

func (s *fakeSystem) Running(_ context.Context, n target.Node) (bool, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, down := s.stopped[n.Name]
	return !down, code, nil
}

func (s *fakeSystem) WaitHealthy(ctx context.Context, n target.Node) error {
	s.mu.Lock()
	s.note("healthy %s", n.Name)
	unhealthy := s.unhealthy
	s.mu.Unlock()
	if unhealthy {
		<-ctx.Done()
		return fmt.Errorf("%s is not healthy: %w", n.Name, ctx.Err())
	}
	return nil
}

// Sidecar serves the agent's protocol on a fake kernel; rules end with the agent, as the owner
// flag has it.
func (s *fakeSystem) Sidecar(ctx context.Context, n target.Node, name string, args, capabilities []string) (*target.Sidecar, error) {
	if !slices.Equal(args, []string{"agent"}) || !slices.Equal(capabilities, []string{"NET_ADMIN"}) {
		return nil, fmt.Errorf("sidecar %s: args %v, capabilities %v", name, args, capabilities)
	}
	s.mu.Lock()
	s.note("sidecar %s", name)
	kernel, deaf := s.kernels[n.Name], s.deaf[n.Name]
	lives := s.agentLives
	s.agentLives = 0
	s.mu.Unlock()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the call
	if lives > 0 {
		time.AfterFunc(lives, cancel)
	}
	var running sync.WaitGroup
	running.Go(func() {
		defer outW.Close()
		if deaf {
			first, _ := bufio.NewReader(inR).ReadBytes('\n')
			var q agent.Request
			_ = json.Unmarshal(first, &q)
			_ = json.NewEncoder(outW).Encode(agent.Response{ID: q.ID, Hello: &agent.Hello{
				Version: agent.Version, Addrs: []netip.Addr{n.Addr},
			}})
			inR.CloseWithError(io.ErrClosedPipe)
			return
		}
		_ = agent.Serve(serving, inR, outW, &fakeAgent{kernel, nil}, agent.TTL)
	})
	return &target.Sidecar{Stdin: inW, Stdout: outR, Close: func() error {
		cancel()
		running.Wait()
		return outR.Close()
	}}, nil
}

// fakeKernel is a Backend that counts what the rules would have done to some traffic.
type fakeKernel struct {
	mu       sync.Mutex
	addr     netip.Addr
	active   map[string]agent.Rules
	traffic  uint64  // packets seen by each fault
	effect   float64 // share of the asked delay and loss that is achieved; 0 means all
	sticky   bool    // undo leaves the table
	vanishes bool    // the node's address leaves the namespace
	applies  int
}

func (k *fakeKernel) Hello() (agent.Hello, error) {
	return agent.Hello{Addrs: []netip.Addr{k.addr}}, nil
}
func (k *fakeKernel) Probe() (agent.Probe, error) { return agent.Probe{}, nil }

func (k *fakeKernel) Apply(r agent.Rules) (agent.Status, error) {
	k.mu.Lock()
	k.active[r.Name] = r
	k.applies++
	k.mu.Unlock()
	return k.Status(r.Name)
}

func (k *fakeKernel) Status(name string) (agent.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := agent.Status{Name: name, Addrs: []netip.Addr{k.addr}}
	if k.vanishes {
		st.Addrs = nil
	}
	r, active := k.active[name]
	if !active {
		return st, nil
	}
	share := k.effect
	if share == 0 {
		share = 1
	}
	st.Active, st.Tables, st.Matched = true, []string{"ip squall_" + name}, k.traffic
	st.Dropped = uint64(float64(k.traffic) * r.LossPercent / 100 * share)
	if r.Delay > 0 {
		st.Queues, st.Held = []int{7000}, k.traffic-st.Dropped
		st.HoldP50, st.HoldP99 = time.Duration(share*float64(r.Delay)), time.Duration(share*float64(r.Delay+r.Jitter))
	}
	return st, nil
}

func (k *fakeKernel) Undo(name string) (agent.Status, error) {
	k.mu.Lock()
	if !k.sticky {
		delete(k.active, name)
	}
	k.mu.Unlock()
	return k.Status(name)
}

// fakeAgent is one agent on a kernel; what it applied ends with it.
type fakeAgent struct {
	*fakeKernel
	mine []string
}

func (a *fakeAgent) Apply(r agent.Rules) (agent.Status, error) {
	a.mine = append(a.mine, r.Name)
	return a.fakeKernel.Apply(r)
}

func (a *fakeAgent) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range a.mine {
		if a.sticky {
			break
		}
		delete(a.active, name)
	}
	return nil
}

// played is one Play in a test, with what it told and wrote.
type played struct {
	injections []Injection
	events     []Event
	journal    string
}

func play(ctx context.Context, t *testing.T, s System, specs ...Spec) played {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	p := played{journal: path}
	p.injections = Play(ctx, PlayOptions{
		Start: time.Now(), Faults: WithDefaults(specs), System: s, Journal: j,
		Run: "run-1", Seed: 1, Notify: func(e Event) { p.events = append(p.events, e) },
	})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}
