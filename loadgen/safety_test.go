package loadgen

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardPermits(t *testing.T) {
	g := guard{allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}
	table := []struct {
		addr string
		want bool
	}{
		{"127.0.0.1", true},
		{"127.9.9.9", true},
		{"::1", true},
		{"::ffff:127.0.0.1", true},
		{"192.0.2.1", true},
		{"::ffff:192.0.2.1", true},
		{"192.0.2.16", false},
		{"10.0.0.1", false},
		{"0.0.0.0", false},
		{"::", false},
		{"169.254.169.254", false},
		{"fe80::1", false},
		{"2001:db8::1", false},
	}
	for _, row := range table {
		if got := g.permits(netip.MustParseAddr(row.addr)); got != row.want {
			t.Errorf("permits(%s) = %v, want %v", row.addr, got, row.want)
		}
	}
}

// fakeDNS answers every A question with addr, over a pipe and so within a bubble of fake time: as
// on TCP, the length goes before each message (RFC 1035, 4.2.2).
func fakeDNS(addr netip.Addr) *net.Resolver {
	serve := func(conn net.Conn) {
		defer conn.Close()
		for {
			var length uint16
			if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
				return
			}
			query := make([]byte, length)
			if _, err := io.ReadFull(conn, query); err != nil || length < 12 {
				return
			}
			answer := dnsAnswer(query, addr)
			answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(server) // until the resolver closes its end
		return client, nil
	}}
}

// dnsAnswer repeats the question (RFC 1035, 4.1) and, for type A, adds addr.
func dnsAnswer(query []byte, addr netip.Addr) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // root label, type, class
	answer := append([]byte(nil), query[:end]...)
	answer[2], answer[3] = 0x81, 0x80
	isA := binary.BigEndian.Uint16(query[end-4:]) == 1
	copy(answer[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if isA {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		ip := addr.As4()
		answer = append(answer, ip[:]...)
	}
	return answer
}

// TestForbiddenByName: a name is judged by the addresses it leads to, up front and at each dial.
func TestForbiddenByName(t *testing.T) {
	// Subtle: package net reads resolv.conf once, under a channel of its own. Made inside a bubble,
	// that channel would panic for everybody else. The answer is of no interest.
	_, _ = fakeDNS(netip.MustParseAddr("192.0.2.7")).LookupHost(t.Context(), "target.example")
	synctest.Test(t, func(t *testing.T) {
		resolver := fakeDNS(netip.MustParseAddr("192.0.2.7"))
		base := &url.URL{Scheme: "http", Host: "target.example:80"}
		g := guard{resolver: resolver}
		if err := g.check(t.Context(), base); !errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("check(%s) = %v, want ErrForbiddenAddress", base, err)
		}
		s := sender{transport: g.client(1, true).Transport, base: base, timeout: 5 * time.Second}
		x := s.send(t.Context(), &request{method: "GET", path: "/"})
		if !errors.Is(x.err, ErrForbiddenAddress) || x.connected || x.attempts != 0 {
			t.Errorf("send() = %+v, want ErrForbiddenAddress and nothing sent", x)
		}
		if got := errorName(x.err); got != "forbidden" {
			t.Errorf("errorName(%v) = %q, want forbidden", x.err, got)
		}
		allowed := guard{resolver: resolver, allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
		if err := allowed.check(t.Context(), base); err != nil {
			t.Errorf("check() with the network allowed = %v, want nil", err)
		}
		loopback := guard{resolver: fakeDNS(netip.MustParseAddr("127.0.0.1"))}
		if err := loopback.check(t.Context(), base); err != nil {
			t.Errorf("check() of a name for loopback = %v, want nil", err)
		}
	})
}

func TestRunForbidden(t *testing.T) {
	s := mustSchedule(t, steady(1, time.Second, get("a")))
	for _, target := range []string{"http://192.0.2.1:80", "http://[2001:db8::1]/", "http://0.0.0.0:80"} {
		if _, err := Run(t.Context(), s, Options{BaseURL: target}); !errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("Run(%s) error = %v, want ErrForbiddenAddress", target, err)
		}
	}
}

// TestRedirectIsNotFollowed: neither to an address that would be permitted nor to another.
func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Uint64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	r := mustRun(t.Context(), t, mustSchedule(t, steady(40, 500*time.Millisecond, get("a"))), Options{BaseURL: server.URL})
	if c := r.Classes[0]; c.HTTPError != c.Planned || c.Errors["status-307"] != c.Planned || followed.Load() != 0 {
		t.Errorf("counts %+v, errors %v, %d followed: want all as status-307, none followed", c.Counts, c.Errors, followed.Load())
	}
}

// TestNoSilentRetry: net/http resends a POST with an Idempotency-Key when a kept connection breaks,
// if it can rewind the body. It must not: a fault would be hidden.
func TestNoSilentRetry(t *testing.T) {
	// In fake time, since net/http keeps no connection whose request took long to be written.
	synctest.Test(t, testNoSilentRetry)
}

func testNoSilentRetry(t *testing.T) {
	t.Helper()
	var posts atomic.Uint64
	m := newMemoryNet()
	m.listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
			panic(http.ErrAbortHandler)
		}
	}))
	base, err := url.Parse(fakeURL)
	if err != nil {
		t.Fatal(err)
	}
	g := guard{resolver: net.DefaultResolver}
	s := sender{transport: g.client(1, true).Transport, base: base, timeout: patience}
	m.reroute(t, s.transport)
	if x := s.send(t.Context(), &request{method: "GET", path: "/"}); x.err != nil || x.attempts != 1 {
		t.Fatalf("send(GET) = %+v, want one good attempt", x)
	}
	x := s.send(t.Context(), &request{id: "k", method: "POST", path: "/", body: []byte("{}"), durable: true})
	if x.err == nil || posts.Load() != 1 || x.attempts > 1 {
		t.Errorf("send(POST) error %v, %d attempts, server saw %d: want an error after one", x.err, x.attempts, posts.Load())
	}

	// The control: with GetBody, as http.NewRequest and so vegeta itself set it, it is resent.
	posts.Store(0)
	if x := s.send(t.Context(), &request{method: "GET", path: "/"}); x.err != nil {
		t.Fatalf("send(GET) error: %v", x.err)
	}
	req, err := s.httpRequest(t.Context(), &request{id: "k", method: "POST", path: "/", body: []byte("{}"), durable: true})
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil {
		t.Error("GetBody is set, want nil")
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("{}")), nil }
	if answer, err := s.transport.RoundTrip(req); err == nil {
		answer.Body.Close()
		t.Error("RoundTrip() with GetBody: no error, want one")
	}
	if posts.Load() != 2 {
		t.Errorf("with GetBody the server saw %d requests, want 2: the control shows nothing", posts.Load())
	}
}

// TestCapture: a long answer is counted whole and kept in part.
func TestCapture(t *testing.T) {
	const size = 300_000
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := guard{resolver: net.DefaultResolver}
	s := sender{transport: g.client(1, true).Transport, base: base, timeout: patience}
	x := s.send(t.Context(), &request{method: "GET", path: "/"})
	if x.err != nil || x.bytesIn != size || len(x.body) != captureLimit {
		t.Errorf("send() = %d bytes, %d kept, %v, want %d and %d", x.bytesIn, len(x.body), x.err, size, captureLimit)
	}
}
