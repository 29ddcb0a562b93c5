package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrForbiddenAddress is wrapped by every error of a load or probe that was about to reach an
// address which is neither loopback nor in Options.Allowed.
var ErrForbiddenAddress = errors.New("forbidden address")

// guard lets connections through to loopback and to the allowed networks only. It sits below name
// resolution: what a name or a redirect leads to is checked like anything else.
type guard struct {
	allowed  []netip.Prefix
	resolver *net.Resolver
}

// permits says whether load may go to addr.
func (g guard) permits(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.IsLoopback() {
		return true
	}
	for _, p := range g.allowed {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// control is a net.Dialer's Control: it sees the resolved address before the socket connects.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no IP address and port", ErrForbiddenAddress, address)
	}
	if !g.permits(a.Addr()) {
		return fmt.Errorf("%w: %s is neither loopback nor on a network of the run", ErrForbiddenAddress, a.Addr())
	}
	return nil
}

// check resolves the host of a base URL and refuses it unless every address is permitted.
func (g guard) check(ctx context.Context, base *url.URL) error {
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", base.Hostname())
	if err != nil {
		return fmt.Errorf("target address: %w", err)
	}
	for _, a := range addrs {
		if !g.permits(a) {
			return fmt.Errorf("target %s: %w: %s is neither loopback nor on a network of the run",
				base.Redacted(), ErrForbiddenAddress, a.Unmap())
		}
	}
	return nil
}

// client makes an HTTP client for at most idle parallel requests.
//
// Why each setting: Go keeps 2 idle connections a host, which under load opens and closes the rest
// for every request until the ports run out; a proxy would change the target; compression costs the
// generator's CPU and hides the size; a followed redirect is a second request nobody planned; no
// limit on connections, since the transport would queue inside itself, unseen.
func (g guard) client(idle int, keepAlive bool) *http.Client {
	dialer := &net.Dialer{
		KeepAlive: 30 * time.Second,
		Resolver:  g.resolver,
		Control:   g.control,
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               nil,
			DialContext:         dialer.DialContext,
			MaxIdleConns:        0, // no limit over all hosts: there is one
			MaxIdleConnsPerHost: idle,
			DisableCompression:  true,
			DisableKeepAlives:   !keepAlive,
			// Larger than EcoTrack's answers, so that one read takes most of them.
			ReadBufferSize:  8 << 10,
			WriteBufferSize: 8 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange is one request and what came of it.
type exchange struct {
	status    int
	header    http.Header
	body      []byte // the first captureLimit bytes
	err       error
	connected bool // a connection was had: bytes may have left
	attempts  uint64
	bytesIn   uint64
	bytesOut  uint64
	done      time.Time // the body was read to its end, or the attempt failed
}

// captureLimit is how much of an answer is kept for its receipt; the rest is counted and dropped.
const captureLimit = 64 << 10

// roundTripper sends through an http.RoundTripper; a faster one can take net/http's place here.
type sender struct {
	transport http.RoundTripper
	base      *url.URL
	timeout   time.Duration
}

// send carries out r and reads the answer to its end, within the timeout. It does not retry, and
// keeps net/http from doing so: GetBody stays nil, without which the transport would silently
// resend a POST that has an Idempotency-Key after a connection broke. Reads it may still resend;
// attempts tells.
func (s sender) send(ctx context.Context, r *request) exchange {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, context.DeadlineExceeded)
	defer cancel()
	var x exchange
	var attempts atomic.Uint64 // the trace runs on the connection's goroutines
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { attempts.Add(1) },
	})
	req, err := s.httpRequest(ctx, r)
	if err == nil {
		x.exchange(s.transport, req)
	} else {
		x.err = err
	}
	x.done = time.Now()
	x.attempts, x.connected = attempts.Load(), connected.Load()
	if x.connected {
		x.bytesOut = uint64(len(r.body))
	}
	return x
}

// httpRequest is built by hand where http.NewRequest would set GetBody.
func (s sender) httpRequest(ctx context.Context, r *request) (*http.Request, error) {
	target, err := s.base.Parse(r.path)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", r.path, err)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", r.path, err)
	}
	req.URL, req.Host = target, target.Host
	req.Body, req.GetBody = nil, nil
	if len(r.body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(r.body))
		req.ContentLength = int64(len(r.body))
	}
	req.Header = http.Header{"X-Request-Id": {r.id}, "User-Agent": {"squall"}}
	if r.contentType != "" {
		req.Header["Content-Type"] = []string{r.contentType}
	}
	if r.durable {
		req.Header["Idempotency-Key"] = []string{r.id}
	}
	return req, nil
}

// exchange sends req and drains the answer.
func (x *exchange) exchange(transport http.RoundTripper, req *http.Request) {
	answer, err := transport.RoundTrip(req)
	if err != nil {
		x.err = err
		return
	}
	defer answer.Body.Close()
	x.status, x.header = answer.StatusCode, answer.Header
	x.body, x.err = io.ReadAll(io.LimitReader(answer.Body, captureLimit))
	x.bytesIn = uint64(len(x.body))
	if x.err == nil {
		rest, err := io.Copy(io.Discard, answer.Body)
		x.bytesIn += uint64(rest) //nolint:gosec // io.Copy counts up from zero
		x.err = err
	}
}
