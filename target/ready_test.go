package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServersUp(t *testing.T) {
	const metrics = `# TYPE haproxy_server_status gauge
haproxy_server_status{proxy="engines",server="engine-1",state="DOWN"} 0
haproxy_server_status{proxy="engines",server="engine-1",state="UP"} 1
haproxy_server_status{proxy="engines",server="engine-2",state="DOWN"} 1
haproxy_server_status{proxy="engines",server="engine-2",state="UP"} 0
haproxy_server_status{proxy="reporting",server="reporting-1",state="UP"} 1
`
	if diff := cmp.Diff(map[string]bool{"engine-1": true}, serversUp(metrics, "engines")); diff != "" {
		t.Errorf("serversUp(engines) (-want +got):\n%s", diff)
	}
	if got := serversUp(metrics, "absent"); len(got) != 0 {
		t.Errorf("serversUp(absent) = %v, want none", got)
	}
}

func TestReadStreams(t *testing.T) {
	const body = `{"account_details":[{"name":"$G","stream_detail":[
		{"name":"A","cluster":{"leader":"queue-1"},"state":{"messages":3}},
		{"name":"B","cluster":{"leader":"queue-2"},"state":{"messages":5}}]}]}`
	tests := []struct {
		name, body, server             string
		wantStreams, wantLed, wantJobs int
	}{
		{"leads A", body, "queue-1", 2, 1, 3},
		{"leads B", body, "queue-2", 2, 1, 5},
		{"follows", body, "queue-3", 2, 0, 0},
		{"on its own", `{"account_details":[{"stream_detail":[{"name":"A","state":{"messages":2}}]}]}`, "queue-1", 1, 1, 2},
		{"no stream", `{}`, "queue-1", 0, 0, 0},
	}
	for _, test := range tests {
		streams, led, jobs, err := readStreams([]byte(test.body), test.server)
		if streams != test.wantStreams || led != test.wantLed || jobs != test.wantJobs || err != nil {
			t.Errorf("%s: readStreams() = %d, %d, %d, %v, want %d, %d, %d, nil", test.name, streams, led, jobs, err,
				test.wantStreams, test.wantLed, test.wantJobs)
		}
	}
	if _, _, _, err := readStreams([]byte("<html>"), "queue-1"); err == nil {
		t.Error("readStreams(no JSON) = nil, want an error")
	}
}

func TestNotReadyErrorSaysWhatIsKnown(t *testing.T) {
	err := &NotReadyError{Node: "engine-2", State: "exited", ExitCode: 137, Reason: "connection refused", Log: "a\nb\n"}
	want := "engine-2 is not ready (exited with code 137): connection refused; its last log lines:\n  a\n  b"
	if got := err.Error(); got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestRootCause(t *testing.T) {
	engine := &NotReadyError{Node: "engine-1", State: "running", role: RoleEngine}
	database := &NotReadyError{Node: "database-1", State: "running", role: RoleDatabase}
	dead := &NotReadyError{Node: "worker-1", State: "exited", role: RoleWorker}
	tests := []struct {
		name   string
		failed []*NotReadyError
		want   error
	}{
		{"what the others wait for", []*NotReadyError{engine, database}, database},
		{"what does not run", []*NotReadyError{engine, database, dead}, dead},
	}
	for _, test := range tests {
		if got := rootCause(test.failed); !errors.Is(got, test.want) {
			t.Errorf("%s: rootCause() = %v, want %v", test.name, got, test.want)
		}
	}
}

// TestDeepUpNamesTheNodeThatFails gives one node an image in which it cannot run.
func TestDeepUpNamesTheNodeThatFails(t *testing.T) {
	images := testImages(t)
	images.Etcd = images.NATS // exits at once: its arguments are no NATS configuration
	spec := Spec{
		Nodes:       map[Role]NodeSpec{RoleConsensus: {Count: 1}, RoleQueue: {Count: 1}, RoleEngine: {Count: 1}},
		ReadyWithin: Duration(30 * time.Minute), // so that only the exit can end the wait
	}
	id := testRun(t)
	system, err := Up(within(t, 10*time.Minute), spec, Options{RunID: id, Images: images, Reap: true})
	if system == nil {
		t.Fatalf("Up() = nil, %v, want the half-started system", err)
	}
	t.Cleanup(func() {
		if err := system.Down(context.Background()); err != nil {
			t.Error(err)
		}
		awaitNothing(t, id, 0)
	})
	var notReady *NotReadyError
	if !errors.As(err, &notReady) || notReady.Node != "consensus-1" || notReady.State != "exited" || notReady.ExitCode == 0 ||
		!strings.Contains(notReady.Log, "etcd") && notReady.Log == "" {
		t.Errorf("Up() = %v, want a NotReadyError of consensus-1 with its exit code and log", err)
	}
}

func TestExamineKernel(t *testing.T) {
	here := "CONFIG_NF_TABLES=y\nCONFIG_NFT_COMPAT=m\nCONFIG_NETFILTER_XT_TARGET_NFQUEUE=y\n# CONFIG_NET_SCH_NETEM is not set\n"
	tests := []struct {
		name   string
		config string
		want   map[string]Level
	}{
		{"this machine", here, map[string]Level{"nftables": LevelOK, "nfqueue": LevelOK, "netem": LevelOK}},
		{"nothing", "CONFIG_X=y\n", map[string]Level{"nftables": LevelWarn, "nfqueue": LevelWarn, "netem": LevelWarn}},
	}
	for _, test := range tests {
		got := make(map[string]Level)
		for _, f := range examineKernel(parseKernelConfig(strings.NewReader(test.config))) {
			got[f.Name] = f.Level
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: examineKernel() (-want +got):\n%s", test.name, diff)
		}
	}
	damaged := io.MultiReader(strings.NewReader(here), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got := parseKernelConfig(damaged); got != nil {
		t.Errorf("parseKernelConfig(damaged) = %v, want nil", got)
	}
	if got := examineKernel(nil); len(got) != 1 || got[0].Level != LevelWarn {
		t.Errorf("examineKernel(nil) = %v, want one warning", got)
	}
}

func TestGraded(t *testing.T) {
	tests := []struct {
		have uint64
		want Level
	}{{512 << 20, LevelMissing}, {2 << 30, LevelWarn}, {8 << 30, LevelOK}}
	for _, test := range tests {
		if got := graded("memory", test.have, leastMemory, goodMemory).Level; got != test.want {
			t.Errorf("graded(%d) = %s, want %s", test.have, got, test.want)
		}
	}
}

// TestSystemServersUp asks a balancer on the loopback for its servers alone.
func TestSystemServersUp(t *testing.T) {
	asked := ""
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		fmt.Fprint(w, `haproxy_server_status{proxy="engines",server="engine-1",state="UP"} 1
haproxy_server_status{proxy="engines",server="engine-2",state="UP"} 0
haproxy_server_status{proxy="engines",server="engine-2",state="DOWN"} 1
haproxy_server_status{proxy="reporting",server="reporting-1",state="UP"} 1
`)
	}))
	defer balancer.Close()
	s := &System{http: newLoopbackClient(), nodes: []Node{{
		Name: "balancer-1", Role: RoleBalancer, Endpoints: map[string]string{"metrics": balancer.Listener.Addr().String()},
	}}}
	up, err := s.ServersUp(t.Context())
	if err != nil || len(up) != 2 || !up["engine-1"] || !up["reporting-1"] || asked != "/metrics?scope=server" {
		t.Errorf("ServersUp() = %v, %v after asking for %s, want engine-1 and reporting-1", up, err, asked)
	}
	balancer.Close()
	if up, err := s.ServersUp(t.Context()); err == nil {
		t.Errorf("ServersUp() without a balancer = %v, want an error: silence is no change", up)
	}
}
