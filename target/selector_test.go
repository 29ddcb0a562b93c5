package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeNode is what a fake Patroni says of itself; the zero value does not answer.
type fakeNode struct {
	code   int // of /primary
	status patroniStatus
}

// RoundTrip answers as the node's Patroni. It takes no time and no port: the client's limits of a
// second or two cannot be felt, and nobody else can answer for a silent node.
func (f fakeNode) RoundTrip(*http.Request) (*http.Response, error) {
	if f.code == 0 {
		return nil, syscall.ECONNREFUSED
	}
	answer := httptest.NewRecorder()
	answer.WriteHeader(f.code)
	if err := json.NewEncoder(answer).Encode(f.status); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}

// fakeNodes are the Patroni servers of a system, by their address.
type fakeNodes map[string]fakeNode

// RoundTrip lets the node asked for answer.
func (f fakeNodes) RoundTrip(r *http.Request) (*http.Response, error) {
	node, known := f[r.URL.Host]
	if !known {
		return nil, fmt.Errorf("nobody has the address %s", r.URL.Host)
	}
	return node.RoundTrip(r)
}

// fakeSystem has three engines, and database nodes whose Patroni says what is asked for.
func fakeSystem(t *testing.T, databases map[string]fakeNode) *System {
	t.Helper()
	s := &System{http: newLoopbackClient(), spec: Spec{}.WithDefaults()}
	nodes := make(fakeNodes)
	s.http.Transport = nodes
	for name, fake := range databases {
		address := name + ".test:8008"
		nodes[address] = fake
		s.setNode(Node{
			Name: name, Role: RoleDatabase, Zone: name[len(name)-1:],
			Endpoints: map[string]string{"patroni": address},
		})
	}
	for _, zone := range []string{"a", "b", "c"} {
		s.setNode(Node{Name: "engine-" + zone, Role: RoleEngine, Zone: zone})
	}
	return s
}

func TestSelect(t *testing.T) {
	primary := fakeNode{http.StatusOK, patroniStatus{State: "running", Role: "primary", Timeline: 3}}
	standby := fakeNode{http.StatusServiceUnavailable, patroniStatus{State: "streaming", Role: "replica", Timeline: 3}}
	starting := fakeNode{http.StatusServiceUnavailable, patroniStatus{State: "starting", Role: "replica"}}
	healthy := map[string]fakeNode{"db-a": standby, "db-b": primary, "db-c": standby}
	tests := []struct {
		name      string
		databases map[string]fakeNode
		selector  Selector
		want      []string
		wantError string
	}{
		{"primary", healthy, Selector{Role: RolePrimary}, []string{"db-b"}, ""},
		{"standbys", healthy, Selector{Role: RoleStandby, Mode: "all"}, []string{"db-a", "db-c"}, ""},
		{"standby in a zone", healthy, Selector{Role: RoleStandby, Zone: "c"}, []string{"db-c"}, ""},
		{
			"a silent node is no standby",
			map[string]fakeNode{"db-a": {}, "db-b": primary, "db-c": standby},
			Selector{Role: RoleStandby, Mode: "all"},
			[]string{"db-c"},
			"",
		},
		{
			"a starting node is no standby",
			map[string]fakeNode{"db-a": starting, "db-b": primary, "db-c": standby},
			Selector{Role: RoleStandby, Mode: "all"},
			[]string{"db-c"},
			"",
		},
		{"all engines", healthy, Selector{Role: RoleEngine, Mode: "all"}, []string{"engine-a", "engine-b", "engine-c"}, ""},
		{"half of three, rounded up", healthy, Selector{Role: RoleEngine, Mode: "percent", Value: 50, Zone: ""}, []string{"", ""}, ""},
		{"two of three", healthy, Selector{Role: RoleEngine, Mode: "fixed", Value: 2}, []string{"", ""}, ""},
		{"zone a", healthy, Selector{Zone: "a", Mode: "all"}, []string{"db-a", "engine-a"}, ""},
		{"by name", healthy, Selector{Name: "engine-b"}, []string{"engine-b"}, ""},
		{"no primary", map[string]fakeNode{"db-a": standby, "db-b": {}}, Selector{Role: RolePrimary}, nil, ErrNoPrimary.Error()},
		{"two primaries", map[string]fakeNode{"db-a": primary, "db-b": primary}, Selector{Role: RolePrimary}, nil, ErrTwoPrimaries.Error()},
		{
			"standby of two primaries",
			map[string]fakeNode{"db-a": primary, "db-b": primary, "db-c": standby},
			Selector{Role: RoleStandby},
			nil, ErrTwoPrimaries.Error(),
		},
		{"nothing matches", healthy, Selector{Role: RoleEngine, Zone: "z"}, nil, ErrNothingSelected.Error()},
		{"more than there are", healthy, Selector{Role: RoleEngine, Mode: "fixed", Value: 4}, nil, "value 4, but 3 nodes match"},
		{"unknown mode", healthy, Selector{Role: RoleEngine, Mode: "some"}, nil, `got "some"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fakeSystem(t, test.databases)
			nodes, err := s.Select(t.Context(), test.selector, rand.New(rand.NewPCG(1, 2)))
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Fatalf("Select(%s) = %v, %v, want an error with %q", test.selector, nodes, err, test.wantError)
				}
				return
			}
			var got []string
			for i, n := range nodes {
				if i < len(test.want) && test.want[i] == "" {
					n.Name = "" // any
				}
				got = append(got, n.Name)
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("Select(%s) = %v (-want +got):\n%s", test.selector, err, diff)
			}
		})
	}
}

func TestSelectIsRepeatable(t *testing.T) {
	s := fakeSystem(t, nil)
	draw := func(seed uint64) string {
		rng := rand.New(rand.NewPCG(seed, 0))
		var names strings.Builder
		for range 20 {
			nodes, err := s.Select(t.Context(), Selector{Role: RoleEngine}, rng)
			if err != nil {
				t.Fatal(err)
			}
			names.WriteString(nodes[0].Zone)
		}
		return names.String()
	}
	if a, b := draw(1), draw(1); a != b {
		t.Errorf("the same seed drew %s and %s, want the same", a, b)
	}
	if a, b := draw(1), draw(2); a == b {
		t.Errorf("the seeds 1 and 2 both drew %s, want a difference", a)
	}
}

func TestPrimary(t *testing.T) {
	s := fakeSystem(t, map[string]fakeNode{
		"db-a": {http.StatusOK, patroniStatus{State: "running", Role: "primary", Timeline: 4}},
	})
	n, timeline, err := s.Primary(t.Context())
	if n.Name != "db-a" || timeline != 4 || err != nil {
		t.Errorf("Primary() = %s, %d, %v, want db-a, 4, nil", n.Name, timeline, err)
	}
	if _, _, err := fakeSystem(t, nil).Primary(t.Context()); !errors.Is(err, ErrNoPrimary) {
		t.Errorf("Primary() of nothing = %v, want %v", err, ErrNoPrimary)
	}
}

func TestLoopbackClientRefusesOtherAddresses(t *testing.T) {
	s := &System{http: newLoopbackClient()}
	for _, address := range []string{"172.17.0.2:8008", "192.0.2.1:80", "example.org:80"} {
		n := Node{Name: "x", Endpoints: map[string]string{"http": address}}
		if _, _, err := s.get(t.Context(), n, "http", "/"); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
			t.Errorf("get(%s) = %v, want a refusal", address, err)
		}
	}
}

// TestLoopbackClientReachesTheLoopback: it asks until it is answered, since the client's own limits
// are shorter than a stall of the machine may be.
func TestLoopbackClientReachesTheLoopback(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := &System{http: newLoopbackClient()}
	n := Node{Name: "x", Endpoints: map[string]string{"http": strings.TrimPrefix(server.URL, "http://")}}
	for {
		status, _, err := s.get(ctx, n, "http", "/")
		if err == nil {
			if status != http.StatusNotFound {
				t.Errorf("get(%s) = %d, want %d", server.URL, status, http.StatusNotFound)
			}
			return
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			t.Fatalf("get(%s) = %v for two minutes, want an answer", server.URL, err)
		}
	}
}
