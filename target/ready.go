package target

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	role     Role
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
//
// Only the first database node asks after the whole cluster: Patroni's HTTP server is Python, and
// four nodes asking all four slowed the start that they waited for.
func (s *System) awaitReady(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed []*NotReadyError
	)
	asked := false
	for _, n := range s.Nodes() {
		check := s.checkNode
		if n.Role == RoleDatabase || n.Role == RoleReplica {
			if asked {
				check = s.checkDatabase
			}
			asked = true
		}
		wg.Go(func() {
			err := s.awaitNode(ctx, n, check)
			if err == nil {
				took := time.Since(began)
				s.report(Step{Name: "node " + n.Name, Text: "healthy", Done: true, Took: took})
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
			if err.State != "running" {
				cancel() // it will not come back by itself
			}
		})
	}
	wg.Wait()
	if len(failed) == 0 {
		return nil
	}
	return rootCause(failed)
}

// rootCause picks, of the nodes that were not ready, the one that kept the others from it: one that
// does not run before those that wait, and then in the order in which the roles build on each other.
func rootCause(failed []*NotReadyError) error {
	order := startOrder()
	return slices.MinFunc(failed, func(a, b *NotReadyError) int {
		if aRuns, bRuns := a.State == "running", b.State == "running"; aRuns != bRuns {
			if bRuns {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(slices.Index(order, a.role), slices.Index(order, b.role)),
			cmp.Compare(a.Node, b.Node))
	})
}

// awaitNode polls one node until it is healthy. Its error describes the node as it was found last.
func (s *System) awaitNode(
	ctx context.Context, n Node, check func(context.Context, Node) error,
) *NotReadyError {
	reason := errors.New("never asked")
	for {
		err := check(ctx, n)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else it only says that the wait has ended
			reason = err
		}
		running, _, err := s.Running(ctx, n)
		if ended := err == nil && !running; ended || pause(ctx, 300*time.Millisecond) != nil {
			return s.notReady(ctx, n, reason)
		}
	}
}

// notReady collects what is known of a node; it works after the wait's context has ended.
func (s *System) notReady(ctx context.Context, n Node, reason error) *NotReadyError {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	e := &NotReadyError{Node: n.Name, State: "missing", Reason: reason.Error(), role: n.Role}
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
		if err := s.checkDatabase(ctx, n); err != nil {
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

// checkDatabase wants PostgreSQL up on this node, in whatever role.
func (s *System) checkDatabase(ctx context.Context, n Node) error {
	_, err := s.expectOK(ctx, n, "patroni", "/health")
	return err
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

// ServersUp names the engines and reporting nodes that the balancer sends requests to now.
func (s *System) ServersUp(ctx context.Context) (map[string]bool, error) {
	up := make(map[string]bool)
	for _, n := range s.role(RoleBalancer) {
		// The servers alone: HAProxy's whole list is ten times as long.
		body, err := s.expectOK(ctx, n, "metrics", "/metrics?scope=server")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
		maps.Copy(up, serversUp(string(body), "engines"))
		maps.Copy(up, serversUp(string(body), "reporting"))
	}
	return up, nil
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
