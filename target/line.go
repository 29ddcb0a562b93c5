package target

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// reconnectWithin bounds the attempt to reach a reaper again. Its grace is a second: one that still lives
// has to hear from us by then, and one that has gone will not answer later either.
const reconnectWithin = 5 * time.Second

// reaperLine holds the connection that tells the reaper that the harness lives, as long as the run does.
// Where the connection ends by itself it makes another; where that fails, the run goes on, and what a
// killed harness would leave behind stays there until `squall recover`: that is said aloud.
type reaperLine struct {
	address string
	log     *slog.Logger
	within  time.Duration // for a new connection
	cancel  context.CancelFunc
	ended   chan struct{} // closed when nobody holds the line any more

	mu      sync.Mutex
	conn    net.Conn
	closing bool // the end of the connection is wanted
	gone    bool // it ended, and no other was to be had
}

// holdReaper holds a connection of dialReaper until close.
func holdReaper(ctx context.Context, conn net.Conn, address string, log *slog.Logger, within time.Duration) *reaperLine {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &reaperLine{
		address: address, log: log, within: within, cancel: cancel, ended: make(chan struct{}), conn: conn,
	}
	go l.hold(ctx)
	return l
}

func (l *reaperLine) hold(ctx context.Context) {
	defer close(l.ended)
	for {
		l.mu.Lock()
		conn := l.conn
		l.mu.Unlock()
		// It returns when the connection has ended, whatever the reason: the reaper says nothing.
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
		l.mu.Lock()
		closing := l.closing
		l.mu.Unlock()
		if closing || !l.again(ctx) {
			return
		}
	}
}

// again makes another connection.
func (l *reaperLine) again(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, l.within)
	defer cancel()
	conn, err := dialReaper(ctx, l.address)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		if err == nil {
			conn.Close()
		}
		return false
	case err != nil:
		l.gone = true
		l.log.Warn("the run's reaper is gone: if squall is killed now, `squall recover` has to clean up",
			slog.Any("error", err))
		return false
	}
	l.conn = conn
	l.log.Warn("the connection to the run's reaper ended and was made again")
	return true
}

// lost says that the reaper went although nobody wanted it to.
func (l *reaperLine) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// expectEnd says that from now on the reaper may go: the run is being removed.
func (l *reaperLine) expectEnd() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
}

// close ends the connection and waits for whoever held it. It may be called twice.
func (l *reaperLine) close() {
	l.expectEnd()
	l.cancel()
	l.mu.Lock()
	l.conn.Close() // its other end is to go too; an error says nothing
	l.mu.Unlock()
	<-l.ended
}
