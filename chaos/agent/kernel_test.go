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
	"sync/atomic"
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
			defer func() { _ = unix.Close(fd) }()
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
	t.Cleanup(func() { l.Close(); _ = u.Close() })
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
		d := net.Dialer{Timeout: patience, KeepAlive: -1} // an idle connection is silent
		if local != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
		}
		c, err = d.Dial(network, addr)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// patience bounds what is certain to happen, so that a test ends when it does not. It is no statement
// about speed: a machine may stall for seconds at any point of a test, so that a packet can always
// be late but never early.
const patience = 2 * time.Minute

// lease is far longer than a test: no agent of these tests falls silent by accident.
const lease = 10 * time.Minute

// rtt sends a small message over a connection and waits for its echo.
func rtt(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32)
	began := time.Now()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// fastestRTT is the least of n.
func fastestRTT(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	least := rtt(t, c)
	for range n - 1 {
		least = min(least, rtt(t, c))
	}
	return least
}

// fasterThan sends messages until one is back in less than limit. One that is held for limit or
// longer never is, however fast the machine; one that is not held will be, however slow.
func fasterThan(t *testing.T, limit time.Duration, what string, c net.Conn) {
	t.Helper()
	least := patience
	for began := time.Now(); time.Since(began) < patience; {
		if least = min(least, rtt(t, c)); least < limit {
			return
		}
	}
	t.Errorf("%s: fastest RTT within %s is %s, want below %s", what, patience, least, limit)
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
	eye := start(t, namespace, lease)
	for {
		st := eye.status(t)
		bound := readQueues(t, namespace)
		if len(st.Tables) == 0 && len(bound) == 0 {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("after %s still there: %v, queues %v", patience, st.Tables, bound)
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
	p := start(t, n.victim, lease)
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
	fasterThan(t, delay, "before", v4)

	p := start(t, n.victim, lease)
	p.apply(t, Rules{Name: "test", Delay: delay})
	for name, c := range map[string]net.Conn{"IPv4": v4, "IPv6": v6} {
		if got := fastestRTT(t, c, 20); got < delay {
			t.Errorf("%s: fastest RTT %s with a delay of %s, want at least the delay", name, got, delay)
		}
		fasterThan(t, 2*delay, name+" delayed once", c)
	}
	fasterThan(t, delay, "over lo", local)
	st := p.status(t)
	for began := time.Now(); st.Matched != st.Queued && time.Since(began) < patience; {
		st = p.status(t) // a packet may come between the reading of two counters
	}
	if st.Matched == 0 || st.Matched != st.Queued || st.Held == 0 || st.Dropped != 0 || st.HoldP50 < delay || st.HoldP99 < st.HoldP50 {
		t.Errorf("status %+v, want every packet held for %s and none dropped", st, delay)
	}
	// Packets that came while the final figures were read are held and not in Queued.
	if end := p.undo(t); end.Held < end.Queued || end.Queued < st.Queued || end.HoldP50 == 0 {
		t.Errorf("final status %+v, want the figures kept and every queued packet held", end)
	}
	untilGone(t, n.victim)
	fasterThan(t, delay, "after undo", v4)
}

func TestContainerAgentDropsAsAsked(t *testing.T) {
	n := newNamespaces(t)
	echo(t, n.victim, "0.0.0.0:9000")
	tcp := dial(t, n.client, "tcp4", "", "10.213.0.2:9000")
	udp := dial(t, n.client, "udp4", "", "10.213.0.2:9000")
	fastestRTT(t, tcp, 5)
	p := start(t, n.victim, lease)
	p.apply(t, Rules{Name: "test", LossPercent: 20})
	const sent = 2000
	lost := sent - answered(t, udp, 0, sent, func() int { return int(p.status(t).Dropped) })
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
	after := st
	for began := time.Now(); after.Dropped <= st.Dropped && time.Since(began) < patience; after = p.status(t) {
		fastestRTT(t, tcp, 20) // the connection lives: TCP sends again
	}
	if after.Dropped <= st.Dropped {
		t.Errorf("dropped %d, then %d, want packets of the connection among them", st.Dropped, after.Dropped)
	}
	p.undo(t)
	answered(t, udp, sent, 200, func() int { return 0 })
}

// answered sends n datagrams, numbered from first on, in small groups and counts what comes back. A
// datagram is lost only when the rule has dropped one for it; an answer that is merely late is waited
// for.
func answered(t *testing.T, c net.Conn, first, n int, dropped func() int) (got int) {
	t.Helper()
	b := make([]byte, 64)
	for i := range n {
		binary.BigEndian.PutUint32(b, uint32(first+i))
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 || i == n-1 { // at most 20 under way: no buffer overflows
			for began := time.Now(); got < i+1; {
				if here := arrived(t, c, first); here > 0 {
					got += here
					continue
				}
				gone := dropped()
				got += arrived(t, c, first) // what came while the rule was asked
				if got+gone >= i+1 {
					break
				}
				if time.Since(began) > patience {
					t.Fatalf("of %d datagrams %d were answered and %d dropped by the rule, want no other lost", i+1, got, gone)
				}
			}
		}
	}
	return got
}

// arrived counts answers to datagrams from first on until none comes for a while.
func arrived(t *testing.T, c net.Conn, first int) (got int) {
	t.Helper()
	b := make([]byte, 64)
	for {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if int(binary.BigEndian.Uint32(b)) >= first {
			got++
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
	p := start(t, n.victim, lease)
	p.apply(t, Rules{Name: "test", Delay: delay, Jitter: delay / 2, LossPercent: 10, Seed: 1})
	const sent = 400
	last := -1
	var got atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 64)
		for { // until the deadline set below
			if _, err := udp.Read(b); err != nil {
				return
			}
			at := int(binary.BigEndian.Uint32(b))
			if at <= last {
				t.Errorf("datagram %d came after %d", at, last)
			}
			last = at
			got.Add(1)
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
	// Every datagram comes back or was dropped by the rule; how long that takes is the machine's affair.
	for began := time.Now(); int(p.status(t).Dropped)+int(got.Load()) < sent; <-time.After(10 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("of %d datagrams %d came back, status %+v, want the others dropped", sent, got.Load(), p.status(t))
		}
	}
	st := p.undo(t)
	if err := udp.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-ended
	// The namespaces exchange a few packets of their own; a drop among them may stand for one answer
	// that was still on its way.
	back, others := int(got.Load()), int(st.Matched)-sent
	lost, dropped, held := sent-back, int(st.Dropped), int(st.Held)
	if !near(sent, lost, 0.10) || dropped > lost+others || dropped < lost-others || held < back || held > back+2*others {
		t.Errorf("%d of %d came back, status %+v, want 10%% dropped and the rest held", back, sent, st)
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
	p := start(t, n.victim, lease)
	p.apply(t, Rules{Name: "test", Delay: delay, Peers: []netip.Addr{netip.MustParseAddr("10.213.0.3")}})
	fasterThan(t, delay, "another node", other)
	if st := p.status(t); st.Matched != 0 {
		t.Errorf("status %+v, want no packet matched yet", st)
	}
	if got := fastestRTT(t, peer, 20); got < delay {
		t.Errorf("fastest RTT of the peer %s, want at least %s", got, delay)
	}
}

// What is left of a fault when its agent ends without being asked to undo it: nothing.
func TestContainerAgentLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		ttl  time.Duration
		end  func(*process) error
	}{
		{"SIGKILL of the agent", lease, func(p *process) error { return p.cmd.Process.Signal(syscall.SIGKILL) }},
		{"end of stdin", lease, func(p *process) error { return p.in.Close() }},
		{"silence", 10 * time.Second, func(*process) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNamespaces(t)
			echo(t, n.victim, "0.0.0.0:9000")
			conn := dial(t, n.client, "tcp4", "", "10.213.0.2:9000")
			p := start(t, n.victim, c.ttl)
			p.apply(t, Rules{Name: "test", Delay: delay, LossPercent: 1})
			if got := fastestRTT(t, conn, 3); got < delay {
				t.Fatalf("fastest RTT %s, want at least %s", got, delay)
			}
			if err := c.end(p); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ended := make(chan struct{})
			go func() { _ = p.cmd.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatalf("the agent still runs after %s", patience)
			}
			t.Logf("nothing left %s after its end", untilGone(t, n.victim))
			fasterThan(t, delay, "after the agent's end", conn)
		})
	}
}
