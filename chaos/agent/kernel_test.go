package agent

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests need root, ip (iproute2) and a kernel with nftables and NFQUEUE. They break packets
// only between two network namespaces of their own:
//
//	client 10.213.0.1, .3, fd13::1 ====veth==== 10.213.0.2, fd13::2 victim, where the agent runs

// TestAgentProcess is not a test of its own: the others start the test binary with agentVariable
// set, and then this function is the agent.
func TestAgentProcess(t *testing.T) {
	ttl, err := time.ParseDuration(os.Getenv(agentVariable))
	if err != nil {
		return
	}
	if err := Serve(t.Context(), os.Stdin, os.Stdout, NewKernel(), ttl); err != nil && !errors.Is(err, ErrLease) {
		t.Fatal(err)
	}
}

const agentVariable = "SQUALL_TEST_AGENT_TTL"

// namespaces are a client and a victim, joined by a veth pair.
type namespaces struct{ client, victim string }

func newNamespaces(t *testing.T) namespaces {
	t.Helper()
	n := namespaces{fmt.Sprintf("sqc%d", os.Getpid()), fmt.Sprintf("sqv%d", os.Getpid())}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	for _, name := range []string{n.client, n.victim} {
		ip("netns", "add", name)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
				t.Errorf("ip netns del %s: %v: %s", name, err, out)
			}
		})
		ip("-n", name, "link", "set", "lo", "up")
	}
	ip("-n", n.client, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", n.victim)
	for _, a := range []struct{ ns, addr string }{{n.client, "10.213.0.1/24"}, {n.client, "10.213.0.3/24"}, {n.victim, "10.213.0.2/24"}} {
		ip("-n", a.ns, "addr", "add", a.addr, "dev", "eth0")
	}
	ip("-n", n.client, "addr", "add", "fd13::1/64", "dev", "eth0", "nodad")
	ip("-n", n.victim, "addr", "add", "fd13::2/64", "dev", "eth0", "nodad")
	ip("-n", n.client, "link", "set", "eth0", "up")
	ip("-n", n.victim, "link", "set", "eth0", "up")
	return n
}

// inside runs do on a thread in the namespace; sockets made there stay there.
func inside(t *testing.T, namespace string, do func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- func() error {
			fd, err := unix.Open("/var/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("namespace %s: %w", namespace, err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("setns %s: %w", namespace, err)
			}
			return do()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// echo serves TCP and UDP echo on addr in the namespace until the test ends.
func echo(t *testing.T, namespace, addr string) {
	t.Helper()
	var l net.Listener
	var u net.PacketConn
	inside(t, namespace, func() (err error) {
		if l, err = net.Listen("tcp", addr); err != nil {
			return err
		}
		u, err = net.ListenPacket("udp", addr)
		return err
	})
	t.Cleanup(func() { l.Close(); u.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], from)
		}
	}()
}

// dial connects from the namespace, from the local address if one is given.
func dial(t *testing.T, namespace, network, local, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	inside(t, namespace, func() (err error) {
		d := net.Dialer{Timeout: 10 * time.Second}
		if local != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
		}
		c, err = d.Dial(network, addr)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// medianRTT sends n small messages over a connection, one after the other.
func medianRTT(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var all []time.Duration
	b := make([]byte, 32)
	for range n {
		began := time.Now()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[n/2]
}

// process is an agent in a namespace.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

func start(t *testing.T, namespace string, ttl time.Duration) *process {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", namespace, os.Args[0], "-test.run=^TestAgentProcess$")
	cmd.Env = append(os.Environ(), agentVariable+"="+ttl.String())
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return &process{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}
}

func (p *process) ask(t *testing.T, q Request) Response {
	t.Helper()
	if err := p.enc.Encode(q); err != nil {
		t.Fatalf("%s: %v", q.Op, err)
	}
	var r Response
	if err := p.dec.Decode(&r); err != nil {
		t.Fatalf("%s: %v", q.Op, err)
	}
	if r.Error != "" {
		t.Fatalf("%s: %s", q.Op, r.Error)
	}
	return r
}

func (p *process) apply(t *testing.T, r Rules) {
	t.Helper()
	st := *p.ask(t, Request{Op: OpApply, Rules: &r}).Status
	if !st.Active || len(st.Tables) == 0 || st.IPv6 != "" || (len(st.Queues) > 0) != (r.Delay > 0) {
		t.Fatalf("apply %+v = %+v, want tables for IPv4 and IPv6, and a queue with a delay", r, st)
	}
}

func (p *process) status(t *testing.T) Status {
	t.Helper()
	return *p.ask(t, Request{Op: OpStatus, Name: "test"}).Status
}

func (p *process) undo(t *testing.T) Status {
	t.Helper()
	st := *p.ask(t, Request{Op: OpUndo, Name: "test"}).Status
	if !st.Gone() {
		t.Errorf("after undo: %+v, want nothing left", st)
	}
	return st
}

// untilGone asks a second agent until nothing of the fault is left, and says how long that took.
func untilGone(t *testing.T, namespace string) time.Duration {
	t.Helper()
	began := time.Now()
	eye := start(t, namespace, time.Minute)
	for {
		st := eye.status(t)
		bound := readQueues(t, namespace)
		if len(st.Tables) == 0 && len(bound) == 0 {
			return time.Since(began)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("after 10 s still there: %v, queues %v", st.Tables, bound)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func readQueues(t *testing.T, namespace string) (bound map[int]uint64) {
	t.Helper()
	inside(t, namespace, func() (err error) {
		bound, err = boundQueues()
		return err
	})
	return bound
}

const delay = 60 * time.Millisecond

func TestContainerAgentProbe(t *testing.T) {
	n := newNamespaces(t)
	p := start(t, n.victim, time.Minute)
	if got := *p.ask(t, Request{Op: OpProbe}).Probe; got != (Probe{}) {
		t.Errorf("probe = %+v, want every mechanism to work", got)
	}
	untilGone(t, n.victim)
	hello := *p.ask(t, Request{Op: OpHello}).Hello
	for _, want := range []string{"10.213.0.2", "fd13::2"} {
		if !slices.Contains(hello.Addrs, netip.MustParseAddr(want)) {
			t.Errorf("hello addresses %v, want %s among them", hello.Addrs, want)
		}
	}
}

func TestContainerAgentDelaysAnExistingConnection(t *testing.T) {
	n := newNamespaces(t)
	echo(t, n.victim, "[::]:9000")
	v4 := dial(t, n.client, "tcp4", "", "10.213.0.2:9000")
	v6 := dial(t, n.client, "tcp6", "", "[fd13::2]:9000")
	local := dial(t, n.victim, "tcp4", "", "10.213.0.2:9000") // goes over lo
	before := medianRTT(t, v4, 30)

	p := start(t, n.victim, time.Minute)
	p.apply(t, Rules{Name: "test", Delay: delay})
	for name, c := range map[string]net.Conn{"IPv4": v4, "IPv6": v6} {
		if got := medianRTT(t, c, 20); got < delay {
			t.Errorf("%s: median RTT %s with a delay of %s, %s before: want at least the delay", name, got, delay, before)
		}
	}
	if got := medianRTT(t, local, 20); got > delay/2 {
		t.Errorf("median RTT over lo %s, want it undelayed", got)
	}
	st := p.status(t)
	if st.Matched == 0 || st.Matched != st.Queued || st.Held == 0 || st.Dropped != 0 || st.HoldP50 < delay || st.HoldP99 < st.HoldP50 {
		t.Errorf("status %+v, want every packet held for %s and none dropped", st, delay)
	}
	if st.HoldP50 > 2*delay {
		t.Errorf("median hold %s, want about %s", st.HoldP50, delay)
	}
	// Packets that came while the final figures were read are held and not in Queued.
	if end := p.undo(t); end.Held < end.Queued || end.Queued < st.Queued || end.HoldP50 == 0 {
		t.Errorf("final status %+v, want the figures kept and every queued packet held", end)
	}
	untilGone(t, n.victim)
	if got := medianRTT(t, v4, 20); got > delay/2 {
		t.Errorf("median RTT %s after undo, %s before: want it undelayed", got, before)
	}
}

func TestContainerAgentDropsAsAsked(t *testing.T) {
	n := newNamespaces(t)
	echo(t, n.victim, "0.0.0.0:9000")
	tcp := dial(t, n.client, "tcp4", "", "10.213.0.2:9000")
	udp := dial(t, n.client, "udp4", "", "10.213.0.2:9000")
	medianRTT(t, tcp, 5)
	p := start(t, n.victim, time.Minute)
	p.apply(t, Rules{Name: "test", LossPercent: 20})
	const sent = 2000
	lost := sent - answered(t, udp, sent)
	if !near(sent, lost, 0.20) {
		t.Errorf("%d of %d datagrams lost, want 20%%", lost, sent)
	}
	st := p.status(t)
	if !near(int(st.Matched), int(st.Dropped), 0.20) || st.Matched < sent {
		t.Errorf("status %+v, want 20%% of at least %d packets dropped", st, sent)
	}
	// The namespaces exchange a few packets of their own, such as router solicitations.
	if others := int(st.Matched) - sent; int(st.Dropped) < lost || int(st.Dropped) > lost+others {
		t.Errorf("%d dropped by the rule, %d lost as the client sees it and %d other packets, want the same", st.Dropped, lost, others)
	}
	medianRTT(t, tcp, 40) // the connection lives: TCP sends again
	if after := p.status(t); after.Dropped <= st.Dropped {
		t.Errorf("dropped %d, then %d, want packets of the connection among them", st.Dropped, after.Dropped)
	}
	p.undo(t)
	if got := answered(t, udp, 200); got != 200 {
		t.Errorf("%d of 200 datagrams answered after undo, want all", got)
	}
}

// answered sends datagrams one after the other in small groups and counts what comes back.
func answered(t *testing.T, c net.Conn, n int) (got int) {
	t.Helper()
	b := make([]byte, 64)
	for i := range n {
		binary.BigEndian.PutUint32(b, uint32(i))
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 || i == n-1 { // at most 20 under way: no buffer overflows
			got += drain(t, c, i)
		}
	}
	return got
}

// drain counts answers until the one to the datagram called last, or none comes for a while.
func drain(t *testing.T, c net.Conn, last int) (got int) {
	t.Helper()
	b := make([]byte, 64)
	for {
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
		if int(binary.BigEndian.Uint32(b)) == last {
			return got
		}
	}
}

// near reports whether k of n is the share p within five standard deviations.
func near(n, k int, p float64) bool {
	mean := float64(n) * p
	return math.Abs(float64(k)-mean) <= 5*math.Sqrt(mean*(1-p))+1
}

func TestContainerAgentDelaysAndDropsAtOnceInOrder(t *testing.T) {
	n := newNamespaces(t)
	echo(t, n.victim, "0.0.0.0:9000")
	udp := dial(t, n.client, "udp4", "", "10.213.0.2:9000")
	p := start(t, n.victim, time.Minute)
	p.apply(t, Rules{Name: "test", Delay: delay, Jitter: delay / 2, LossPercent: 10, Seed: 1})
	const sent = 400
	came := make(chan int, sent)
	go func() {
		defer close(came)
		b := make([]byte, 64)
		for { // until the deadline set below: then nothing comes any more
			if _, err := udp.Read(b); err != nil {
				return
			}
			came <- int(binary.BigEndian.Uint32(b))
		}
	}()
	b := make([]byte, 64)
	for i := range sent {
		binary.BigEndian.PutUint32(b, uint32(i))
		if _, err := udp.Write(b); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	if err := udp.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	got, last := 0, -1
	for at := range came {
		if at <= last {
			t.Errorf("datagram %d came after %d", at, last)
		}
		last = at
		got++
	}
	st := p.undo(t)
	if !near(sent, sent-got, 0.10) || int(st.Dropped) != sent-got || int(st.Held) != got {
		t.Errorf("%d of %d came back, status %+v, want 10%% dropped and the rest held", got, sent, st)
	}
	if st.HoldP50 < delay*8/10 || st.HoldP99 < delay || st.HoldP99 == st.HoldP50 {
		t.Errorf("held %s at the median and %s at p99, want %s with jitter", st.HoldP50, st.HoldP99, delay)
	}
}

func TestContainerAgentHitsOnlyPeers(t *testing.T) {
	n := newNamespaces(t)
	echo(t, n.victim, "0.0.0.0:9000")
	peer := dial(t, n.client, "tcp4", "10.213.0.3", "10.213.0.2:9000")
	other := dial(t, n.client, "tcp4", "10.213.0.1", "10.213.0.2:9000")
	p := start(t, n.victim, time.Minute)
	p.apply(t, Rules{Name: "test", Delay: delay, Peers: []netip.Addr{netip.MustParseAddr("10.213.0.3")}})
	if got := medianRTT(t, other, 20); got > delay/2 {
		t.Errorf("median RTT of another node %s, want it undelayed", got)
	}
	if st := p.status(t); st.Matched != 0 {
		t.Errorf("status %+v, want no packet matched yet", st)
	}
	if got := medianRTT(t, peer, 20); got < delay {
		t.Errorf("median RTT of the peer %s, want at least %s", got, delay)
	}
}

// What is left of a fault when its agent ends without being asked to undo it: nothing.
func TestContainerAgentLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		ttl  time.Duration
		end  func(*process) error
	}{
		{"SIGKILL of the agent", time.Minute, func(p *process) error { return p.cmd.Process.Signal(syscall.SIGKILL) }},
		{"end of stdin", time.Minute, func(p *process) error { return p.in.Close() }},
		{"silence", time.Second, func(*process) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNamespaces(t)
			echo(t, n.victim, "0.0.0.0:9000")
			conn := dial(t, n.client, "tcp4", "", "10.213.0.2:9000")
			p := start(t, n.victim, c.ttl)
			p.apply(t, Rules{Name: "test", Delay: delay, LossPercent: 1})
			if got := medianRTT(t, conn, 5); got < delay {
				t.Fatalf("median RTT %s, want at least %s", got, delay)
			}
			if err := c.end(p); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			ended := make(chan struct{})
			go func() { _ = p.cmd.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatal("the agent still runs after 10 s")
			}
			t.Logf("nothing left %s after its end", untilGone(t, n.victim))
			if got := medianRTT(t, conn, 20); got > delay/2 {
				t.Errorf("median RTT %s after the agent's end, want it undelayed", got)
			}
		})
	}
}
