package target

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// ports hands out free loopback ports.
//
// Subtle: they lie below the range from which the kernel takes the ports of outgoing connections.
// A port out of that range could be taken by a connection of the load generator while its container
// is killed, and the container could not start again.
type ports struct {
	mu    sync.Mutex
	rng   *rand.Rand
	low   int
	high  int
	taken map[int]bool
}

// newPorts seeds the choice with the run's id, so that two runs at once rarely try the same port.
func newPorts(runID string) *ports {
	sum := fnv.New64a()
	sum.Write([]byte(runID))
	low, high := 15000, ephemeralLow()
	if high-low < 1000 {
		low, high = 15000, 60000
	}
	return &ports{rng: rand.New(rand.NewPCG(sum.Sum64(), 0)), low: low, high: high, taken: make(map[int]bool)}
}

// next returns a port that nobody listens on and that was not handed out before.
func (p *ports) next(ctx context.Context) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var config net.ListenConfig
	for range 500 {
		port := p.low + p.rng.IntN(p.high-p.low)
		if p.taken[port] {
			continue
		}
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		p.taken[port] = true
		if err := listener.Close(); err != nil {
			return 0, err
		}
		return port, nil
	}
	return 0, fmt.Errorf("find a free port on %s within %d-%d: 500 tries, all taken", loopback, p.low, p.high)
}

// ephemeralLow returns the first port that the kernel takes for outgoing connections.
func ephemeralLow() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\t")
		if low, err := strconv.Atoi(strings.TrimSpace(first)); err == nil {
			return low
		}
	}
	return 32768 // Linux' default
}

// portTaken says whether a container did not start because something else has its port. Docker
// gives this no code of its own.
func portTaken(err error) bool {
	if err == nil {
		return false
	}
	for _, text := range []string{"port is already allocated", "address already in use"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
