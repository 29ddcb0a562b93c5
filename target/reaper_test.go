package target

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRun names the run that a copy of this test program starts and then dies with.
const childRun = "SQUALL_TEST_CHILD_RUN"

// TestContainerReaperRemovesAKilledRun kills, with SIGKILL, a process that has a system up.
func TestContainerReaperRemovesAKilledRun(t *testing.T) {
	if id := os.Getenv(childRun); id != "" {
		bringUpAndWait(t, id)
		return
	}
	killARun(t)
}

// TestDeepReaperOfTheNextRun kills a run and starts the next one from the same shell right after it, which a reaper that is
// shared by shell would remove, or not have.
func TestDeepReaperOfTheNextRun(t *testing.T) {
	killARun(t)
	killARun(t)
}

// killARun returns how long after the kill nothing was left.
func killARun(t *testing.T) time.Duration {
	t.Helper()
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	testImages(t)
	id := testRun(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestContainerReaperRemovesAKilledRun$")
	child.Env = append(os.Environ(), childRun+"="+id, "SQUALL_BINARY="+binary)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = RemoveRun(context.Background(), id) })
	awaitText(t, output, "UP "+id)
	if left := remainsOf(t, id); len(left.containers) < 4 || len(left.networks) != 1 {
		t.Fatalf("before the kill: %s, want a system", left)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it says that it was killed
	killed := time.Now()
	// How soon is a figure (TestProveAKilledRunIsGone); here it must happen at all.
	awaitNothing(t, id, 3*time.Minute)
	return time.Since(killed)
}

// bringUpAndWait is the child: a small system, so that the test is about the reaper.
func bringUpAndWait(t *testing.T, id string) {
	spec := Spec{Nodes: map[Role]NodeSpec{RoleConsensus: {Count: 1}, RoleQueue: {Count: 1}, RoleEngine: {Count: 1}}}
	system, err := Up(t.Context(), spec, Options{RunID: id, Images: testImages(t), Reap: true})
	if err != nil {
		if system != nil {
			_ = system.Down(t.Context())
		}
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("UP " + id + "\n"); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done() // never: the parent kills this process
}

// awaitText reads until the text appears.
func awaitText(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), want) {
		n, err := r.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			t.Fatalf("the child ended before it said %q; it said:\n%s", want, seen.String())
		}
	}
}

func TestAwaitAlone(t *testing.T) {
	tests := []struct {
		name    string
		connect bool
	}{
		{"nobody ever connects", false},
		{"the last client goes", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			opts := ReapOptions{First: 100 * time.Millisecond, Grace: 50 * time.Millisecond}
			if test.connect {
				opts.First = time.Hour
			}
			ended := make(chan error, 1)
			go func() { ended <- awaitAlone(t.Context(), listener, opts) }()
			if test.connect {
				conn, err := dialReaper(t.Context(), listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-ended:
					t.Fatalf("awaitAlone() = %v while a client was connected", err)
				case <-time.After(200 * time.Millisecond):
				}
				conn.Close()
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("awaitAlone() = %v, want nil", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("awaitAlone() did not return")
			}
		})
	}
}

func TestAwaitAloneIsCancelled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitAlone(ctx, listener, ReapOptions{}); err == nil {
		t.Error("awaitAlone(cancelled) = nil, want an error: it must not remove anything")
	}
}

func TestReapRefusesARunIDThatIsNone(t *testing.T) {
	for _, id := range []string{"", "a b", "x,squall.run", "-x"} {
		if err := Reap(t.Context(), ReapOptions{RunID: id, Listen: "127.0.0.1:0"}, nil); err == nil {
			t.Errorf("Reap(run %q) = nil, want an error", id)
		}
	}
}
