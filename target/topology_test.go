package target

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func testPlan(t *testing.T, spec Spec) map[string]nodePlan {
	t.Helper()
	plans, err := spec.WithDefaults().plan(Images{"pg", "ha", "etcd", "nats", "squall"})
	if err != nil {
		t.Fatalf("plan() = %v, want nil", err)
	}
	byName := make(map[string]nodePlan)
	for _, p := range plans {
		byName[p.name] = p
	}
	return byName
}

func TestPlanMicroservices(t *testing.T) {
	plans := testPlan(t, Spec{})
	want := []string{
		"balancer-1", "consensus-1", "consensus-2", "consensus-3", "database-1", "database-2", "database-3",
		"database-balancer-1", "engine-1", "engine-2", "engine-3", "queue-1", "queue-2", "queue-3", "replica-1",
		"reporting-1", "worker-1",
	}
	if diff := cmp.Diff(want, sortedKeys(plans)); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	engine := plans["engine-2"]
	if engine.zone != "b" || !slices.Equal(engine.cmd, []string{"ecotrack", "engine"}) || engine.image != "squall" {
		t.Errorf("engine-2: zone %q, command %q, image %q, want b, ecotrack engine, squall", engine.zone, engine.cmd, engine.image)
	}
	wantEnv := map[string]string{
		"ECOTRACK_NODE": "engine-2", "ECOTRACK_ZONE": "b", "ECOTRACK_LISTEN": ":8080",
		"ECOTRACK_DATABASE_URL":      "postgres://ecotrack:lab-ecotrack@database-balancer:5000/ecotrack?sslmode=disable",
		"ECOTRACK_READ_DATABASE_URL": "postgres://ecotrack:lab-ecotrack@database-balancer:5001/ecotrack?sslmode=disable",
		"ECOTRACK_QUEUE_URL":         "nats://queue-1:4222,nats://queue-2:4222,nats://queue-3:4222",
		"ECOTRACK_QUEUE_REPLICAS":    "3",
		"ECOTRACK_TIMEOUT":           "1800ms",
	}
	if diff := cmp.Diff(wantEnv, engine.env); diff != "" {
		t.Errorf("environment of engine-2 (-want +got):\n%s", diff)
	}
	if got := testPlan(t, Spec{Nodes: map[Role]NodeSpec{RoleQueue: {Count: 1}}})["engine-1"].env["ECOTRACK_QUEUE_REPLICAS"]; got != "1" {
		t.Errorf("queue replicas with one queue node = %s, want 1", got)
	}
}

func TestPatroniConfiguration(t *testing.T) {
	type dcs struct {
		TTL         int    `yaml:"ttl"`
		Retry       int    `yaml:"retry_timeout"`
		Synchronous string `yaml:"synchronous_mode"`
		Strict      bool   `yaml:"synchronous_mode_strict"`
		PostgreSQL  struct {
			Parameters map[string]string `yaml:"parameters"`
		} `yaml:"postgresql"`
	}
	tests := []struct {
		name       string
		spec       Spec
		node       string
		wantTTL    int
		wantRetry  int
		wantMode   string
		wantStrict bool
		wantCommit string
		wantTags   map[string]bool
	}{
		{"lab and quorum", Spec{}, "database-1", 5, 2, "quorum", true, "", nil},
		{"stock", Spec{Failover: "stock"}, "database-1", 20, 3, "quorum", true, "", nil},
		{"async", Spec{Replication: "async"}, "database-1", 5, 2, "off", false, "off", nil},
		{"replica", Spec{}, "replica-1", 5, 2, "quorum", true, "", map[string]bool{"nofailover": true, "nosync": true, "noloadbalance": true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got struct {
				Tags      map[string]bool `yaml:"tags"`
				Bootstrap struct {
					DCS dcs `yaml:"dcs"`
				} `yaml:"bootstrap"`
			}
			text := testPlan(t, test.spec)[test.node].files["/etc/patroni.yml"]
			if err := yaml.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("patroni.yml is no YAML: %v\n%s", err, text)
			}
			d := got.Bootstrap.DCS
			if d.TTL != test.wantTTL || d.Retry != test.wantRetry || d.Synchronous != test.wantMode || d.Strict != test.wantStrict {
				t.Errorf("ttl %d, retry %d, mode %q, strict %t, want %d, %d, %q, %t", d.TTL, d.Retry, d.Synchronous, d.Strict,
					test.wantTTL, test.wantRetry, test.wantMode, test.wantStrict)
			}
			if commit := d.PostgreSQL.Parameters["synchronous_commit"]; commit != test.wantCommit {
				t.Errorf("synchronous_commit = %q, want %q", commit, test.wantCommit)
			}
			if len(got.Tags) != len(test.wantTags) || !cmp.Equal(got.Tags["nosync"], test.wantTags["nosync"]) {
				t.Errorf("tags = %v, want %v", got.Tags, test.wantTags)
			}
		})
	}
}

func TestBalancerConfiguration(t *testing.T) {
	on := testPlan(t, Spec{})["balancer-1"].files["/etc/haproxy.cfg"]
	off := testPlan(t, Spec{HealthChecks: "off"})["balancer-1"].files["/etc/haproxy.cfg"]
	for _, line := range []string{
		"http-check send meth GET uri /healthz", "retry-on conn-failure empty-response response-timeout",
		"option redispatch 1", "inter 500ms fastinter 250ms downinter 250ms fall 2 rise 1 resolvers",
	} {
		if !strings.Contains(on, line) {
			t.Errorf("health_checks on: no %q in:\n%s", line, on)
		}
		if strings.Contains(off, line) {
			t.Errorf("health_checks off: %q in:\n%s", line, off)
		}
	}
	for name, text := range map[string]string{"on": on, "off": off} {
		for _, line := range []string{
			"server engine-1 engine-1:8080", "server engine-3 engine-3:8080",
			"server reporting-1 reporting-1:8080", "disable-l7-retry if !{ method GET HEAD } !{ req.hdr(Idempotency-Key) -m found }",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("health_checks %s: no %q in:\n%s", name, line, text)
			}
		}
	}
}

func TestDatabaseBalancerConfiguration(t *testing.T) {
	got := testPlan(t, Spec{})["database-balancer-1"].files["/etc/haproxy.cfg"]
	for _, line := range []string{
		"  server database-1 database-1:5432\n", "  server replica-1 replica-1:5432\n",
		"  server database-3 database-3:5432 backup\n", "GET uri /primary", "GET uri /replica?lag=1MB",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in:\n%s", line, got)
		}
	}
}

func TestQueueConfiguration(t *testing.T) {
	three := testPlan(t, Spec{})["queue-1"].files["/nats.conf"]
	if want := "routes: [nats://queue-1:6222, nats://queue-2:6222, nats://queue-3:6222]"; !strings.Contains(three, want) {
		t.Errorf("no %q in:\n%s", want, three)
	}
	one := testPlan(t, Spec{Nodes: map[Role]NodeSpec{RoleQueue: {Count: 1}}})["queue-1"].files["/nats.conf"]
	if strings.Contains(one, "cluster") || !strings.Contains(one, "sync_interval: always") {
		t.Errorf("one node, want no cluster and sync_interval always:\n%s", one)
	}
}
