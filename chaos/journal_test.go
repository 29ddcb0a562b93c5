package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"squall/target"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUnfinished(t *testing.T) {
	const a = `{"record":"injecting","run":"r","fault":"a","kind":"kill","inverse":"start"}` + "\n"
	const b = `{"record":"injecting","run":"r","fault":"b","kind":"loss","inverse":"remove-sidecar"}` + "\n"
	const undoneA = `{"record":"undone","run":"r","fault":"a","kind":"kill"}` + "\n"
	for _, c := range []struct {
		name, file string
		want       []string
		bad        string
	}{
		{name: "empty"},
		{name: "one undone", file: a + undoneA},
		{name: "killed between journal and inject", file: a, want: []string{"a"}},
		{name: "one of two", file: a + b + undoneA, want: []string{"b"}},
		{name: "torn injecting", file: a + undoneA + b[:40]},
		{name: "torn undone", file: a + undoneA[:40], want: []string{"a"}},
		{name: "same fault of another run", file: a + strings.ReplaceAll(undoneA, `"r"`, `"q"`), want: []string{"a"}},
		{name: "rubbish in the middle", file: a + "rubbish\n" + b, want: []string{"a", "b"}, bad: "journal.jsonl:2:"},
		{name: "unknown record", file: `{"record":"injected","fault":"a"}` + "\n", bad: `unknown record "injected"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.jsonl")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			open, err := Unfinished(path)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("Unfinished() error %v, want %q in it", err, c.bad)
			}
			var got []string
			for _, e := range open {
				got = append(got, e.Fault)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Unfinished() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnfinishedWithoutJournal(t *testing.T) {
	if open, err := Unfinished(filepath.Join(t.TempDir(), "none")); err != nil || open != nil {
		t.Errorf("Unfinished() = %v, %v, want nothing", open, err)
	}
}

// A journal with a torn end must take further lines, and none of them may be lost in it.
func TestOpenJournalCutsTheTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	if err := os.WriteFile(path, []byte(`{"record":"injecting","fault":"a"}`+"\n"+`{"record":"undo`), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(Entry{Record: RecordInjecting, Fault: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open, err := Unfinished(path)
	if err != nil || len(open) != 2 || open[1].Fault != "b" || open[1].Written.IsZero() {
		t.Errorf("Unfinished() = %+v, %v, want a and b", open, err)
	}
}

// watchedSystem looks into the journal at the moment of a kill.
type watchedSystem struct {
	*fakeSystem
	path string
	open []Entry
	err  error
}

func (w *watchedSystem) Kill(ctx context.Context, n target.Node) error {
	w.open, w.err = Unfinished(w.path)
	return w.fakeSystem.Kill(ctx, n)
}

func TestPlayJournalsBeforeItInjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.jsonl")
		j, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		w := &watchedSystem{fakeSystem: newFakeSystem(), path: path}
		Play(t.Context(), PlayOptions{Faults: []Spec{killSpec("failover", target.RolePrimary)}, System: w, Journal: j, Run: "run-1"})
		if w.err != nil || len(w.open) != 1 {
			t.Fatalf("Unfinished() during the kill = %v, %v, want one entry", w.open, w.err)
		}
		e := w.open[0]
		if !e.Deadline.After(e.Written) {
			t.Errorf("deadline %s, written %s, want it later", e.Deadline, e.Written)
		}
		e.Written, e.Deadline = time.Time{}, time.Time{}
		want := Entry{
			Record: RecordInjecting, Run: "run-1", Fault: "failover",
			Kind: KindKill, Targets: []EntryTarget{{"database-1", "c-database-1"}}, Inverse: InverseStart,
			Before: map[string]string{"state": "running", "primary": "database-1", "timeline": "1"},
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("journalled (-want +got):\n%s", diff)
		}
	})
}

func TestPlayWithoutJournalDoesNotInject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := OpenJournal(filepath.Join(t.TempDir(), "journal.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		s := newFakeSystem()
		in := Play(t.Context(), PlayOptions{Faults: []Spec{killSpec("a", target.RoleEngine)}, System: s, Journal: j})[0]
		if !strings.Contains(in.Error, "not injected: journal") || len(s.log) != 0 {
			t.Errorf("Play() = %+v after %v, want not injected", in, s.log)
		}
	})
}

// fakeDoer is a Docker with containers and agents in memory.
type fakeDoer struct {
	running  map[string]bool // by id; absent: the container is gone
	sidecars map[string]int
	broken   bool // start and removal have no effect
}

func (d *fakeDoer) Inspect(_ context.Context, id string) (exists, running bool, err error) {
	if id == "unreachable" {
		return false, false, errors.New("no answer")
	}
	running, exists = d.running[id]
	return exists, running, nil
}

func (d *fakeDoer) Start(_ context.Context, id string) error {
	d.running[id] = !d.broken
	return nil
}

func (d *fakeDoer) RemoveSidecars(_ context.Context, id string) error {
	if !d.broken {
		delete(d.sidecars, id)
	}
	return nil
}

func (d *fakeDoer) Sidecars(_ context.Context, id string) (int, error) { return d.sidecars[id], nil }

func TestRecover(t *testing.T) {
	entries := []Entry{
		{Fault: "killed", Inverse: InverseStart, Targets: []EntryTarget{{"engine-1", "1"}, {"engine-2", "2"}, {"engine-3", "3"}}},
		{Fault: "slow", Inverse: InverseSidecar, Targets: []EntryTarget{{"queue-1", "4"}, {"queue-2", "5"}}},
	}
	d := &fakeDoer{running: map[string]bool{"1": false, "2": true, "4": true, "5": true}, sidecars: map[string]int{"4": 1}}
	got, err := Recover(t.Context(), entries, d)
	want := []Recovered{
		{"killed", "engine-1", "started"},
		{"killed", "engine-2", "nothing: it runs"},
		{"killed", "engine-3", "nothing: the container is gone"},
		{"slow", "queue-1", "agents removed"},
		{"slow", "queue-2", "nothing: no agent is left"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Recover() error %v (-want +got):\n%s", err, diff)
	}
	again, err := Recover(t.Context(), entries, d)
	for _, r := range again {
		if !strings.HasPrefix(r.Did, "nothing") {
			t.Errorf("Recover() again did %+v, want nothing", r)
		}
	}
	if err != nil {
		t.Errorf("Recover() again = %v", err)
	}
}

func TestRecoverReportsWhatItCouldNotUndo(t *testing.T) {
	d := &fakeDoer{running: map[string]bool{"1": false, "4": true}, sidecars: map[string]int{"4": 2}, broken: true}
	_, err := Recover(t.Context(), []Entry{
		{Fault: "killed", Inverse: InverseStart, Targets: []EntryTarget{{"engine-1", "1"}, {"engine-2", "unreachable"}}},
		{Fault: "slow", Inverse: InverseSidecar, Targets: []EntryTarget{{"queue-1", "4"}}},
		{Fault: "odd", Inverse: "pray", Targets: []EntryTarget{{"queue-1", "4"}}},
	}, d)
	for _, want := range []string{
		"killed on engine-1: started, but it does not run", "killed on engine-2: no answer",
		"slow on queue-1: 2 agents are left", `odd on queue-1: unknown inverse "pray"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Recover() = %v, want %q in it", err, want)
		}
	}
}
