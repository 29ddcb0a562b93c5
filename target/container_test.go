package target

// Tests named TestContainer... (make test) and TestDeep... (make test-deep) need Docker and fail without it. They take the
// program from SQUALL_BINARY, or build it.

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// buildBinary returns a static squall, built once.
var buildBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SQUALL_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "squall-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "squall")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "squall")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build squall: %w\n%s", err, output)
	}
	return path, nil
})

func testImages(t *testing.T) Images {
	t.Helper()
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	images, err := EnsureImages(t.Context(), ImageOptions{Binary: binary, Progress: func(s Step) { t.Log(s) }})
	if err != nil {
		t.Fatalf("EnsureImages: %v", err)
	}
	return images
}

// testRun names a run that nobody else has, now or before. Its lock lets `squall recover` find what is left of it when this
// process is killed.
func testRun(t *testing.T) string {
	t.Helper()
	name := strings.NewReplacer("TestContainer", "", "TestDeep", "", "/", "-").Replace(t.Name())
	id := strings.ToLower(fmt.Sprintf("test-%s-%s", name, rand.Text()[:8]))
	lock, err := LockRun(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	})
	return id
}

// testUp starts a system that is removed at the end of the test, which then finds nothing left.
func testUp(t *testing.T, spec Spec) *System {
	t.Helper()
	id := testRun(t)
	began := time.Now()
	system, err := Up(t.Context(), spec, Options{RunID: id, Images: testImages(t), Reap: true})
	t.Cleanup(func() {
		if system == nil {
			return
		}
		if err := system.Down(context.Background()); err != nil { // the test's context is over
			t.Errorf("Down() = %v, want nil", err)
		}
		awaitNothing(t, id, 0)
	})
	if err != nil {
		t.Fatalf("Up: %v", err)
	}
	t.Logf("up in %s", time.Since(began))
	return system
}

func remainsOf(t *testing.T, runID string) remains {
	t.Helper()
	// Without the test's context: this also runs in its clean-up.
	docker, err := connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	left, err := findRun(context.Background(), docker.Client, runID)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// awaitNothing waits until nothing is left of a run, at most limit. A network that Docker itself cannot remove, as it has
// lost count of what is on it, does not count; looking for that is the last thing, since it removes what can be removed.
func awaitNothing(t *testing.T, runID string, limit time.Duration) {
	t.Helper()
	for ctx := within(t, limit); !remainsOf(t, runID).empty(); {
		if pause(ctx, 200*time.Millisecond) == nil {
			continue
		}
		left := remainsOf(t, runID)
		removed, err := RemoveRun(context.Background(), runID)
		if err != nil || len(left.containers)+len(left.volumes) > 0 || !strings.Contains(strings.Join(removed, ""), "moby/moby#42119") {
			t.Errorf("after %s: %s, want nothing", limit, left)
		}
		return
	}
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

const oneCalculation = `{"activity":{"kind":"factor","factor":"epa24.stat.anthracite.mmbtu",` +
	`"quantity":"12.5","unit":"mmBtu","period":"2026-Q1"}}`

// calculate posts one durable calculation and returns its receipt. Right after a kill an answer may be that nothing was
// executed, or none: it asks again with the same key, for a minute at most.
func calculate(t *testing.T, system *System, key string) LedgerRow {
	t.Helper()
	for ctx := within(t, time.Minute); ; {
		row, err := calculateOnce(ctx, system, key)
		if err == nil {
			return row
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			t.Fatalf("POST /v1/calculations, for a minute: %v", err)
		}
	}
}

func calculateOnce(ctx context.Context, system *System, key string) (LedgerRow, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		system.BaseURL()+"/v1/calculations", strings.NewReader(oneCalculation))
	if err != nil {
		return LedgerRow{}, err
	}
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return LedgerRow{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK { // 200: an earlier try had been kept
		return LedgerRow{}, fmt.Errorf("status %d, want 201 or 200", response.StatusCode)
	}
	var said struct {
		Value   string `json:"co2e_kg"`
		Receipt struct{ ID, Key, Hash string }
	}
	err = json.NewDecoder(response.Body).Decode(&said)
	return LedgerRow{Key: said.Receipt.Key, ID: said.Receipt.ID, Hash: said.Receipt.Hash, Value: said.Value}, err
}

// TestDeepMicroservices starts the full topology once and looks at everything a run does to it.
func TestDeepMicroservices(t *testing.T) {
	system := testUp(t, Spec{})
	t.Run("nodes", liveSystem{system}.checkNodes)
	t.Run("loopback only", liveSystem{system}.checkLoopback)
	t.Run("ledger on every node", func(t *testing.T) {
		want := calculate(t, system, "test-key-1")
		if err := system.Converge(within(t, time.Minute)); err != nil {
			t.Fatalf("Converge() = %v, want nil", err)
		}
		for _, n := range system.role(RoleDatabase, RoleReplica) {
			rows, err := system.ReadLedger(t.Context(), n)
			if err != nil || len(rows) != 1 || rows[0] != want {
				t.Errorf("ReadLedger(%s) = %+v, %v, want [%+v], nil", n.Name, rows, err, want)
			}
		}
	})
	t.Run("sidecar", liveSystem{system}.checkSidecar)
	t.Run("engine killed and started", liveSystem{system}.checkKill)
	t.Run("primary killed and started", liveSystem{system}.checkFailover)
}

// liveSystem is a system that is up. Its methods are subtests.
type liveSystem struct{ *System }

func (system liveSystem) checkNodes(t *testing.T) {
	want := map[Role]int{
		RoleBalancer: 1, RoleEngine: 3, RoleWorker: 1, RoleReporting: 1,
		RoleDatabaseBalancer: 1, RoleDatabase: 3, RoleReplica: 1, RoleConsensus: 3, RoleQueue: 3,
	}
	zones := map[string]bool{}
	for _, n := range system.Nodes() {
		want[n.Role]--
		if n.Role == RoleEngine {
			zones[n.Zone] = true
		}
		if len(system.Prefixes()) == 0 || !system.Prefixes()[0].Contains(n.Addr) {
			t.Errorf("%s has address %s, want one within %s", n.Name, n.Addr, system.Prefixes())
		}
	}
	for role, missing := range want {
		if missing != 0 {
			t.Errorf("role %s: %d nodes too few", role, missing)
		}
	}
	if len(zones) != 3 {
		t.Errorf("engines are in zones %v, want a, b and c", zones)
	}
	rng := mathrand.New(mathrand.NewPCG(1, 1))
	primary, err := system.Select(t.Context(), Selector{Role: RolePrimary}, rng)
	if err != nil || len(primary) != 1 {
		t.Fatalf("Select(primary) = %v, %v, want one node", primary, err)
	}
	standbys, err := system.Select(t.Context(), Selector{Role: RoleStandby, Mode: "all"}, rng)
	if err != nil || len(standbys) != 2 || slices.ContainsFunc(standbys, func(n Node) bool { return n.Name == primary[0].Name }) {
		t.Errorf("Select(standby all) = %v, %v, want the two nodes beside %s", standbys, err, primary[0].Name)
	}
}

// checkLoopback holds every port that any container of the run publishes against the loopback.
func (system liveSystem) checkLoopback(t *testing.T) {
	published := 0
	for _, c := range remainsOf(t, system.RunID()).containers {
		inspected, err := system.docker.ContainerInspect(t.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for port, bindings := range inspected.Container.NetworkSettings.Ports {
			for _, b := range bindings {
				published++
				if b.HostIP != netip.MustParseAddr("127.0.0.1") {
					t.Errorf("%s publishes %s on %s, want 127.0.0.1", containerName(c), port, b.HostIP)
				}
			}
		}
	}
	if published < 17 {
		t.Errorf("%d ports are published, want at least one a node", published)
	}
}

func (system liveSystem) checkSidecar(t *testing.T) {
	engine, _ := system.Node("engine-1")
	sidecar, err := system.Sidecar(t.Context(), engine, "test", []string{"agent"}, []string{"NET_ADMIN"})
	if err != nil {
		t.Fatalf("Sidecar: %v", err)
	}
	defer func() { _ = sidecar.Close() }() // checked below
	if _, err := fmt.Fprintln(sidecar.Stdin, `{"id":7,"op":"hello"}`); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(sidecar.Stdout)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"id":7`) {
		t.Fatalf("the sidecar answered %q, want a line with id 7", lines.Text())
	}
	if err := sidecar.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("after the end of its input the sidecar said %q, want nothing", lines.Text())
	}
	if err := sidecar.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	if err := sidecar.Close(); err != nil {
		t.Errorf("second Close() = %v, want nil", err)
	}
	if left := remainsOf(t, system.RunID()).String(); strings.Contains(left, "engine-1-test") {
		t.Errorf("after Close: %s, want no sidecar", left)
	}
}

func (system liveSystem) checkKill(t *testing.T) {
	engine, _ := system.Node("engine-2")
	if err := system.Kill(t.Context(), engine); err != nil {
		t.Fatalf("Kill: %v", err)
	}
	running, code, err := system.Running(t.Context(), engine)
	if running || code != 137 || err != nil {
		t.Errorf("Running(killed) = %t, %d, %v, want false, 137, nil", running, code, err)
	}
	if err := system.WaitHealthy(within(t, time.Second), engine); err == nil {
		t.Error("WaitHealthy(killed) = nil, want an error")
	}
	calculate(t, system.System, "test-key-2") // the others answer
	if err := system.Start(t.Context(), engine); err != nil {
		t.Fatalf("Start: %v", err)
	}
	if err := system.WaitHealthy(within(t, time.Minute), engine); err != nil {
		t.Errorf("WaitHealthy(started) = %v, want nil", err)
	}
	if now, _ := system.Node("engine-2"); !system.Prefixes()[0].Contains(now.Addr) || now.Endpoints["http"] != engine.Endpoints["http"] {
		t.Errorf("after the start: address %s, endpoint %s, want one within %s and %s",
			now.Addr, now.Endpoints["http"], system.Prefixes(), engine.Endpoints["http"])
	}
	text, err := system.Logs(t.Context(), engine, 5)
	if err != nil || text == "" || strings.Count(text, "\n") > 5 {
		t.Errorf("Logs(tail 5) = %q, %v, want up to five lines", text, err)
	}
}

func (system liveSystem) checkFailover(t *testing.T) {
	old, before, err := system.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := system.ReadLedger(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if err := system.Kill(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	var now Node
	var after int
	for ctx := within(t, time.Minute); ; {
		now, after, err = system.Primary(ctx)
		if err == nil && now.Name != old.Name && after > before {
			break
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			t.Fatalf("a minute after the kill: Primary() = %s, %d, %v, want another than %s, on a timeline after %d",
				now.Name, after, err, old.Name, before)
		}
	}
	if err := system.Start(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := system.WaitHealthy(within(t, 2*time.Minute), old); err != nil {
		t.Errorf("WaitHealthy(%s) = %v, want nil", old.Name, err)
	}
	if err := system.Converge(within(t, time.Minute)); err != nil {
		t.Errorf("Converge() = %v, want nil", err)
	}
	got, err := system.ReadLedger(t.Context(), old)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("ReadLedger(%s) = %d rows, %v, want the %d from before the kill", old.Name, len(got), err, len(want))
	}
}
