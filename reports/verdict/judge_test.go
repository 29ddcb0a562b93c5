package verdict

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"strings"
	"testing"
	"time"
)

// failoverRun is a good run through one failover: two classes, all probes, a whole ledger.
func failoverRun(t *testing.T) *run {
	t.Helper()
	return newRun(60).
		seconds("calculate", 0, 60, answers(100, 20*ms)).seconds("read", 0, 60, answers(50, 5*ms)).
		fault("failover", 20*time.Second, 30*time.Second).
		probes(60*time.Second, 20*time.Second, 23*time.Second).writes(100).
		objectives(t, "p99(calculate) <= 300ms before", "throughput(calculate) >= 80/s at peak",
			"error_ratio(calculate) <= 5% during failover", "p99(read) <= 300ms after",
			"rto(write) <= 5s", "outage(write) <= 5s", "lost_writes == 0", "duplicate_writes == 0",
			"acknowledged_writes >= 100")
}

// TestJudge damages a good run in one way at a time.
func TestJudge(t *testing.T) {
	loseOne := func(r *run) {
		for n := range r.Ledger {
			r.Ledger[n].Rows = slices.Delete(r.Ledger[n].Rows, 7, 8)
		}
	}
	var text strings.Builder
	for _, test := range []struct {
		name   string
		damage func(*run)
		want   Outcome
		exit   int
		first  string // part of the first reason
	}{
		{"everything kept", func(*run) {}, Met, 0, "all 13 objectives were met"},
		{"slow", func(r *run) { r.seconds("calculate", 0, 10, answers(100, time.Second)) }, Missed, 1, "missed: p99(calculate)"},
		{"one write lost", loseOne, Missed, 1, "missed: lost_writes == 0"},
		{"a lost write counts whoever sent it", func(r *run) { loseOne(r); invalid(r) }, Missed, 1, "missed: lost_writes == 0"},
		{"a loss counts though a fault was not undone", func(r *run) { loseOne(r); r.Injections[0].Undone = false }, Missed, 1, "missed: lost_writes == 0"},
		{"a loss nobody asked about", func(r *run) { loseOne(r); r.without("lost_writes") }, Missed, 1, "missed: audit: lost_writes == 0"},
		{"a loss that was asked for", func(r *run) { loseOne(r); r.without("lost_writes").objectives(t, "lost_writes >= 1") }, Met, 0, "all 13"},
		{"a loss that was asked for and did not come", func(r *run) { r.without("lost_writes").objectives(t, "lost_writes >= 1") }, Missed, 1, "missed: lost_writes >= 1"},
		{"a phantom row", func(r *run) {
			for n := range r.Ledger {
				r.Ledger[n].Rows = append(r.Ledger[n].Rows, LedgerRow{Key: "stranger", ID: "s", Value: "1"})
			}
		}, Missed, 1, "missed: audit: phantom_writes == 0"},
		{"a wrong value", func(r *run) { r.Recording.Writes[3].Expected = "3.4999" }, Missed, 1, "missed: audit: wrong_values == 0"},
		{"an altered row", func(r *run) { r.Recording.Writes[3].Hash = "else" }, Missed, 1, "missed: audit: altered_writes == 0"},
		{"a diverged standby", func(r *run) { r.Ledger[1].Rows[3].Value = "9" }, Missed, 1, "missed: audit: diverged_rows == 0"},
		{"violations count in an incomplete ledger too", func(r *run) {
			r.Ledger[0].Rows[3].Hash = "else"
			r.Ledger[1] = NodeLedger{Node: "db-2", Role: "standby", Error: "connection refused"}
		}, Missed, 1, "missed: audit: altered_writes == 0"},
		{"an incomplete ledger", func(r *run) {
			r.Ledger[1] = NodeLedger{Node: "db-2", Role: "standby", Error: "connection refused"}
		}, Inconclusive, 4, "inconclusive: lost_writes == 0: the ledger was not read back whole from every node: db-2 (standby): connection refused"},
		{"no ledger", func(r *run) { r.Ledger = nil }, Inconclusive, 4, "inconclusive: lost_writes == 0"},
		{"no acknowledged write", func(r *run) {
			r.without("acknowledged_writes")
			r.Recording.Writes = nil
			for n := range r.Ledger {
				r.Ledger[n].Rows = nil
			}
		}, Inconclusive, 4, "no write was acknowledged, so none could be lost"},
		{"an untrustworthy generator", func(r *run) { invalid(r) }, Invalid, 3, "the load generator was not trustworthy: late by 80 ms"},
		{"a fault not undone", func(r *run) { r.Injections[0].Undone = false }, Error, 5, `fault "failover" was not verified undone`},
		{"a fault not injected", func(r *run) {
			r.Injections[0] = chaos.Injection{Fault: "failover", Requested: 20 * time.Second, Error: "no primary", Undone: true}
		}, Error, 5, `fault "failover": no primary`},
		{"a fault not felt", func(r *run) { r.Injections[0].Felt = false }, Inconclusive, 4, `fault "failover" was never felt`},
		{"a fault not felt, though no objective names it", func(r *run) {
			r.Objectives = nil
			r.objectives(t, "p99(calculate) <= 300ms")
			r.Injections[0].Felt = false
		}, Inconclusive, 4, `fault "failover" was never felt`},
		{"an error is worse than an untrustworthy generator", func(r *run) { invalid(r).Injections[0].Undone = false }, Error, 5, "not verified undone"},
		{"no objectives", func(r *run) { r.Objectives = nil }, Inconclusive, 4, "no objectives"},
		{"an unknown metric", func(r *run) { r.Objectives = append(r.Objectives, Objective{Text: "p42", Metric: "p42"}) }, Inconclusive, 4, "unknown metric"},
		{"interrupted", func(r *run) { r.Recording.Aborted, r.Recording.AbortedAt = true, time.Minute }, Aborted, 130, "interrupted"},
		{"interrupted after a miss", func(r *run) {
			r.Recording.Aborted, r.Recording.AbortedAt = true, time.Minute
			r.seconds("calculate", 0, 10, answers(100, time.Second))
		}, Aborted, 130, "interrupted"},
		{"interrupted before a fault's instant", func(r *run) {
			r.Recording.Aborted, r.Recording.AbortedAt = true, time.Minute
			r.Injections = append(r.Injections, chaos.Injection{
				Fault: "later", Requested: 2 * time.Minute,
				Error: "not injected: interrupted",
			})
		}, Aborted, 130, "interrupted"},
		{"interrupted with a fault left behind", func(r *run) { r.Recording.Aborted, r.Injections[0].Undone = true, false }, Error, 5, "not verified undone"},
		{"nothing recorded", func(r *run) { r.Recording = nil }, Error, 5, "nothing was recorded"},
		{"a recording of nothing", func(r *run) { r.Recording, r.Ledger = &loadgen.Recording{}, nil }, Invalid, 3, "no reason was recorded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := failoverRun(t)
			test.damage(r)
			got := Judge(r.Input)
			if got.Outcome != test.want || got.ExitCode != test.exit || !strings.Contains(got.Reasons[0], test.first) {
				t.Errorf("Judge = %s, want %s, exit code %d, first reason with %q", verdictText(got), test.want, test.exit, test.first)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("the verdict cannot be stored: %v", err)
			}
			if test.name != "everything kept" {
				got.Objectives = nil // their evidence is in the reasons
			}
			fmt.Fprintf(&text, "# %s\n%s\n", test.name, verdictText(got))
		})
	}
	golden(t, "verdicts.txt", text.String())
}

func (r *run) without(metric string) *run {
	r.Objectives = slices.DeleteFunc(r.Objectives, func(o Objective) bool { return o.Metric == metric })
	return r
}

// TestJudgeRepeats holds that a stored run is judged as it was when it ran.
func TestJudgeRepeats(t *testing.T) {
	in := failoverRun(t).Input
	want, err := json.Marshal(Judge(in))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var again Input
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got, err := json.Marshal(Judge(again)); err != nil || string(got) != string(want) {
			t.Fatalf("Judge of the stored run = %s, %v; want %s", got, err, want)
		}
	}
}

// TestNothingProvesNothing is the property behind all of this: whatever objective is written, a run
// without a single request, probe or write does not meet it, and the run does not pass.
func TestNothingProvesNothing(t *testing.T) {
	bounds := map[family]string{
		latencyFamily: "1s", throughputFamily: "1/s", ratioFamily: "50%", countFamily: "5",
		failoverFamily: "60s", ledgerFamily: "5",
	}
	phases := []string{"", " before", " at peak", " during failover", " after", " throughout"}
	for _, metric := range Metrics() {
		for _, of := range []string{"", "(calculate)", "(write)", "(read)"} {
			for _, op := range []string{"<=", "<", ">=", ">", "=="} {
				for _, phase := range phases {
					o, err := ParseObjective(metric + of + " " + op + " " + bounds[familyOf(metric)] + phase)
					if err != nil {
						continue
					}
					r := newRun(60).fault("failover", 20*time.Second, 30*time.Second)
					r.Objectives = []Objective{o}
					if v := Judge(r.Input); v.Outcome == Met || v.Objectives[0].Outcome == Met {
						t.Errorf("%s is met by a run of nothing: %s", o.Text, verdictText(v))
					}
				}
			}
		}
	}
}

// TestWorstWins is the property that adding a reason to fail never improves the outcome.
func TestWorstWins(t *testing.T) {
	damages := []func(*run){
		func(r *run) { invalid(r) },
		func(r *run) { r.Injections[0].Undone = false },
		func(r *run) { r.Injections[0].Felt = false },
		func(r *run) { r.Injections[0].Error = "exec: exit status 1" },
		func(r *run) { r.Ledger[0].Rows[3].Hash = "else" },
		func(r *run) { r.Ledger[0].Complete = false },
		func(r *run) { r.seconds("read", 40, 60, answers(100, time.Second)) },
		func(r *run) { r.Recording.Health.ProbeGapMax = 2 * time.Second },
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		r := failoverRun(t)
		worst := 0
		for _, n := range random.Perm(len(damages))[:random.IntN(len(damages))] {
			damages[n](r)
			got := Judge(r.Input)
			// A missed latency may become inconclusive when the generator is not trusted: that
			// is the one way in which bad news is withdrawn, and the run is invalid then.
			if now := severity(got.Outcome); now < worst && (worst != 4 || now < 1 || got.Outcome == Met) {
				t.Fatalf("one more damage made the outcome better: %s", verdictText(got))
			} else {
				worst = max(worst, now)
			}
			if got.Outcome == Met {
				t.Fatalf("a damaged run is met: %s", verdictText(got))
			}
		}
	}
}

// TestUnreadLedgerIsNoPass: whoever wrote something and never read it back has proven nothing, whatever the objectives name.
func TestUnreadLedgerIsNoPass(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*run)
		want   Outcome
	}{
		{"read whole", func(*run) {}, Met},
		{"not read at all", func(r *run) { r.Ledger = nil }, Inconclusive},
		{"one node not", func(r *run) { r.Ledger[1].Complete = false }, Inconclusive},
		{"nothing was written", func(r *run) { r.Ledger, r.Recording.Writes = nil, nil }, Met},
		{"not read, and what was read contradicts a receipt", func(r *run) {
			r.Ledger[1].Complete, r.Ledger[0].Rows[3].Hash = false, "else"
		}, Missed},
	} {
		r := newRun(20).seconds("read", 0, 20, answers(100, 5*ms)).writes(50).objectives(t, "p99(read) <= 300ms")
		test.change(r)
		if v := Judge(r.Input); v.Outcome != test.want {
			t.Errorf("%s: want %s, got %s", test.name, test.want, verdictText(v))
		}
	}
}
