package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// logLines is how many of a node's last log lines an error shows.
const logLines = 20

// NotReadyError says which node kept the system from being ready, and what is known of it.
type NotReadyError struct {
	Node     string
	State    string // "running", "exited", "paused", "missing"
	ExitCode int    // of an exited node
	Reason   string // what was missing
	Log      string // its last log lines
}

func (e *NotReadyError) Error() string {
	state := e.State
	if e.State == "exited" {
		state = fmt.Sprintf("exited with code %d", e.ExitCode)
	}
	return fmt.Sprintf("%s is not ready (%s): %s; its last log lines:\n  %s", e.Node, state, e.Reason,
		strings.ReplaceAll(strings.TrimSpace(e.Log), "\n", "\n  "))
}

// awaitReady returns once every node is healthy. A node that exited ends the wait at once.
func (s *System) awaitReady(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for _, n := range s.Nodes() {
		wg.Go(func() {
			err := s.awaitNode(ctx, n)
			if err == nil {
				s.report(Step{Name: "node " + n.Name, Text: "healthy", Done: true, Took: time.Since(began)})
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// awaitNode polls one node until it is healthy. Its error describes the node as it was found last.
func (s *System) awaitNode(ctx context.Context, n Node) error {
	for {
		reason := s.checkNode(ctx, n)
		if reason == nil {
			return nil
		}
		running, _, err := s.Running(ctx, n)
		if ended := err == nil && !running; ended || pause(ctx, 200*time.Millisecond) != nil {
			return s.notReady(n, reason)
		}
	}
}

// notReady collects what is known of a node; it works after the wait's context has ended.
func (s *System) notReady(n Node, reason error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e := &NotReadyError{Node: n.Name, State: "missing", Reason: reason.Error()}
	if state, err := s.state(ctx, n); err == nil {
		e.State, e.ExitCode = string(state.Status), state.ExitCode
	}
	text, err := s.Logs(ctx, n, logLines)
	if err != nil {
		text = "no log: " + err.Error()
	}
	e.Log = text
	return e
}

// checkNode says what is missing until the node does its work, nil when nothing is.
func (s *System) checkNode(ctx context.Context, n Node) error {
	switch n.Role {
	case RoleEngine, RoleWorker, RoleReporting:
		_, err := s.expectOK(ctx, n, "http", "/readyz")
		return err
	case RoleConsensus:
		_, err := s.expectOK(ctx, n, "etcd", "/health")
		return err
	case RoleQueue:
		return s.checkQueue(ctx, n)
	case RoleDatabase, RoleReplica:
		if _, err := s.expectOK(ctx, n, "patroni", "/health"); err != nil {
			return err
		}
		return s.checkCluster(ctx)
	case RoleDatabaseBalancer:
		return s.checkDatabaseBalancer(ctx, n)
	case RoleBalancer:
		return s.checkBalancer(ctx, n)
	default:
		return fmt.Errorf("role %q has no health check", n.Role)
	}
}

// checkQueue wants the server healthy, JetStream included, and the cluster's metadata led.
func (s *System) checkQueue(ctx context.Context, n Node) error {
	if _, err := s.expectOK(ctx, n, "monitor", "/healthz"); err != nil {
		return err
	}
	if len(s.role(RoleQueue)) == 1 {
		return nil
	}
	body, err := s.expectOK(ctx, n, "monitor", "/jsz")
	if err != nil {
		return err
	}
	var said struct {
		Meta *struct {
			Leader string `json:"leader"`
		} `json:"meta_cluster"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return fmt.Errorf("/jsz: %w", err)
	}
	if said.Meta == nil || said.Meta.Leader == "" {
		return errors.New("JetStream has no leader yet")
	}
	return nil
}

// checkDatabaseBalancer wants the primary behind one port and a readable node behind the other.
func (s *System) checkDatabaseBalancer(ctx context.Context, n Node) error {
	body, err := s.expectOK(ctx, n, "metrics", "/metrics")
	if err != nil {
		return err
	}
	for _, proxy := range []string{"primary", "read"} {
		if len(serversUp(string(body), proxy)) == 0 {
			return fmt.Errorf("no server is up behind %q", proxy)
		}
	}
	return nil
}

// checkBalancer wants every engine and every reporting node up behind the balancer, and an engine
// ready through it.
func (s *System) checkBalancer(ctx context.Context, n Node) error {
	body, err := s.expectOK(ctx, n, "metrics", "/metrics")
	if err != nil {
		return err
	}
	for proxy, role := range map[string]Role{"engines": RoleEngine, "reporting": RoleReporting} {
		up := serversUp(string(body), proxy)
		for _, member := range s.role(role) {
			if !up[member.Name] {
				return fmt.Errorf("%s is not up behind the balancer", member.Name)
			}
		}
	}
	_, err = s.expectOK(ctx, n, "http", "/readyz")
	return err
}

// serversUp reads which servers of a proxy HAProxy's exporter calls up.
func serversUp(metrics, proxy string) map[string]bool {
	up := make(map[string]bool)
	for line := range strings.Lines(metrics) {
		rest, found := strings.CutPrefix(line, `haproxy_server_status{proxy="`+proxy+`",server="`)
		if !found {
			continue
		}
		name, rest, _ := strings.Cut(rest, `"`)
		if strings.HasPrefix(rest, `,state="UP"} 1`) || strings.HasPrefix(rest, `,state="NOLB"} 1`) {
			up[name] = true
		}
	}
	return up
}
