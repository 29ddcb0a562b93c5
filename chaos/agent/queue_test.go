package agent

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// packetMessage is what the kernel sends for one packet: an nfgenmsg and its attributes.
func packetMessage(id uint32, before ...byte) []byte {
	body := append([]byte{unix.AF_INET, 0, 0, 0}, before...)
	head := binary.BigEndian.AppendUint32(nil, id)
	body = append(body, attr(nil, nfqAttrPacketHdr, append(head, 8, 0, 1))...) // protocol and hook
	b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_QUEUE<<8|nfqPacket)
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

func TestPacketIDs(t *testing.T) {
	other := attr(nil, 3, []byte{1, 2, 3, 4, 5})
	for _, c := range []struct {
		name string
		b    []byte
		want []uint32
	}{
		{"one", packetMessage(7), []uint32{7}},
		{"two in one read", append(packetMessage(7), packetMessage(0x01020304)...), []uint32{7, 0x01020304}},
		{"behind another attribute", packetMessage(9, other...), []uint32{9}},
		{"nothing", nil, nil},
		{"cut off", packetMessage(7)[:18], nil},
		{"second one cut off", append(packetMessage(7), packetMessage(8)[:20]...), []uint32{7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, packetIDs(nil, c.b)); diff != "" {
				t.Errorf("packetIDs() (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzPacketIDs(f *testing.F) {
	f.Add(packetMessage(7))
	f.Add(append(packetMessage(7), packetMessage(8)[:20]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := len(packetIDs(nil, b)); got > len(b)/16 {
			t.Errorf("packetIDs found %d ids in %d bytes", got, len(b))
		}
	})
}

func TestHowLongStaysWithinTheJitter(t *testing.T) {
	h := &holder{delay: 10 * time.Millisecond, jitter: 3 * time.Millisecond, draw: rand.New(rand.NewPCG(1, 1))}
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		d := h.howLong()
		least, most = min(least, d), max(most, d)
	}
	if least < 7*time.Millisecond || least > 7200*time.Microsecond || most > 13*time.Millisecond || most < 12800*time.Microsecond {
		t.Errorf("howLong() from %s to %s, want 7ms to 13ms", least, most)
	}
}
