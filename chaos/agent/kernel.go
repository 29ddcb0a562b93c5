package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/google/nftables"
)

// Kernel applies rules to the network namespace of the process. Its methods must not be called
// at the same time; Serve does not.
type Kernel struct {
	active map[string]*applied
	ended  map[string]ended
}

// ended is what is remembered of a fault that was undone.
type ended struct {
	final Status
	queue int // the number it had; -1 without
}

// applied is one fault in the kernel.
type applied struct {
	tables *tables
	holder *holder // nil without delay
	queue  int     // -1 without delay
	ipv6   string  // why there is no ip6 table
}

// NewKernel returns the backend of the real agent.
func NewKernel() *Kernel {
	return &Kernel{active: map[string]*applied{}, ended: map[string]ended{}}
}

// Hello says which addresses the namespace has.
func (k *Kernel) Hello() (Hello, error) {
	addrs, err := addresses()
	return Hello{Addrs: addrs}, err
}

// Apply installs the rules. When it returns without error every packet is subject to them. On
// error nothing is left behind.
func (k *Kernel) Apply(r Rules) (Status, error) {
	if k.active[r.Name] != nil {
		return Status{}, fmt.Errorf("apply %s: already applied", r.Name)
	}
	a := &applied{queue: -1}
	if err := a.apply(r); err != nil {
		return Status{}, errors.Join(fmt.Errorf("apply %s: %w", r.Name, err), a.undo())
	}
	k.active[r.Name] = a
	return k.Status(r.Name)
}

func (a *applied) apply(r Rules) (err error) {
	if r.Delay > 0 {
		q, err := openQueue()
		if err != nil {
			return err
		}
		a.queue = int(q.num)
		if a.holder, err = hold(q, r); err != nil {
			return errors.Join(err, q.close())
		}
	}
	if a.tables, err = newTables(r.Name); err != nil {
		return err
	}
	if err := a.tables.install(nftables.TableFamilyIPv4, r, a.queue); err != nil {
		return err
	}
	// A kernel without IPv6 tables still breaks IPv4; the status says so.
	if err := a.tables.install(nftables.TableFamilyIPv6, r, a.queue); err != nil {
		a.ipv6 = err.Error()
	}
	return nil
}

// undo takes the rules away first, so that no packet enters the queue while it empties.
func (a *applied) undo() error {
	var err error
	if a.tables != nil {
		err = a.tables.close()
	}
	if a.holder != nil {
		err = errors.Join(err, a.holder.release())
	}
	return err
}

// Undo takes a fault away and returns its final figures with a fresh look at what is left. Undoing
// what is not applied does nothing.
func (k *Kernel) Undo(name string) (Status, error) {
	a := k.active[name]
	if a == nil {
		return k.Status(name)
	}
	final, err := k.Status(name)
	err = errors.Join(err, a.undo())
	if a.holder != nil {
		a.holder.report(&final)
	}
	delete(k.active, name)
	final.Active, final.Tables, final.Queues = false, nil, nil
	k.ended[name] = ended{final, a.queue}
	if err != nil {
		return final, fmt.Errorf("undo %s: %w", name, err)
	}
	return k.Status(name)
}

// Status looks at the kernel anew. Of a fault that was undone it gives the final figures, and the
// tables and queues that are nevertheless there.
func (k *Kernel) Status(name string) (Status, error) {
	queue := -1
	s := Status{}
	if e, was := k.ended[name]; was {
		s, queue = e.final, e.queue
	}
	s.Name = name
	tables, n, err := look(name)
	if err != nil {
		return s, err
	}
	bound, err := boundQueues()
	if err != nil {
		return s, err
	}
	if s.Addrs, err = addresses(); err != nil {
		return s, err
	}
	if a := k.active[name]; a != nil {
		queue = a.queue
		s.Active, s.IPv6 = true, a.ipv6
		s.Matched, s.Dropped, s.Queued = n.matched, n.dropped, n.queued
		s.Lost = bound[queue]
		if a.holder != nil {
			a.holder.report(&s)
		}
	}
	s.Tables = tables
	if _, there := bound[queue]; there {
		s.Queues = []int{queue}
	}
	return s, nil
}

// Close undoes every fault that is still applied.
func (k *Kernel) Close() error {
	var err error
	for name := range k.active {
		_, e := k.Undo(name)
		err = errors.Join(err, e)
	}
	return err
}

// Probe tries each mechanism in tables of its own that match only addresses reserved for
// documentation (RFC 5737, RFC 3849), so that no packet meets them.
func (k *Kernel) Probe() (Probe, error) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	try := func(r Rules) string {
		r.Name = "probe"
		a := &applied{queue: -1}
		err := errors.Join(a.apply(r), a.undo())
		switch {
		case err != nil:
			return err.Error()
		default:
			return a.ipv6
		}
	}
	return Probe{
		Owner: try(Rules{Peers: []netip.Addr{v4}}),
		Loss:  try(Rules{Peers: []netip.Addr{v4}, LossPercent: 1}),
		Delay: try(Rules{Peers: []netip.Addr{v4}, Delay: 1}),
		IPv6:  try(Rules{Peers: []netip.Addr{v6}, LossPercent: 1, Delay: 1}),
	}, nil
}

// boundQueues gives the queues of the namespace that somebody listens on, with the packets each
// lost to overflow.
func boundQueues() (map[int]uint64, error) {
	// Subtle: /proc/net is the main thread's namespace; threads may differ in tests.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
	if errors.Is(err, os.ErrNotExist) {
		return map[int]uint64{}, nil // a kernel without queues has none bound
	}
	if err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	bound := map[int]uint64{}
	for line := range strings.Lines(string(b)) {
		// number, port id, waiting, copy mode, copy range, dropped in the queue, dropped on the way, ...
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		num, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, fmt.Errorf("queues: %w", err)
		}
		full, err1 := strconv.ParseUint(f[5], 10, 64)
		user, err2 := strconv.ParseUint(f[6], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("queues: %w", err)
		}
		bound[num] = full + user
	}
	return bound, nil
}

// addresses are those of the namespace's interfaces, without loopback.
func addresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && !p.Addr().IsLoopback() {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out, nil
}
