package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"squall/chaos/agent"
	"squall/target"
	"strings"
	"sync"
	"time"
)

const (
	networkUndoWithin = 15 * time.Second
	// feltDelayShare of the delay asked for must be achieved at the median.
	feltDelayShare = 0.8
	// feltLossSigmas is how many standard deviations of a binomial draw the packets dropped may be away
	// from the share asked for: by chance that happens once in 16,000 times.
	feltLossSigmas = 4
)

// packets delays or drops the packets that arrive at its targets, by an agent in the network
// namespace of each. It is the fault behind latency and loss: both may carry the other's figures.
type packets struct {
	spec Spec
	Deps

	targets []target.Node
	peers   []netip.Addr
	seed    uint64
	spread  time.Duration // between the first and the last target being hit

	mu    sync.Mutex // guards agents
	found map[string]*sidecar
	lost  map[string]error // agents that ended by themselves, by node
}

func (p *packets) Mechanism() string         { return p.spec.Kind }
func (p *packets) UndoWithin() time.Duration { return networkUndoWithin }

// Resolve picks targets and peers now; addresses change when a container restarts.
func (p *packets) Resolve(ctx context.Context) (Resolved, error) {
	var err error
	if p.targets, err = p.System.Select(ctx, p.spec.Select, p.Draw); err != nil {
		return Resolved{}, fmt.Errorf("select: %w", err)
	}
	p.seed = p.Draw.Uint64()
	before := map[string]string{"rules": "none"}
	if p.spec.Peer != nil {
		peers, err := p.System.Select(ctx, *p.spec.Peer, p.Draw)
		if err != nil {
			return Resolved{}, fmt.Errorf("peer: %w", err)
		}
		for _, n := range peers {
			if !n.Addr.IsValid() {
				return Resolved{}, fmt.Errorf("peer: %s has no address", n.Name)
			}
			p.peers = append(p.peers, n.Addr)
		}
		before["peers"] = strings.Join(names(peers), ", ")
	}
	p.found, p.lost = map[string]*sidecar{}, map[string]error{}
	return Resolved{Targets: p.targets, Inverse: InverseSidecar, Before: before}, nil
}

// Inject attaches all agents first, so that the rules follow within milliseconds of one another.
func (p *packets) Inject(ctx context.Context) (effective time.Time, err error) {
	if err := each(p.targets, func(n target.Node) error {
		s, err := attach(ctx, p.System, n, p.spec.Name)
		if err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found[n.Name] = s
		return nil
	}); err != nil {
		return time.Time{}, err
	}
	rules := agent.Rules{
		Name: p.spec.Name, Peers: p.peers, Seed: p.seed,
		Delay: p.spec.Delay, Jitter: p.spec.Jitter, LossPercent: float64(p.spec.Loss),
	}
	var mu sync.Mutex
	var acks []time.Time
	err = each(p.targets, func(n target.Node) error {
		if _, err := p.found[n.Name].status(ctx, agent.Request{Op: agent.OpApply, Rules: &rules}); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		acks = append(acks, time.Now())
		return nil
	})
	if err != nil || len(acks) == 0 {
		return time.Time{}, err
	}
	effective = slices.MaxFunc(acks, time.Time.Compare)
	p.spread = effective.Sub(slices.MinFunc(acks, time.Time.Compare))
	return effective, nil
}

// Hold waits; the sidecars renew their leases by themselves.
func (p *packets) Hold(ctx context.Context) { <-ctx.Done() }

// Measure asks every agent what it did. The fault is felt only if every target felt it; a loss is
// judged over the packets of all targets together, since a target may see too few of them to lose one.
func (p *packets) Measure(ctx context.Context) (Effect, bool, error) {
	var mu sync.Mutex
	seen := map[string]agent.Status{}
	err := each(p.targets, func(n target.Node) error {
		st, err := p.found[n.Name].status(ctx, agent.Request{Op: agent.OpStatus, Name: p.spec.Name})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		seen[n.Name] = st
		return nil
	})
	e := Effect{Asked: p.asked(), Details: map[string]string{"backend": p.backend()}}
	e.Measured = map[string]float64{"apply_spread_ms": ms(p.spread)}
	var said, restarted []string
	felt := err == nil && len(p.targets) > 0
	for _, n := range p.targets {
		st, answered := seen[n.Name]
		if !answered {
			said = append(said, n.Name+": no answer from its agent")
			continue
		}
		why := notFelt(p.spec, st)
		felt = felt && why == ""
		text := describe(st) + why
		said, e.Details[n.Name] = append(said, n.Name+": "+text), text
		if n.Addr.IsValid() && !slices.Contains(st.Addrs, n.Addr.Unmap()) {
			restarted = append(restarted, n.Name)
		}
		if st.IPv6 != "" {
			e.Details["ipv6"] = "not covered: " + st.IPv6
		}
		p.sum(&e, st)
	}
	if why := p.lossNotFelt(e.Measured); felt && why != "" {
		felt, said = false, append(said, why)
	}
	if len(restarted) > 0 {
		e.Details["restarted"] = strings.Join(restarted, ", ")
		said = append(said,
			"stopped or restarted while the fault was up, and free of it since: "+e.Details["restarted"])
	}
	e.Summary = strings.Join(said, "; ")
	return e, felt, err
}

func (p *packets) asked() map[string]float64 {
	asked := map[string]float64{"targets": float64(len(p.targets))}
	if p.spec.Delay > 0 {
		asked["delay_ms"], asked["jitter_ms"] = ms(p.spec.Delay), ms(p.spec.Jitter)
	}
	if p.spec.Loss > 0 {
		asked["loss_percent"] = float64(p.spec.Loss)
	}
	return asked
}

func (p *packets) backend() string {
	var used []string
	if p.spec.Loss > 0 {
		used = append(used, "nftables numgen")
	}
	if p.spec.Delay > 0 {
		used = append(used, "nfqueue")
	}
	return strings.Join(used, " + ")
}

// sum adds one target's figures: packets add up, of the delays the least favourable counts.
func (p *packets) sum(e *Effect, st agent.Status) {
	m := e.Measured
	m["packets"] += float64(st.Matched)
	if p.spec.Loss > 0 {
		m["dropped"] += float64(st.Dropped)
		m["loss_percent"] = 0
		if m["packets"] > 0 {
			m["loss_percent"] = 100 * m["dropped"] / m["packets"]
		}
	}
	if p.spec.Delay > 0 {
		m["held"] += float64(st.Held)
		m["queue_lost"] += float64(st.Lost)
		if least, had := m["delay_ms_p50"]; !had || ms(st.HoldP50) < least {
			m["delay_ms_p50"] = ms(st.HoldP50)
		}
		m["delay_ms_p99"] = max(m["delay_ms_p99"], ms(st.HoldP99))
	}
}

func describe(st agent.Status) string {
	text := fmt.Sprintf("%d packets", st.Matched)
	if st.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped (%.2f%%)", st.Dropped, 100*float64(st.Dropped)/float64(st.Matched))
	}
	if st.Held > 0 {
		text += fmt.Sprintf(", held %.1f ms at the median, %.1f ms at p99", ms(st.HoldP50), ms(st.HoldP99))
	}
	if st.Lost > 0 {
		text += fmt.Sprintf(", %d lost by a full queue", st.Lost)
	}
	return text
}

// notFelt says why a fault was not felt by a target, or nothing.
func notFelt(s Spec, st agent.Status) string {
	switch {
	case st.Error != "":
		return ": " + st.Error
	case st.Matched == 0:
		return ": not felt: no packet came"
	case s.Delay > 0 && st.HoldP50 < time.Duration(feltDelayShare*float64(s.Delay)):
		return fmt.Sprintf(": not felt: the median hold is below %g of the %s asked for", feltDelayShare, s.Delay)
	case s.Loss > 0 && !consistent(st.Matched, st.Dropped, float64(s.Loss)/100):
		return fmt.Sprintf(": not felt as asked: the share dropped is not %g%% by chance", float64(s.Loss))
	}
	return ""
}

// lossNotFelt says why the loss over all targets together is not the one asked for, or nothing.
func (p *packets) lossNotFelt(measured map[string]float64) string {
	switch packets, dropped := measured["packets"], measured["dropped"]; {
	case p.spec.Loss == 0:
		return ""
	case dropped == 0:
		return fmt.Sprintf("not felt: none of %.0f packets was dropped", packets)
	case !consistent(uint64(packets), uint64(dropped), float64(p.spec.Loss)/100):
		return fmt.Sprintf("not felt as asked: the share dropped is not %g%% by chance", float64(p.spec.Loss))
	}
	return ""
}

// consistent reports whether dropping that many of n packets, each with the given share, is within
// feltLossSigmas standard deviations of the binomial distribution (and one packet of rounding).
func consistent(n, dropped uint64, share float64) bool {
	mean := float64(n) * share
	sigma := math.Sqrt(mean * (1 - share))
	return math.Abs(float64(dropped)-mean) <= feltLossSigmas*sigma+1
}

// Undo takes the rules away. An agent that ended by itself has taken its rules with it; Verify
// looks whether that is so.
func (p *packets) Undo(ctx context.Context) error {
	return each(p.targets, func(n target.Node) error {
		s := p.agent(n)
		if s == nil {
			return nil
		}
		st, err := s.status(ctx, agent.Request{Op: agent.OpUndo, Name: p.spec.Name})
		switch {
		case errors.Is(err, errAgentGone):
			p.drop(n, err)
			return nil
		case err != nil:
			return err
		case !st.Gone():
			return fmt.Errorf("agent on %s: left after undo: %v, queues %v", n.Name, st.Tables, st.Queues)
		}
		return nil
	})
}

// Verify takes a fresh look at the kernel of each target. Where the agent is gone, another one
// looks.
func (p *packets) Verify(ctx context.Context) error {
	return each(p.targets, func(n target.Node) error {
		s := p.agent(n)
		if s == nil && p.lost[n.Name] == nil {
			return nil // never attached, so there is nothing of ours
		}
		if s == nil {
			running, _, err := p.System.Running(ctx, n)
			if err == nil && !running {
				return nil // the namespace is gone with the node, and the rules with it
			}
			if s, err = attach(ctx, p.System, n, p.spec.Name+"-verify"); err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			p.mu.Lock()
			p.found[n.Name] = s
			p.mu.Unlock()
		}
		st, err := s.status(ctx, agent.Request{Op: agent.OpStatus, Name: p.spec.Name})
		if err != nil {
			return err
		}
		if !st.Gone() {
			return fmt.Errorf("verify: %s still has %v, queues %v", n.Name, st.Tables, st.Queues)
		}
		return nil
	})
}

// Close ends the agents. One that did not undo its rules before does so when its input ends.
func (p *packets) Close() error {
	return each(p.targets, func(n target.Node) error {
		p.mu.Lock()
		s := p.found[n.Name]
		delete(p.found, n.Name)
		p.mu.Unlock()
		if s == nil {
			return nil
		}
		return s.close()
	})
}

func (p *packets) agent(n target.Node) *sidecar {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found[n.Name]
}

// drop forgets an agent that ended by itself.
func (p *packets) drop(n target.Node, why error) {
	p.mu.Lock()
	s := p.found[n.Name]
	delete(p.found, n.Name)
	p.lost[n.Name] = why
	p.mu.Unlock()
	if s != nil {
		// The process has ended; there is nothing that closing could still break.
		_ = s.close()
	}
}
