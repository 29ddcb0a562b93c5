package loadgen

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// From when on a second counts as a stall of the host. Each is far above what two busy cores show, and
// long enough for a health check to run into its time limit.
const (
	stallSteal = 0.25                   // of all cores, given to others
	stallWait  = 100 * time.Millisecond // ready work waited that long for a core, at p99
	stallLate  = 500 * time.Millisecond // the second took that much longer
)

// is says whether the second was a stall. The sliver at the end of a run says nothing about one.
func (s Stall) is() bool {
	return s.For >= time.Second/2 && (s.Steal >= stallSteal || s.SchedP99 >= stallWait || s.For >= time.Second+stallLate)
}

func (m *monitor) noteStall(s Stall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.is() {
		m.stalls = append(m.stalls, s)
	}
}

// ticks are the processor's times since the start of the host, in USER_HZ.
type ticks struct{ total, steal uint64 }

// hostTicks reads the times of all cores together. It is best effort: where /proc cannot be read no
// steal is seen, and the other signals of a stall remain.
func hostTicks() ticks {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks{}
	}
	return parseTicks(string(data))
}

// parseTicks reads the first line of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq,
// softirq and steal. The two behind them, guest and guest_nice, are in user and nice already.
func parseTicks(stat string) ticks {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return ticks{}
	}
	var t ticks
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return ticks{}
		}
		t.total += n
		if i == 7 {
			t.steal = n
		}
	}
	return t
}

// stolenSince is the share of all cores that was stolen between two readings, 0 to 1.
func (t ticks) stolenSince(before ticks) float64 {
	if t.total <= before.total || t.steal < before.steal || before.total == 0 {
		return 0
	}
	return float64(t.steal-before.steal) / float64(t.total-before.total)
}
