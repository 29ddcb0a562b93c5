package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// ErrNoPrimary and ErrTwoPrimaries say that the cluster has not exactly one primary now.
var (
	ErrNoPrimary    = errors.New("no database node is primary")
	ErrTwoPrimaries = errors.New("more than one database node says it is primary")
)

// patroniStatus is what a database node says of itself.
type patroniStatus struct {
	State       string `json:"state"`
	Role        string `json:"role"`
	Timeline    int    `json:"timeline"`
	Replication string `json:"replication_state"`
}

// patroniMember is one line of what a node says of the whole cluster.
type patroniMember struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	State    string `json:"state"`
	Timeline int    `json:"timeline"`
	Lag      any    `json:"lag"` // bytes, or "unknown"
}

// get asks a service of a node and returns the status and at most 4 MiB of the body.
func (s *System) get(ctx context.Context, n Node, service, path string) (int, []byte, error) {
	address := n.Endpoints[service]
	if address == "" {
		return 0, nil, fmt.Errorf("%s has no port for %s", n.Name, service)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response.StatusCode, body, err
}

// expectOK asks a service of a node and turns anything but 200 into an error.
func (s *System) expectOK(ctx context.Context, n Node, service, path string) ([]byte, error) {
	status, body, err := s.get(ctx, n, service, path)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return body, fmt.Errorf("%s answered %d: %s", path, status, firstLine(body))
	}
	return body, nil
}

// databaseRoles asks every database node at once and returns the primaries, with their status, and
// the running standbys, each in the order of their names. A node that does not answer is neither.
func (s *System) databaseRoles(ctx context.Context) (primaries, standbys []Node,
	status map[string]patroniStatus,
) {
	nodes := s.role(RoleDatabase)
	status = make(map[string]patroniStatus, len(nodes))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			code, body, err := s.get(ctx, n, "patroni", "/primary")
			var said patroniStatus
			if err != nil || json.Unmarshal(body, &said) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			status[n.Name] = said
			switch {
			case code == http.StatusOK:
				primaries = append(primaries, n)
			case said.State == "running" || said.State == "streaming":
				standbys = append(standbys, n)
			}
		})
	}
	wg.Wait()
	byName := func(a, b Node) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(primaries, byName)
	slices.SortFunc(standbys, byName)
	return primaries, standbys, status
}

// Primary returns the database node that holds the leader's lock now, and its timeline, which
// grows by one with each promotion: a node that was just elected holds the lock for a moment before
// its promotion ends and its timeline grows. It is ErrNoPrimary or ErrTwoPrimaries when there is
// not one.
func (s *System) Primary(ctx context.Context) (Node, int, error) {
	primaries, _, status := s.databaseRoles(ctx)
	switch len(primaries) {
	case 0:
		return Node{}, 0, ErrNoPrimary
	case 1:
		return primaries[0], status[primaries[0].Name].Timeline, nil
	default:
		return Node{}, 0, fmt.Errorf("%w: %s and %s", ErrTwoPrimaries, primaries[0].Name, primaries[1].Name)
	}
}

// cluster returns what the given node knows of all members.
func (s *System) cluster(ctx context.Context, n Node) ([]patroniMember, error) {
	body, err := s.expectOK(ctx, n, "patroni", "/cluster")
	if err != nil {
		return nil, err
	}
	var said struct {
		Members []patroniMember `json:"members"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("/cluster: %w", err)
	}
	return said.Members, nil
}

// checkCluster says what is missing until every database node and replica is there, one of them
// leads, and all others stream from it, in quorum mode with a vote.
func (s *System) checkCluster(ctx context.Context) error {
	primary, _, err := s.Primary(ctx)
	if err != nil {
		return err
	}
	members, err := s.cluster(ctx, primary)
	if err != nil {
		return fmt.Errorf("%s: %w", primary.Name, err)
	}
	seen := make(map[string]patroniMember, len(members))
	for _, m := range members {
		seen[m.Name] = m
	}
	var missing []string
	for _, n := range s.role(RoleDatabase, RoleReplica) {
		m, known := seen[n.Name]
		switch {
		case !known:
			missing = append(missing, n.Name+" is no member yet")
		case n.Name == primary.Name:
			if m.State != "running" {
				missing = append(missing, n.Name+" is "+m.State)
			}
		case m.State != "streaming":
			missing = append(missing, n.Name+" is "+m.State+", not streaming")
		case n.Role == RoleDatabase && s.spec.Replication == "quorum" && m.Role != "quorum_standby":
			missing = append(missing, n.Name+" has no vote in the quorum yet")
		}
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

// firstLine returns the beginning of a body for an error text.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line[:min(len(line), 200)]
}
