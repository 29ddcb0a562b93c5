package target

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// hang is when a test gives up: far above what a loopback needs, also on a machine that stands still.
const hang = 30 * time.Second

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// TestGraceNeedsAConfirmedClient: whoever was never greeted, or never answered, starts no grace when
// it goes. Each of them is tried with the shortest grace there is.
func TestGraceNeedsAConfirmedClient(t *testing.T) {
	for _, test := range []struct {
		name  string
		visit func(net.Conn) error
	}{
		{"it connects and goes", func(net.Conn) error { return nil }},
		{"it hears the word and goes", func(conn net.Conn) error {
			_, err := io.ReadFull(conn, make([]byte, len(reaperWord)))
			return err
		}},
		{"it answers something else", func(conn net.Conn) error {
			_, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			_, _ = io.ReadAll(conn) // until the reaper hangs up
			return err
		}},
		{"it goes in the middle of its answer", func(conn net.Conn) error {
			_, err := io.WriteString(conn, clientWord[:2])
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listen(t)
			ended := make(chan error, 1)
			go func() {
				ended <- awaitAlone(t.Context(), listener, ReapOptions{First: time.Hour, Grace: time.Nanosecond})
			}()
			for range 3 {
				conn, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if err := test.visit(conn); err != nil {
					t.Error(err)
				}
				conn.Close()
			}
			select {
			case err := <-ended:
				t.Fatalf("awaitAlone() = %v after a client that was never there: it would remove a living run", err)
			case <-time.After(300 * time.Millisecond):
			}
			conn, err := dialReaper(t.Context(), listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("awaitAlone() = %v, want nil", err)
				}
			case <-time.After(hang):
				t.Error("awaitAlone() did not return after its last client had gone")
			}
		})
	}
}

// TestDialReaperIsPatient: a greeting may take longer than a second, and a connection that is dropped
// is no answer.
func TestDialReaperIsPatient(t *testing.T) {
	t.Parallel()
	const slow = 1500 * time.Millisecond // more than the second that it once was
	for _, test := range []struct {
		name    string
		dropped int // connections that the proxy accepts and drops
		delay   time.Duration
	}{
		{"a slow reaper", 0, slow},
		{"a proxy before the reaper", 2, 0},
		{"both", 1, slow},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener := listen(t)
			answers := make(chan string, 1)
			go func() {
				defer close(answers)
				for n := 0; ; n++ {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					if n < test.dropped {
						conn.Close()
						continue
					}
					defer conn.Close()
					<-time.After(test.delay)
					if _, err := io.WriteString(conn, reaperWord); err != nil {
						return
					}
					answer, _ := bufio.NewReader(conn).ReadString('\n') // nothing, if it has given up
					answers <- answer
					return
				}
			}()
			conn, err := dialReaper(t.Context(), listener.Addr().String())
			if err != nil {
				t.Fatalf("dialReaper() = %v, want a connection", err)
			}
			defer conn.Close()
			select {
			case answer := <-answers:
				if answer != clientWord {
					t.Errorf("the first connection that was greeted answered %q, want %q", answer, clientWord)
				}
			case <-time.After(hang):
				t.Error("the connection was not confirmed")
			}
		})
	}
}

// TestDialReaperIsCancelled: silence is borne, but not beyond ctx.
func TestDialReaperIsCancelled(t *testing.T) {
	listener := listen(t) // it never accepts: the kernel does
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(100*time.Millisecond, cancel)
	ended := make(chan error, 1)
	go func() {
		_, err := dialReaper(ctx, listener.Addr().String())
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("dialReaper(cancelled) = nil, want an error")
		}
	case <-time.After(dialReaperWithin - time.Second):
		t.Error("dialReaper() goes on after it was cancelled")
	}
}
