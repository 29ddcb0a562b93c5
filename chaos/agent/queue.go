package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// queue speaks nfnetlink_queue over a netlink socket: the kernel hands over the id of every held
// packet, and each packet stays in the kernel until its verdict is sent. Packet contents are never
// copied. Constants and layouts: linux/netfilter/nfnetlink_queue.h.
type queue struct {
	fd  int // netlink, non-blocking
	num uint16
	seq uint32
	in  []byte
	out []byte
}

const (
	nfqPacket       = 0 // message types
	nfqConfig       = 2
	nfqVerdictBatch = 3

	nfqCfgCmd      = 1 // attributes of a configuration
	nfqCfgParams   = 2
	nfqCfgQueueMax = 3
	nfqCfgMask     = 4
	nfqCfgFlags    = 5

	nfqFailOpen = 1 // a full queue lets packets pass
	nfqGSO      = 4 // large packets come whole: a sixth of the work, measured

	nfqAttrPacketHdr  = 1
	nfqAttrVerdictHdr = 2

	nfqAccept = 1

	nfqMaxHeld    = 1 << 16  // packets held at most, then they pass undelayed
	nfqReadBuffer = 16 << 20 // bytes; a burst of ids must not overflow the socket
	nfqReadBatch  = 256      // packets read before due ones are released

	firstQueue = 7000 // numbers tried from here on, away from what others like to use
	queueTries = 64
)

// openQueue binds the first free queue from firstQueue on. The caller must close it.
func openQueue() (*queue, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("queue socket: %w", err)
	}
	q := &queue{fd: fd, in: make([]byte, 64<<10), out: make([]byte, 0, 256)}
	if err := q.setUp(); err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

func (q *queue) setUp() error {
	if err := unix.Bind(q.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("queue socket: %w", err)
	}
	if err := unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, nfqReadBuffer); err != nil {
		// A rootless Docker forbids it. A smaller buffer loses packets sooner; Status.Lost counts them.
		if err := unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, nfqReadBuffer); err != nil {
			return fmt.Errorf("queue read buffer: %w", err)
		}
	}
	if err := unix.SetsockoptInt(q.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return fmt.Errorf("queue socket: %w", err)
	}
	if err := q.bind(); err != nil {
		return err
	}
	const copyMeta = 1
	body := attr(nil, nfqCfgParams, append(binary.BigEndian.AppendUint32(nil, 0), copyMeta))
	body = attr(body, nfqCfgQueueMax, binary.BigEndian.AppendUint32(nil, nfqMaxHeld))
	body = attr(body, nfqCfgFlags, binary.BigEndian.AppendUint32(nil, nfqFailOpen|nfqGSO))
	body = attr(body, nfqCfgMask, binary.BigEndian.AppendUint32(nil, nfqFailOpen|nfqGSO))
	if err := q.ask(body); err != nil {
		return fmt.Errorf("configure queue %d: %w", q.num, err)
	}
	return nil
}

// bind takes the first free number; one that another process listens on gives EPERM or EBUSY.
func (q *queue) bind() error {
	var err error
	for n := range uint16(queueTries) {
		q.num = firstQueue + n
		err = q.ask(attr(nil, nfqCfgCmd, []byte{1, 0, 0, unix.AF_INET})) // NFQNL_CFG_CMD_BIND
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EPERM) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("bind queue %d: %w", q.num, err)
	}
	return nil
}

// close closes the socket; the kernel drops what is still held and forgets the queue.
func (q *queue) close() error { return unix.Close(q.fd) }

// attr appends one netlink attribute, padded to four bytes.
func attr(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data))) //nolint:gosec // an attribute of ours is a few bytes
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// send sends one message to this queue.
func (q *queue) send(typ, flags uint16, body []byte) error {
	q.seq++
	b := q.out[:0]
	b = binary.NativeEndian.AppendUint32(b, uint32(20+len(body))) //nolint:gosec // a message of ours is a few attributes
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_QUEUE<<8|typ)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, q.seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, unix.AF_UNSPEC, 0)
	b = binary.BigEndian.AppendUint16(b, q.num)
	b = append(b, body...)
	q.out = b
	return unix.Sendto(q.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// ask sends a configuration message and waits up to a second for the kernel's answer.
func (q *queue) ask(body []byte) error {
	if err := q.send(nfqConfig, unix.NLM_F_ACK, body); err != nil {
		return err
	}
	deadline := time.Now().Add(time.Second)
	for time.Now().Before(deadline) {
		n, _, err := unix.Recvfrom(q.fd, q.in, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			if err := wait(deadline, q.fd); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if n >= 20 && binary.NativeEndian.Uint16(q.in[4:]) == unix.NLMSG_ERROR {
			if e := binary.NativeEndian.Uint32(q.in[16:]); e != 0 { // an int below zero
				return unix.Errno(-e)
			}
			return nil
		}
	}
	return errors.New("no answer from the kernel")
}

// read appends the ids of the packets that wait, without blocking.
func (q *queue) read(ids []uint32) ([]uint32, error) {
	for range nfqReadBatch {
		n, _, err := unix.Recvfrom(q.fd, q.in, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return ids, nil
		case errors.Is(err, unix.ENOBUFS): // the kernel counts what it lost: queueDropped
			continue
		case err != nil:
			return ids, fmt.Errorf("read queue %d: %w", q.num, err)
		}
		ids = packetIDs(ids, q.in[:n])
	}
	return ids, nil
}

// packetIDs appends the packet ids of all messages in b.
func packetIDs(ids []uint32, b []byte) []uint32 {
	for len(b) >= 16 {
		l := int(binary.NativeEndian.Uint32(b))
		if l < 16 || l > len(b) {
			return ids
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NFNL_SUBSYS_QUEUE<<8|nfqPacket && l >= 20 {
			if id, ok := packetID(b[20:l]); ok {
				ids = append(ids, id)
			}
		}
		b = b[min((l+3)&^3, len(b)):]
	}
	return ids
}

// packetID finds the packet header among the attributes a of one message.
func packetID(a []byte) (id uint32, found bool) {
	for len(a) >= 4 {
		l := int(binary.NativeEndian.Uint16(a))
		if l < 4 || l > len(a) {
			return 0, false
		}
		if binary.NativeEndian.Uint16(a[2:])&0x3fff == nfqAttrPacketHdr && l >= 8 {
			return binary.BigEndian.Uint32(a[4:]), true
		}
		a = a[min((l+3)&^3, len(a)):]
	}
	return 0, false
}

// acceptUpTo lets packet id and every packet that came before it go on.
func (q *queue) acceptUpTo(id uint32) error {
	d := binary.BigEndian.AppendUint32(make([]byte, 0, 8), nfqAccept)
	d = binary.BigEndian.AppendUint32(d, id)
	err := q.send(nfqVerdictBatch, 0, attr(make([]byte, 0, 12), nfqAttrVerdictHdr, d))
	if err != nil {
		return fmt.Errorf("verdict of queue %d: %w", q.num, err)
	}
	return nil
}

// wait returns when one of fds is readable or at until. ppoll counts in nanoseconds; Go's own timers
// would round the release of a packet to about a millisecond.
func wait(until time.Time, fds ...int) error {
	poll := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		poll[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} //nolint:gosec // the kernel numbers descriptors in 31 bits
	}
	t := unix.NsecToTimespec(max(0, time.Until(until)).Nanoseconds())
	if _, err := unix.Ppoll(poll, &t, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}
