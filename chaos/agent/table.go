package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tablePrefix begins the name of every table of ours.
const tablePrefix = "squall_"

// The chains of a table. Every packet that a rule of chainIn matches goes on to chainEffect, so a
// counter in chainIn counts the matches and those in chainEffect what became of them:
//
//	input, priority raw          regular chain
//	+ in ------------------+     + effect --------------------------------+
//	| not lo, from peer:   |     | random < loss: counter, drop           |
//	|   counter, jump -----|---> | the rest:      counter, NFQUEUE bypass |
//	+----------------------+     +----------------------------------------+
const (
	chainIn     = "in"
	chainEffect = "effect"
)

// lossModulus is the resolution of the random draw: a ten-thousandth of a percent.
const lossModulus = 1_000_000

// nftTableOwner is NFT_TABLE_F_OWNER (linux/netfilter/nf_tables.h): the kernel deletes the table when
// the socket that made it is closed, however the process ends (Linux 5.12).
const nftTableOwner = 2

// tables is the nftables part of one fault: a table per address family, all owned by one socket.
type tables struct {
	conn *nftables.Conn
	sock *netlink.Conn // the very socket of conn
	name string
}

// tableName is the name of the table of a fault; nft's grammar knows no hyphens.
func tableName(fault string) string { return tablePrefix + strings.ReplaceAll(fault, "-", "_") }

// newTables opens the socket that will own the tables of a fault. The caller must close it.
func newTables(fault string) (*tables, error) {
	t := &tables{name: tableName(fault)}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(s *netlink.Conn) error {
		t.sock = s
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	t.conn = conn
	return t, nil
}

// close closes the socket, and with it the kernel deletes the tables.
func (t *tables) close() error { return t.conn.CloseLasting() }

// own creates the table of one family with the owner flag. google/nftables v0.3.0 always sends
// empty flags, so this one message is sent by hand, over the socket that the package goes on to use.
func (t *tables) own(family nftables.TableFamily) error {
	gen := func(family byte, res uint16) []byte {
		return binary.BigEndian.AppendUint16([]byte{family, 0}, res)
	}
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(t.name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, nftTableOwner)},
	})
	if err != nil {
		return fmt.Errorf("table: %w", err)
	}
	// NLM_F_EXCL: a table of that name that is already there belongs to somebody else.
	create := netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl
	msgs := []netlink.Message{
		{
			Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request},
			Data:   gen(0, unix.NFNL_SUBSYS_NFTABLES),
		},
		{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE, Flags: create},
			Data:   append(gen(byte(family), 0), attrs...),
		},
		{
			Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request},
			Data:   gen(0, unix.NFNL_SUBSYS_NFTABLES),
		},
	}
	if _, err := t.sock.SendMessages(msgs); err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	if _, err := t.sock.Receive(); err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	return nil
}

// install adds chains and rules to the table of one family in one transaction. queue is the number of
// the queue that holds packets, or -1 for none. It does nothing when peers are given and none
// is of this family.
func (t *tables) install(family nftables.TableFamily, r Rules, queue int) error {
	matches := matchPeers(family, r.Peers)
	if len(matches) == 0 {
		return nil
	}
	if err := t.own(family); err != nil {
		return err
	}
	table := &nftables.Table{Family: family, Name: t.name}
	effect := t.conn.AddChain(&nftables.Chain{Name: chainEffect, Table: table})
	for _, e := range effects(r, queue) {
		t.conn.AddRule(&nftables.Rule{Table: table, Chain: effect, Exprs: e})
	}
	in := t.conn.AddChain(&nftables.Chain{
		Name: chainIn, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityRaw,
	})
	for _, m := range matches {
		t.conn.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: append(m, &expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictJump, Chain: chainEffect})})
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("rules of %s: %w", t.name, err)
	}
	return nil
}

// matchPeers gives one match per peer of the family, or one for everybody without peers. None
// matches lo: a node's talk with itself and Docker's DNS (127.0.0.11) stay untouched.
func matchPeers(family nftables.TableFamily, peers []netip.Addr) [][]expr.Any {
	notLo := func() []expr.Any {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, "lo")
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		}
	}
	if len(peers) == 0 {
		return [][]expr.Any{notLo()}
	}
	var out [][]expr.Any
	for _, p := range peers {
		p = p.Unmap()
		offset, size := uint32(12), uint32(4) // the source address in an IPv4 header
		if p.Is6() {
			offset, size = 8, 16
		}
		if p.Is6() != (family == nftables.TableFamilyIPv6) {
			continue
		}
		out = append(out, append(notLo(),
			&expr.Payload{
				DestRegister: 1, Base: expr.PayloadBaseNetworkHeader,
				Offset: offset, Len: size,
			},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.AsSlice()}))
	}
	return out
}

// effects gives the rules of chainEffect: loss first, so that only what survives it is held.
func effects(r Rules, queue int) [][]expr.Any {
	var out [][]expr.Any
	if r.LossPercent > 0 {
		limit := uint32(math.Round(r.LossPercent / 100 * lossModulus))
		out = append(out, []expr.Any{
			&expr.Numgen{Register: 1, Modulus: lossModulus, Type: unix.NFT_NG_RANDOM},
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(limit)},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictDrop},
		})
	}
	if queue >= 0 {
		out = append(out, []expr.Any{&expr.Counter{}, queueTarget(uint16(queue))}) //nolint:gosec // it was a queue.num, a uint16
	}
	return out
}

// queueTarget is the NFQUEUE target of xtables with bypass, reached through nft_compat: it works
// on kernels that lack nft's own queue expression. The bytes are struct xt_NFQ_info_v3
// (linux/netfilter/xt_NFQUEUE.h): queue, number of queues, flags, padding.
func queueTarget(num uint16) expr.Any {
	const bypass = 1
	b := make([]byte, 8)
	binary.NativeEndian.PutUint16(b[0:], num)
	binary.NativeEndian.PutUint16(b[2:], 1)
	binary.NativeEndian.PutUint16(b[4:], bypass)
	info := xt.Unknown(b)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// counted is what the rules of a fault have counted.
type counted struct{ matched, dropped, queued uint64 }

// look lists, over a socket of its own, the tables of a fault that exist now and what they counted.
func look(fault string) (names []string, sum counted, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, sum, fmt.Errorf("netlink: %w", err)
	}
	all, err := c.ListTables()
	if err != nil {
		return nil, sum, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range all {
		if t.Name != tableName(fault) {
			continue
		}
		names = append(names, familyName(t.Family)+" "+t.Name)
		err = errors.Join(err, count(c, t, &sum))
	}
	return names, sum, err
}

func count(c *nftables.Conn, t *nftables.Table, sum *counted) error {
	for _, chain := range []string{chainIn, chainEffect} {
		rules, err := c.GetRules(t, &nftables.Chain{Name: chain, Table: t})
		if err != nil {
			return fmt.Errorf("counters of %s: %w", t.Name, err)
		}
		for _, r := range rules {
			n, kind := readRule(r)
			switch {
			case chain == chainIn:
				sum.matched += n
			case kind == expr.VerdictDrop:
				sum.dropped += n
			default:
				sum.queued += n
			}
		}
	}
	return nil
}

// readRule gives the packets that a rule counted and how it ends; a target counts as VerdictQueue.
func readRule(r *nftables.Rule) (packets uint64, kind expr.VerdictKind) {
	kind = expr.VerdictQueue
	for _, e := range r.Exprs {
		switch x := e.(type) {
		case *expr.Counter:
			packets = x.Packets
		case *expr.Verdict:
			kind = x.Kind
		}
	}
	return packets, kind
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	default:
		return fmt.Sprintf("family-%d", f)
	}
}
