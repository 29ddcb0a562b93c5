package target

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

// Accounts of the lab's PostgreSQL. They are no secret: every port is bound to the loopback.
const (
	superPassword = "lab-super"
	databaseURL   = "postgres://ecotrack:lab-ecotrack@%s:%d/ecotrack?sslmode=disable"
)

// nodePlan is a node before it exists: pure, so that a topology can be tested without Docker.
type nodePlan struct {
	name, zone string
	role       Role
	image      string
	cmd        []string
	env        map[string]string
	files      map[string]string // path in the container to content
	ports      map[string]int    // service to port in the container
	volume     string            // path of the node's own volume; empty: none
	limits     NodeSpec
}

// startOrder lists the roles as they are started: what takes longest to be ready comes first.
func startOrder() []Role {
	return []Role{
		RoleConsensus, RoleDatabase, RoleReplica, RoleQueue, RoleDatabaseBalancer, RoleEngine,
		RoleWorker, RoleReporting, RoleBalancer,
	}
}

// names returns the node names of each role.
func (s Spec) names() map[Role][]string {
	names := make(map[Role][]string)
	for _, role := range startOrder() {
		for i := range s.Nodes[role].Count {
			names[role] = append(names[role], string(role)+"-"+strconv.Itoa(i+1))
		}
	}
	return names
}

// plan returns every node of the topology, in start order. The spec has its defaults.
func (s Spec) plan(images Images) ([]nodePlan, error) {
	names := s.names()
	var plans []nodePlan
	for _, role := range startOrder() {
		for i, name := range names[role] {
			p := nodePlan{name: name, role: role, zone: string(rune('a' + i%3)), limits: s.Nodes[role]}
			if err := s.fill(&p, names, images); err != nil {
				return nil, fmt.Errorf("node %s: %w", name, err)
			}
			plans = append(plans, p)
		}
	}
	return plans, nil
}

// fill adds to a plan what its role needs.
func (s Spec) fill(p *nodePlan, names map[Role][]string, images Images) error {
	switch p.role {
	case RoleConsensus:
		p.image, p.volume = images.Etcd, "/data"
		p.cmd = etcdArgs(p.name, names[RoleConsensus])
		p.ports = map[string]int{"etcd": 2379}
	case RoleDatabase, RoleReplica:
		return s.fillDatabase(p, names, images)
	case RoleQueue:
		p.image, p.volume = images.NATS, "/data"
		p.env = map[string]string{"NATS_NAME": p.name}
		p.ports = map[string]int{"nats": 4222, "monitor": 8222}
		return p.render("/nats.conf", "nats/nats.conf.tmpl", struct{ Queue []string }{names[RoleQueue]})
	case RoleDatabaseBalancer:
		p.image = images.HAProxy
		p.ports = map[string]int{"write": 5000, "read": 5001, "metrics": 8404}
		return p.render("/etc/haproxy.cfg", "haproxy/database.cfg.tmpl",
			struct{ Databases, Replicas []string }{names[RoleDatabase], names[RoleReplica]})
	case RoleBalancer:
		p.image = images.HAProxy
		p.ports = map[string]int{"http": 8080, "metrics": 8404}
		return p.render("/etc/haproxy.cfg", "haproxy/balancer.cfg.tmpl", struct {
			Engines, Reporting []string
			HealthChecks       bool
		}{names[RoleEngine], names[RoleReporting], s.HealthChecks == "on"})
	default: // engine, worker, reporting
		p.image = images.Squall
		p.cmd = []string{"ecotrack", string(p.role)}
		p.env = s.ecotrackEnv(p, names)
		p.ports = map[string]int{"http": 8080}
	}
	return nil
}

// ecotrackEnv is EcoTrack's configuration (target/ecotrack/README.md).
func (s Spec) ecotrackEnv(p *nodePlan, names map[Role][]string) map[string]string {
	queue := make([]string, 0, len(names[RoleQueue]))
	for _, n := range names[RoleQueue] {
		queue = append(queue, "nats://"+n+":4222")
	}
	replicas := 1
	if len(queue) >= 3 {
		replicas = 3
	}
	return map[string]string{
		"ECOTRACK_NODE":              p.name,
		"ECOTRACK_ZONE":              p.zone,
		"ECOTRACK_LISTEN":            ":8080",
		"ECOTRACK_DATABASE_URL":      fmt.Sprintf(databaseURL, RoleDatabaseBalancer, 5000),
		"ECOTRACK_READ_DATABASE_URL": fmt.Sprintf(databaseURL, RoleDatabaseBalancer, 5001),
		"ECOTRACK_QUEUE_URL":         strings.Join(queue, ","),
		"ECOTRACK_QUEUE_REPLICAS":    strconv.Itoa(replicas),
		// Below the balancer's `timeout server`, so that an engine answers for itself.
		"ECOTRACK_TIMEOUT": "1800ms",
	}
}

// etcdArgs is etcd's command line; the names of the peers are also their host names.
func etcdArgs(name string, peers []string) []string {
	cluster := make([]string, 0, len(peers))
	for _, p := range peers {
		cluster = append(cluster, p+"=http://"+p+":2380")
	}
	return []string{
		"--name", name, "--data-dir", "/data",
		"--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://" + name + ":2379",
		"--listen-peer-urls", "http://0.0.0.0:2380", "--initial-advertise-peer-urls", "http://" + name + ":2380",
		"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
		"--heartbeat-interval", "100", "--election-timeout", "1000", "--log-level", "warn",
	}
}

// fillDatabase plans a PostgreSQL node under Patroni.
func (s Spec) fillDatabase(p *nodePlan, names map[Role][]string, images Images) error {
	hosts := make([]string, 0, len(names[RoleConsensus]))
	for _, n := range names[RoleConsensus] {
		hosts = append(hosts, n+":2379")
	}
	p.image, p.volume = images.Postgres, "/data"
	p.env = map[string]string{
		"PATRONI_NAME":                       p.name,
		"PATRONI_RESTAPI_CONNECT_ADDRESS":    p.name + ":8008",
		"PATRONI_POSTGRESQL_CONNECT_ADDRESS": p.name + ":5432",
		"PATRONI_ETCD3_HOSTS":                strings.Join(hosts, ","),
	}
	p.ports = map[string]int{"postgres": 5432, "patroni": 8008}
	timers := failoverTimers(s.Failover)
	return p.render("/etc/patroni.yml", "postgres/patroni.yml.tmpl", struct {
		Profile, Replication, SuperPassword string
		TTL, RetryTimeout                   int
		ReadReplica, Async                  bool
	}{
		s.Failover, s.Replication, superPassword, timers.ttlSeconds, timers.retrySeconds,
		p.role == RoleReplica, s.Replication == "async",
	})
}

// patroniTimers are the two of Patroni's timers that differ between the profiles.
type patroniTimers struct{ ttlSeconds, retrySeconds int }

// failoverTimers returns the timers of a profile: a failover takes 22 s with "stock", 7 s with "lab"
// (platform note, 3.2).
func failoverTimers(profile string) patroniTimers {
	if profile == "stock" {
		return patroniTimers{ttlSeconds: 20, retrySeconds: 3}
	}
	return patroniTimers{ttlSeconds: 5, retrySeconds: 2}
}

// render adds a file made from a template.
func (p *nodePlan) render(path, name string, data any) error {
	text, err := recipes.ReadFile(recipesDir + "/" + name)
	if err != nil {
		return err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return err
	}
	if p.files == nil {
		p.files = make(map[string]string)
	}
	p.files[path] = out.String()
	return nil
}
