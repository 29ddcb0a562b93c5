package target

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"
)

func TestCheckAPI(t *testing.T) {
	tests := []struct {
		version string
		old     bool
	}{
		{"1.41", false},
		{"1.44", false},
		{"1.100", false},
		{"2.0", false},
		{"1.40", true},
		{"1.9", true},
		{"", true},
		{"abc", true},
	}
	for _, test := range tests {
		err := checkAPI(test.version)
		var tooOld *APIError
		if got := errors.As(err, &tooOld); got != test.old {
			t.Errorf("checkAPI(%q) = %v, want an APIError: %t", test.version, err, test.old)
		}
	}
}

func TestPinLoopback(t *testing.T) {
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "192.0.2.1")
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "false")
	if err := pinLoopback(); err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv("TESTCONTAINERS_HOST_OVERRIDE"); got != "127.0.0.1" {
		t.Errorf("TESTCONTAINERS_HOST_OVERRIDE = %q, want 127.0.0.1", got)
	}
	if got := os.Getenv("TESTCONTAINERS_RYUK_DISABLED"); got != "true" {
		t.Errorf("TESTCONTAINERS_RYUK_DISABLED = %q, want true", got)
	}
}

func TestContainerHostIsTheLoopback(t *testing.T) {
	docker, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := provider.Close(); err != nil {
			t.Error(err)
		}
	}()
	host, err := provider.DaemonHost(t.Context())
	if err != nil || host != "127.0.0.1" {
		t.Errorf("DaemonHost() = %q, %v, want 127.0.0.1: load would go to a foreign host", host, err)
	}
}

func TestUpRefusesBeforeItStarts(t *testing.T) {
	full := Images{"a", "b", "c", "d", "e"}
	tests := []struct {
		name string
		spec Spec
		opts Options
		want string
	}{
		{"no run id", Spec{}, Options{Images: full}, `run id ""`},
		{"a run id that is no label", Spec{}, Options{RunID: "a b", Images: full}, `run id "a b"`},
		{"no images", Spec{}, Options{RunID: "r"}, "image etcd: not given"},
		{"invalid spec", Spec{Failover: "x"}, Options{RunID: "r", Images: full}, "failover: must be one of"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			system, err := Up(context.Background(), test.spec, test.opts)
			if system != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Up() = %v, %v, want nil and an error with %q", system, err, test.want)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	p := newPorts("run-1")
	seen := make(map[int]bool)
	for range 100 {
		port, err := p.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < p.low || port >= ephemeralLow() {
			t.Fatalf("next() = %d, want one below %d that was not there before", port, ephemeralLow())
		}
		seen[port] = true
	}
	one, _ := newPorts("run-1").next(t.Context())
	two, _ := newPorts("run-2").next(t.Context())
	if one == two {
		t.Errorf("two runs both start with port %d", one)
	}
}

func TestPortTaken(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"allocated", errors.New("driver failed: Bind for 127.0.0.1:15000 failed: port is already allocated"), true},
		{"listening", errors.New("listen tcp4 127.0.0.1:15000: bind: address already in use"), true},
		{"something else", errors.New("no such image"), false},
		{"nil", nil, false},
	}
	for _, test := range tests {
		if got := portTaken(test.err); got != test.want {
			t.Errorf("portTaken(%s) = %t, want %t", test.name, got, test.want)
		}
	}
}

// TestCheckHost: a daemon that does not answer is not replaced by another.
func TestCheckHost(t *testing.T) {
	const standard, other = "unix:///var/run/docker.sock", "tcp://10.0.0.1:2375"
	for _, wanted := range []string{"", standard} {
		if err := checkHost(wanted, standard); err != nil {
			t.Errorf("checkHost(%q, %q) = %v, want nil", wanted, standard, err)
		}
	}
	if err := checkHost(other, standard); !errors.Is(err, ErrNoDocker) || !strings.Contains(err.Error(), other) {
		t.Errorf("checkHost(%q, %q) = %v, want ErrNoDocker with both", other, standard, err)
	}
}
