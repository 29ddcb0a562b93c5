package target

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logText) await(t *testing.T, text string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(l.String(), text); <-time.After(10 * time.Millisecond) {
		if time.Since(began) > hang {
			t.Fatalf("the log does not say %q; it says: %s", text, l)
		}
	}
}

// holdLine dials a reaper that the test plays, and returns the reaper's side of the connection.
func holdLine(t *testing.T, listener net.Listener, log *logText, within time.Duration) (*reaperLine, net.Conn) {
	t.Helper()
	sides := make(chan net.Conn, 1)
	go func() { sides <- greetOne(listener) }()
	conn, err := dialReaper(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	line := holdReaper(t.Context(), conn, listener.Addr().String(), slog.New(slog.NewTextHandler(log, nil)), within)
	t.Cleanup(line.close)
	return line, <-sides
}

// greetOne accepts a client and hears its answer; nil when none came, or the listener has ended.
func greetOne(listener net.Listener) net.Conn {
	if l, ok := listener.(*net.TCPListener); !ok || l.SetDeadline(time.Now().Add(hang)) != nil {
		return nil
	}
	conn, err := listener.Accept()
	if err != nil || !confirmed(conn) {
		return nil
	}
	return conn
}

func TestReaperLineTellsOfADeadReaper(t *testing.T) {
	listener, log := listen(t), &logText{}
	line, side := holdLine(t, listener, log, 200*time.Millisecond)
	if line.lost() {
		t.Error("lost() while the reaper is there")
	}
	listener.Close()
	side.Close()
	log.await(t, "the run's reaper is gone")
	if !line.lost() {
		t.Error("lost() = false after the reaper had gone")
	}
	line.close()
}

func TestReaperLineIsMadeAgain(t *testing.T) {
	listener, log := listen(t), &logText{}
	line, side := holdLine(t, listener, log, hang)
	side.Close()
	again := greetOne(listener)
	if again == nil {
		t.Fatal("no other connection was made")
	}
	log.await(t, "was made again")
	if line.lost() {
		t.Error("lost() = true although the line was made again")
	}
	line.close()
	if _, err := again.Read(make([]byte, 1)); err == nil {
		t.Error("the new connection outlives the line")
	}
}

// TestReaperLineEndsInSilence: a removal takes the reaper away, and nobody is to be warned of that.
func TestReaperLineEndsInSilence(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(line *reaperLine, side net.Conn)
	}{
		{"closed", func(*reaperLine, net.Conn) {}},
		{"its end was expected", func(line *reaperLine, side net.Conn) {
			line.expectEnd()
			side.Close()
			<-line.ended
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, log := listen(t), &logText{}
			line, side := holdLine(t, listener, log, hang)
			test.end(line, side)
			line.close()
			line.close()
			if line.lost() || log.String() != "" {
				t.Errorf("lost() = %t, log %q, want silence", line.lost(), log)
			}
		})
	}
}
