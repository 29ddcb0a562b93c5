package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"squall/chaos/agent"
	"squall/target"
	"sync"
	"time"
)

const (
	// heartbeatEvery renews the agent's lease of agent.TTL with room for four misses.
	heartbeatEvery = time.Second
	// agentEndsWithin is how long an agent may take to end once its stdin is closed.
	agentEndsWithin = 5 * time.Second
)

// netAdmin is all that an agent may do: change the rules of its network namespace.
const netAdmin = "NET_ADMIN"

// sidecar is a running agent in a node's network namespace, kept alive by heartbeats.
type sidecar struct {
	node    target.Node
	hello   agent.Hello
	process *target.Sidecar

	asking   chan struct{} // holds one token: one request at a time
	id       uint64
	requests chan agent.Request  // to write
	answers  chan agent.Response // from read; closed when the agent's output ends
	broken   chan struct{}       // closed by write when the agent takes no more requests
	done     chan struct{}       // closed by close
	running  sync.WaitGroup
}

// attach starts an agent in the network namespace of n and checks that it is the right one. The caller
// must close it.
func attach(ctx context.Context, sys System, n target.Node, name string) (*sidecar, error) {
	process, err := sys.Sidecar(ctx, n, name, []string{"agent"}, []string{netAdmin})
	if err != nil {
		return nil, fmt.Errorf("agent on %s: %w", n.Name, err)
	}
	s := &sidecar{
		node: n, process: process,
		asking: make(chan struct{}, 1), requests: make(chan agent.Request),
		answers: make(chan agent.Response, 16), broken: make(chan struct{}), done: make(chan struct{}),
	}
	s.running.Go(s.read)
	s.running.Go(s.write)
	s.running.Go(func() { s.beat(context.WithoutCancel(ctx)) })
	if err := s.greet(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// greet asks the agent who it is. A namespace without the node's address is somebody else's, and no
// rule may be made there.
func (s *sidecar) greet(ctx context.Context) error {
	r, err := s.ask(ctx, agent.Request{Op: agent.OpHello})
	switch {
	case err != nil:
		return err
	case r.Hello == nil || r.Hello.Version != agent.Version:
		return fmt.Errorf("agent on %s: speaks another version than %d: is the image stale?",
			s.node.Name, agent.Version)
	}
	s.hello = *r.Hello
	if s.node.Addr.IsValid() && !slices.Contains(s.hello.Addrs, s.node.Addr.Unmap()) {
		return fmt.Errorf("agent on %s: its namespace has addresses %v and not %s",
			s.node.Name, s.hello.Addrs, s.node.Addr)
	}
	return nil
}

// status sends q and returns the status it is answered with.
func (s *sidecar) status(ctx context.Context, q agent.Request) (agent.Status, error) {
	r, err := s.ask(ctx, q)
	if err != nil {
		return agent.Status{}, err
	}
	if r.Status == nil {
		return agent.Status{}, fmt.Errorf("agent on %s: %s: answer without status", s.node.Name, q.Op)
	}
	return *r.Status, nil
}

// errAgentGone says that the agent has ended, and with it whatever it had installed.
var errAgentGone = errors.New("agent is gone")

// ask sends one request and waits for its answer. An answer to an earlier request that nobody waited
// for any more is passed over.
func (s *sidecar) ask(ctx context.Context, q agent.Request) (agent.Response, error) {
	fail := func(err error) (agent.Response, error) {
		return agent.Response{}, fmt.Errorf("agent on %s: %s: %w", s.node.Name, q.Op, err)
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	s.id++
	q.ID = s.id
	select {
	case s.requests <- q:
	case <-s.broken:
		return fail(errAgentGone)
	case <-s.done:
		return fail(errAgentGone)
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	for {
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-s.broken:
			return fail(errAgentGone)
		case <-s.done:
			return fail(errAgentGone)
		case r, open := <-s.answers:
			switch {
			case !open:
				return fail(errAgentGone)
			case r.ID != q.ID:
				continue
			case r.Error != "":
				return r, fmt.Errorf("agent on %s: %s: %s", s.node.Name, q.Op, r.Error)
			}
			return r, nil
		}
	}
}

// write sends requests until one cannot be sent. It is a goroutine of its own, because a write to a
// Docker that hangs heeds no context.
func (s *sidecar) write() {
	enc := json.NewEncoder(s.process.Stdin)
	for {
		select {
		case <-s.done:
			return
		case q := <-s.requests:
			if err := enc.Encode(q); err != nil {
				close(s.broken)
				return
			}
		}
	}
}

// read hands over the agent's answers until its output ends.
func (s *sidecar) read() {
	defer close(s.answers)
	dec := json.NewDecoder(s.process.Stdout)
	for {
		var r agent.Response
		if err := dec.Decode(&r); err != nil {
			return // the end of the output, however it came: ask says that the agent is gone
		}
		select {
		case s.answers <- r:
		case <-s.done:
			return
		}
	}
}

// beat sends heartbeats until close.
func (s *sidecar) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			within, cancel := context.WithTimeout(ctx, askWithin)
			// A missed beat is not an error here: the next request says what is wrong.
			_, _ = s.ask(within, agent.Request{Op: agent.OpHeartbeat})
			cancel()
		}
	}
}

// close ends the agent by closing its stdin, and waits until it has ended.
func (s *sidecar) close() error {
	close(s.done)
	err := errors.Join(s.process.Stdin.Close(), s.process.Close())
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	t := time.NewTimer(agentEndsWithin)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		err = errors.Join(err, fmt.Errorf("still runs %s after its stdin was closed", agentEndsWithin))
	}
	if err != nil {
		return fmt.Errorf("agent on %s: close: %w", s.node.Name, err)
	}
	return nil
}
