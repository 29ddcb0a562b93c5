package chaos

import (
	"fmt"
	"squall/target"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	with := func(s Spec, change func(*Spec)) Spec { change(&s); return s }
	kill, slow, lossy := killSpec("k", target.RoleEngine), latencySpec("s", target.RoleEngine), lossSpec("l", target.RoleEngine)
	for _, c := range []struct {
		name  string
		specs []Spec
		want  []string // path and the beginning of the message
	}{
		{name: "all kinds at once", specs: []Spec{kill, slow, lossy}},
		{name: "latency with loss and peer", specs: []Spec{with(slow, func(s *Spec) { s.Loss = 2; s.Peer = &target.Selector{Zone: "a"} })}},
		{name: "same selector later", specs: []Spec{kill, with(kill, func(s *Spec) { s.Name, s.At = "k2", 30*time.Second })}},
		{name: "nothing", specs: []Spec{{}}, want: []string{
			"[0].name is missing", "[0].at must be > 0s", "[0].for must be > 0s",
			"[0].kind is missing: want one of kill, latency, loss", "[0].select names neither role nor zone nor name",
		}},
		{
			name: "unknown kind", specs: []Spec{with(kill, func(s *Spec) { s.Kind = "pause" })},
			want: []string{`[0].kind unknown kind "pause": want one of kill, latency, loss`},
		},
		{name: "name", specs: []Spec{with(kill, func(s *Spec) { s.Name = "Kill it" })}, want: []string{"[0].name want small letters"}},
		{name: "doubled name", specs: []Spec{kill, with(lossy, func(s *Spec) { s.Name = "k" })}, want: []string{`[1].name "k" is already the name of [0]`}},
		{name: "network figures on kill", specs: []Spec{with(kill, func(s *Spec) {
			s.Delay, s.Jitter, s.Loss, s.Peer = 1, 1, 1, &target.Selector{Role: "queue"}
		})}, want: []string{"[0].peer does not go", "[0].delay does not go", "[0].jitter does not go", "[0].loss does not go"}},
		{name: "delay missing", specs: []Spec{with(slow, func(s *Spec) { s.Delay, s.Jitter = 0, 0 })}, want: []string{"[0].delay is missing"}},
		{name: "delay too long", specs: []Spec{with(slow, func(s *Spec) { s.Delay = time.Hour })}, want: []string{"[0].delay want more than 0s"}},
		{name: "jitter above delay", specs: []Spec{with(slow, func(s *Spec) { s.Jitter = time.Second })}, want: []string{"[0].jitter want 0s up to the delay of 50ms"}},
		{name: "loss missing", specs: []Spec{with(lossy, func(s *Spec) { s.Loss = 0 })}, want: []string{"[0].loss must be > 0%"}},
		{name: "all lost", specs: []Spec{with(lossy, func(s *Spec) { s.Loss = 100 })}, want: []string{"[0].loss must be < 100%"}},
		{name: "loss below the draw", specs: []Spec{with(lossy, func(s *Spec) { s.Loss = 0.00001 })}, want: []string{"[0].loss must be at least 0.0001%"}},
		{
			name: "selector", specs: []Spec{with(kill, func(s *Spec) { s.Select = target.Selector{Role: "leader", Zone: "x", Mode: "some"} })},
			want: []string{`[0].select.role unknown role "leader"`, `[0].select.zone unknown zone "x"`, `[0].select.mode unknown mode "some"`},
		},
		{name: "value without mode", specs: []Spec{with(kill, func(s *Spec) { s.Select.Value = 2 })}, want: []string{"[0].select.value goes with mode"}},
		{name: "no value", specs: []Spec{with(kill, func(s *Spec) { s.Select.Mode = "fixed" })}, want: []string{"[0].select.value want at least 1"}},
		{name: "percent", specs: []Spec{with(kill, func(s *Spec) { s.Select.Mode, s.Select.Value = "percent", 101 })}, want: []string{"[0].select.value want 1 to 100"}},
		{name: "peer", specs: []Spec{with(lossy, func(s *Spec) { s.Peer = &target.Selector{} })}, want: []string{"[0].peer names neither"}},
		{name: "negative settle", specs: []Spec{with(kill, func(s *Spec) { s.Settle = -1 })}, want: []string{"[0].settle must be >= 0s"}},
		{name: "overlap", specs: []Spec{kill, with(kill, func(s *Spec) { s.Name, s.At = "k2", 29*time.Second })}, want: []string{"[1].at overlaps in time with [0]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			Validate(c.specs, func(path, format string, args ...any) {
				got = append(got, path+" "+fmt.Sprintf(format, args...))
			})
			if len(got) != len(c.want) {
				t.Fatalf("Validate() = %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("Validate()[%d] = %q, want it to begin with %q", i, got[i], c.want[i])
				}
			}
		})
	}
}

func TestWithDefaults(t *testing.T) {
	in := []Spec{{Peer: &target.Selector{Role: "queue"}}, {Settle: time.Second, Select: target.Selector{Mode: "all"}}}
	got := WithDefaults(in)
	want := []Spec{
		{Settle: 5 * time.Second, Select: target.Selector{Mode: "one"}, Peer: &target.Selector{Role: "queue", Mode: "all"}},
		{Settle: time.Second, Select: target.Selector{Mode: "all"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("WithDefaults() (-want +got):\n%s", diff)
	}
	if in[0].Peer.Mode != "" {
		t.Errorf("WithDefaults changed its argument: %+v", in[0].Peer)
	}
}

func TestConsistent(t *testing.T) {
	for _, c := range []struct {
		n, dropped uint64
		share      float64
		want       bool
	}{
		{1000, 20, 0.02, true},
		{1000, 36, 0.02, true},
		{1000, 40, 0.02, false},
		{1000, 1, 0.02, false},
		{100_000, 2000, 0.02, true},
		{100_000, 2300, 0.02, false},
		{10, 3, 0.02, false},
		{10, 1, 0.02, true},
	} {
		if got := consistent(c.n, c.dropped, c.share); got != c.want {
			t.Errorf("consistent(%d, %d, %g) = %t, want %t", c.n, c.dropped, c.share, got, c.want)
		}
	}
}
