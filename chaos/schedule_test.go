package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"squall/target"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func killSpec(name string, role target.Role) Spec {
	return Spec{Name: name, Kind: KindKill, At: 10 * time.Second, For: 20 * time.Second, Select: target.Selector{Role: role}}
}

func latencySpec(name string, role target.Role) Spec {
	return Spec{
		Name: name, Kind: KindLatency, At: 10 * time.Second, For: 20 * time.Second, Delay: 50 * time.Millisecond,
		Jitter: 5 * time.Millisecond, Select: target.Selector{Role: role, Mode: "all"},
	}
}

func lossSpec(name string, role target.Role) Spec {
	return Spec{
		Name: name, Kind: KindLoss, At: 10 * time.Second, For: 20 * time.Second, Loss: 5,
		Select: target.Selector{Role: role, Mode: "all"},
	}
}

func TestPlayKillsThePrimaryAndRecordsTheFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		p := play(t.Context(), t, s, killSpec("failover", target.RolePrimary))
		in := p.injections[0]
		if in.Error != "" || !in.Felt || !in.Undone {
			t.Errorf("Play() = %+v, want felt and undone without error", in)
		}
		if in.Effective < 10*time.Second || in.Ended < in.Effective+20*time.Second || in.Ended > 31*time.Second {
			t.Errorf("effective %s, ended %s, want about 10s and 30s", in.Effective, in.Ended)
		}
		if diff := cmp.Diff([]string{"database-1"}, in.Targets); diff != "" {
			t.Errorf("targets (-want +got):\n%s", diff)
		}
		m := in.Effect.Measured
		if m["exit_code"] != 137 || m["primary_changed"] != 1 || m["timeline_advanced"] != 1 {
			t.Errorf("measured %v, want exit code 137 and a new primary on the next timeline", m)
		}
		if after := m["primary_seen_after_ms"]; after < 2000 || after > 2200 {
			t.Errorf("primary_seen_after_ms = %g, want 2000 and at most one poll more", after)
		}
		if after := m["promoted_after_ms"]; after < 3000 || after > 3200 {
			t.Errorf("promoted_after_ms = %g, want 3000 and at most one poll more", after)
		}
		if d := in.Effect.Details; d["old_primary"] != "database-1" || d["new_primary"] != "database-2" {
			t.Errorf("details %v, want database-1 and then database-2", d)
		}
		if diff := cmp.Diff([]string{"kill database-1", "start database-1", "healthy database-1"}, s.log); diff != "" {
			t.Errorf("done to the system (-want +got):\n%s", diff)
		}
		var phases []Phase
		for _, e := range p.events {
			phases = append(phases, e.Phase)
		}
		if diff := cmp.Diff([]Phase{PhaseInjecting, PhaseEffective, PhaseEnded, PhaseUndone}, phases); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if open, err := Unfinished(p.journal); err != nil || len(open) != 0 {
			t.Errorf("Unfinished() = %v, %v, want none", open, err)
		}
	})
}

func TestPlayDelaysAndDrops(t *testing.T) {
	both := latencySpec("slow", target.RoleEngine)
	both.Loss = 2
	both.Peer = &target.Selector{Role: target.RoleDatabase}
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		in := play(t.Context(), t, s, both).injections[0]
		if in.Error != "" || !in.Felt || !in.Undone {
			t.Fatalf("Play() = %+v, want felt and undone without error", in)
		}
		want := map[string]float64{
			"packets": 2000, "dropped": 40, "loss_percent": 2, "held": 1960,
			"delay_ms_p50": 50, "delay_ms_p99": 55, "queue_lost": 0, "apply_spread_ms": 0,
		}
		if diff := cmp.Diff(want, in.Effect.Measured); diff != "" {
			t.Errorf("measured (-want +got):\n%s", diff)
		}
		for _, name := range []string{"engine-1", "engine-2"} {
			if n := len(s.kernels[name].active); n != 0 {
				t.Errorf("%s has %d faults after Play, want 0", name, n)
			}
		}
	})
}

func TestPlayReportsWhatWentWrong(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    Spec
		sick    func(*fakeSystem)
		felt    bool
		undone  bool
		said    string // in the error or the summary
		journal int    // unfinished entries
	}{
		{name: "unmatched selector", spec: killSpec("a", target.RoleReplica), said: "not injected: select: no node matches"},
		{name: "unmatched peer", spec: withPeer(latencySpec("a", target.RoleEngine), target.RoleReplica), said: "peer: no node matches"},
		{
			name: "exit code of something else", spec: killSpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.exit = 1 }, said: "exited with 1",
		},
		{
			name: "panic while killing", spec: killSpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.killPanics = true }, said: "panic: the fake was told to",
		},
		{
			name: "no other primary", spec: killSpec("a", target.RolePrimary), felt: true, undone: true,
			sick: func(s *fakeSystem) { s.promote = 0 }, said: "no other primary than database-1 was seen",
		},
		{
			name: "nobody is primary", spec: killSpec("a", target.RoleDatabase), said: "not injected: primary: no primary",
			sick: func(s *fakeSystem) { s.primary = "" },
		},
		{
			name: "start fails once", spec: killSpec("a", target.RoleEngine), felt: true, undone: true,
			sick: func(s *fakeSystem) { s.startFails = 1 },
		},
		{
			name: "start fails for ever", spec: killSpec("a", target.RoleEngine), felt: true, journal: 1,
			sick: func(s *fakeSystem) { s.startFails = 1e6 }, said: "undo: start engine-1: no such image",
		},
		{
			name: "never healthy again", spec: killSpec("a", target.RoleEngine), felt: true, journal: 1,
			sick: func(s *fakeSystem) { s.unhealthy = true }, said: "undo: engine-1 is not healthy: context deadline exceeded",
		},
		{
			name: "no packet came", spec: latencySpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.kernels["engine-2"].traffic = 0 }, said: "engine-2: 0 packets: not felt: no packet came",
		},
		{
			name: "delay too short", spec: latencySpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.kernels["engine-1"].effect = 0.5 }, said: "the median hold is below 0.8 of the 50ms",
		},
		{
			name: "loss of another size", spec: lossSpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.kernels["engine-1"].effect = 2 }, said: "the share dropped is not 5% by chance",
		},
		{
			name: "nothing lost", spec: lossSpec("a", target.RoleEngine), undone: true,
			sick: func(s *fakeSystem) { s.kernels["engine-1"].traffic, s.kernels["engine-2"].traffic = 3, 4 },
			said: "not felt: none of 7 packets was dropped",
		},
		{
			name: "rules stay", spec: lossSpec("a", target.RoleEngine), felt: true, journal: 1,
			sick: func(s *fakeSystem) { s.kernels["engine-2"].sticky = true }, said: "left after undo: [ip squall_a]",
		},
		{
			name: "agent dies before it applies", spec: lossSpec("a", target.RoleQueue), journal: 1,
			sick: func(s *fakeSystem) { s.deaf["queue-1"] = true }, said: "inject: agent on queue-1: apply: agent is gone",
		},
		{
			name: "agent dies while it holds, and another one looks", spec: lossSpec("a", target.RoleQueue), undone: true,
			sick: func(s *fakeSystem) { s.agentLives = 5 * time.Second }, said: "queue-1: no answer from its agent",
		},
		{
			name: "agent dies and the rules stay", spec: lossSpec("a", target.RoleQueue), journal: 1,
			sick: func(s *fakeSystem) { s.agentLives, s.kernels["queue-1"].sticky = 5*time.Second, true },
			said: "undo: agent on queue-1: left after undo: [ip squall_a]",
		},
		{
			name: "target restarted meanwhile", spec: lossSpec("a", target.RoleEngine), felt: true, undone: true,
			sick: func(s *fakeSystem) { s.kernels["engine-2"].vanishes = true }, said: "free of it since: engine-2",
		},
		{
			name: "another namespace", spec: lossSpec("a", target.RoleQueue), undone: true,
			sick: func(s *fakeSystem) { s.nodes[4].Addr = s.nodes[0].Addr }, said: "its namespace has addresses [10.0.0.5]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeSystem()
				if c.sick != nil {
					c.sick(s)
				}
				p := play(t.Context(), t, s, c.spec)
				in := p.injections[0]
				if in.Felt != c.felt || in.Undone != c.undone {
					t.Errorf("Play() = felt %t, undone %t, want %t, %t: %+v", in.Felt, in.Undone, c.felt, c.undone, in)
				}
				if said := in.Error + in.Effect.Summary; !strings.Contains(said, c.said) {
					t.Errorf("Play() says %q, want %q in it", said, c.said)
				}
				if open, err := Unfinished(p.journal); err != nil || len(open) != c.journal {
					t.Errorf("Unfinished() = %v, %v, want %d", open, err, c.journal)
				}
				for name, k := range s.kernels {
					if len(k.active) > 0 && !k.sticky {
						t.Errorf("%s still has %v", name, k.active)
					}
				}
			})
		})
	}
}

func withPeer(s Spec, role target.Role) Spec {
	s.Peer = &target.Selector{Role: role}
	return s
}

func TestPlayCancelledUndoesAtOnce(t *testing.T) {
	for _, kind := range []func(string, target.Role) Spec{killSpec, latencySpec} {
		spec := kind("first", target.RoleEngine)
		t.Run(spec.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				later := kind("later", target.RoleQueue)
				later.At = time.Minute
				s := newFakeSystem()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(15*time.Second, cancel)
				began := time.Now()
				in := play(ctx, t, s, spec, later).injections
				if took := time.Since(began); took > 17*time.Second {
					t.Errorf("Play() took %s after a cancel at 15s, want at most 17s", took)
				}
				if !in[0].Felt || !in[0].Undone || in[0].Error != "" {
					t.Errorf("active fault = %+v, want felt and undone", in[0])
				}
				if in[0].Effect.Details["cut_short"] == "" {
					t.Errorf("details %v, want cut_short", in[0].Effect.Details)
				}
				if in[1].Effective != 0 || !strings.Contains(in[1].Error, "not injected") {
					t.Errorf("later fault = %+v, want not injected", in[1])
				}
				if len(s.stopped) > 0 || slices.Contains(s.log, "kill queue-1") {
					t.Errorf("stopped %v, log %v, want everything running", s.stopped, s.log)
				}
			})
		})
	}
}

func TestPlayOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		again := latencySpec("again", "")
		again.Select = target.Selector{Name: "engine-2"}
		again.At = 15 * time.Second
		other := lossSpec("other", target.RoleEngine)
		other.At = 15 * time.Second
		after := latencySpec("after", target.RoleEngine)
		after.At = 40 * time.Second
		var got []string
		for _, in := range play(t.Context(), t, s, latencySpec("first", target.RoleEngine), again, other, after).injections {
			got = append(got, fmt.Sprintf("%s felt %t: %s", in.Fault, in.Felt, in.Error))
		}
		want := []string{
			"first felt true: ",
			"again felt false: not injected: engine-2 is already under latency by fault first",
			"other felt true: ", "after felt true: ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Play() (-want +got):\n%s", diff)
		}
	})
}

// hungSystem has agents that never read their input, as behind a Docker daemon that hangs.
type hungSystem struct{ *fakeSystem }

func (h hungSystem) Sidecar(context.Context, target.Node, string, []string, []string) (*target.Sidecar, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	return &target.Sidecar{Stdin: inW, Stdout: outR, Close: func() error {
		return errors.Join(inR.Close(), outW.Close())
	}}, nil
}

func TestPlayEndsWhenDockerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		in := play(t.Context(), t, hungSystem{newFakeSystem()}, lossSpec("a", target.RoleEngine)).injections[0]
		if took := time.Since(began); took > 10*time.Second+injectWithin+networkUndoWithin+agentEndsWithin {
			t.Errorf("Play() took %s, want the limits kept", took)
		}
		if in.Felt || !strings.Contains(in.Error, "inject: agent on engine-1: hello: context deadline exceeded") {
			t.Errorf("Play() = %+v, want an agent that never answers", in)
		}
	})
}
