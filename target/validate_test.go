package target

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpecValidate(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		want []string
	}{
		{"empty", Spec{}, nil},
		{"defaults", Spec{}.WithDefaults(), nil},
		{"all that is allowed", Spec{
			Topology: "microservices", Failover: "stock", Replication: "async", HealthChecks: "off",
			ReadyWithin: Duration(time.Minute),
			Nodes:       map[Role]NodeSpec{RoleEngine: {Count: 9, CPU: 0.5, Memory: 16 << 20}, RoleDatabase: {Count: 1}},
		}, nil},
		{"every word wrong", Spec{Topology: "x", Failover: "fast", Replication: "sync", HealthChecks: "yes"}, []string{
			`topology: must be one of microservices, got "x"`,
			`failover: must be one of stock, lab, got "fast"`,
			`replication: must be one of quorum, async, got "sync"`,
			`health_checks: must be one of on, off, got "yes"`,
		}},
		{
			"ready within too long",
			Spec{ReadyWithin: Duration(time.Hour)},
			[]string{"ready_within: must be within 0s and 30m, got 1h0m0s"},
		},
		{"unknown role", Spec{Nodes: map[Role]NodeSpec{"primary": {Count: 1}}}, []string{
			`nodes.primary: unknown role "primary", want one of balancer, consensus, database, database-balancer, ` +
				`engine, queue, replica, reporting, worker`,
		}},
		{"several nodes", Spec{Nodes: map[Role]NodeSpec{
			RoleEngine: {Count: 10}, RoleWorker: {Count: -1}, RoleQueue: {Memory: 1 << 20}, RoleBalancer: {CPU: -1},
		}}, []string{
			"nodes.balancer.cpu: must be within 0.01 and 256 cores, or 0 for no limit, got -1",
			"nodes.engine.count: must be within 1 and 9, got 10",
			"nodes.queue.memory: must be at least 16MiB, or 0 for no limit, got 1048576 bytes",
			"nodes.worker.count: must be within 1 and 9, got -1",
		}},
		{
			"even consensus",
			Spec{Nodes: map[Role]NodeSpec{RoleConsensus: {Count: 2}}},
			[]string{"nodes.consensus.count: must be odd (a majority decides), got 2"},
		},
		{
			"quorum without a standby",
			Spec{Nodes: map[Role]NodeSpec{RoleDatabase: {Count: 1}}},
			[]string{"nodes.database.count: must be at least 2 with quorum replication (a standby acknowledges), got 1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			test.spec.Validate(func(path, format string, args ...any) {
				got = append(got, path+": "+fmt.Sprintf(format, args...))
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Validate() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecWithDefaults(t *testing.T) {
	written := Spec{Failover: "stock", Nodes: map[Role]NodeSpec{RoleEngine: {CPU: 0.5}, RoleQueue: {Count: 1}}}
	got := written.WithDefaults()
	want := Spec{
		Topology: "microservices", Failover: "stock", Replication: "quorum", HealthChecks: "on",
		ReadyWithin: Duration(2 * time.Minute), Nodes: defaultNodes(),
	}
	want.Nodes[RoleEngine] = NodeSpec{Count: 3, CPU: 0.5}
	want.Nodes[RoleQueue] = NodeSpec{Count: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("WithDefaults() (-want +got):\n%s", diff)
	}
	if len(written.Nodes) != 2 || written.Nodes[RoleEngine].Count != 0 {
		t.Errorf("WithDefaults() changed the spec it was called on: %v", written.Nodes)
	}
	if diff := cmp.Diff(got, got.WithDefaults()); diff != "" {
		t.Errorf("WithDefaults() twice (-once +twice):\n%s", diff)
	}
}
