package verdict

import (
	"math/rand/v2"
	"reflect"
	"squall/chaos"
	"squall/loadgen"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type bounds struct {
	Name       string
	Start, End float64
	Seconds    int
}

func boundsOf(phases []Phase) []bounds {
	var all []bounds
	for _, p := range phases {
		all = append(all, bounds{p.Name, p.Start, p.End, p.Seconds})
	}
	return all
}

func TestPhases(t *testing.T) {
	second := time.Second
	for _, test := range []struct {
		name string
		in   *run
		edit func(*run)
		want []bounds
	}{
		{
			name: "no fault: before is the whole run",
			in:   newRun(20),
			want: []bounds{{"before", 0, 20, 20}, {"peak", 0, 20, 20}, {"throughout", 0, 20, 20}},
		},
		{
			name: "the warm-up belongs to no phase, and takes its last second whole",
			in:   newRun(20),
			edit: func(r *run) { r.Recording.WarmUp = 2500 * time.Millisecond },
			want: []bounds{{"before", 3, 20, 17}, {"peak", 3, 20, 17}, {"throughout", 3, 20, 17}},
		},
		{
			name: "seconds that a fault touches are the fault's",
			in:   newRun(30).fault("kill", 10500*time.Millisecond, 14200*time.Millisecond),
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 30, 23},
				{"during kill", 10, 17, 7},
				{"after", 17, 30, 13},
				{"outside faults", 0, 30, 23},
				{"throughout", 0, 30, 30},
			},
		},
		{
			name: "on a second boundary nothing is touched",
			in:   newRun(30).fault("kill", 10*second, 14*second),
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 30, 24},
				{"during kill", 10, 16, 6},
				{"after", 16, 30, 14},
				{"outside faults", 0, 30, 24},
				{"throughout", 0, 30, 30},
			},
		},
		{
			name: "before ends when the injection began, not when it took effect",
			in:   newRun(30).fault("kill", 12*second, 14*second),
			edit: func(r *run) { r.Injections[0].Requested = 9 * second },
			want: []bounds{
				{"before", 0, 9, 9},
				{"peak", 0, 30, 23},
				{"during kill", 12, 16, 4},
				{"after", 16, 30, 14},
				{"outside faults", 0, 30, 23},
				{"throughout", 0, 30, 30},
			},
		},
		{
			name: "two faults: after follows the last",
			in:   newRun(40).fault("a", 10*second, 12*second).fault("b", 20*second, 25*second),
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 40, 29},
				{"during a", 10, 14, 4},
				{"during b", 20, 27, 7},
				{"after", 27, 40, 13},
				{"outside faults", 0, 40, 29},
				{"throughout", 0, 40, 40},
			},
		},
		{
			name: "one name twice is one phase",
			in:   newRun(40).fault("a", 10*second, 12*second).fault("a", 20*second, 22*second),
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 40, 32},
				{"during a", 10, 24, 8},
				{"after", 24, 40, 16},
				{"outside faults", 0, 40, 32},
				{"throughout", 0, 40, 40},
			},
		},
		{
			name: "a fault that never took effect has no phase of its own",
			in:   newRun(30),
			edit: func(r *run) {
				r.Injections = []chaos.Injection{{Fault: "kill", Requested: 10 * second, Settle: second, Error: "no such node"}}
			},
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 30, 29},
				{"during kill", 0, 0, 0},
				{"after", 11, 30, 19},
				{"outside faults", 0, 30, 29},
				{"throughout", 0, 30, 30},
			},
		},
		{
			name: "a fault that never ended leaves no after",
			in:   newRun(30).fault("kill", 10*second, 0),
			want: []bounds{
				{"before", 0, 10, 10},
				{"peak", 0, 10, 10},
				{"during kill", 10, 30, 20},
				{"after", 0, 0, 0},
				{"outside faults", 0, 10, 10},
				{"throughout", 0, 30, 30},
			},
		},
		{
			name: "the peak is where the plan is within 80 % of its highest, with holes",
			in:   newRun(10),
			edit: func(r *run) {
				for s, rate := range []float64{10, 20, 80, 100, 79, 90, 10, 10, 10, 10} {
					r.Planned[s].Rate = rate
				}
			},
			want: []bounds{{"before", 0, 10, 10}, {"peak", 2, 6, 3}, {"throughout", 0, 10, 10}},
		},
		{
			name: "an interrupted run ends at its last full second",
			in:   newRun(30),
			edit: func(r *run) { r.Recording.Aborted, r.Recording.AbortedAt = true, 12300*time.Millisecond },
			want: []bounds{{"before", 0, 12, 12}, {"peak", 0, 12, 12}, {"throughout", 0, 12, 12}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.edit != nil {
				test.edit(test.in)
			}
			if diff := cmp.Diff(test.want, boundsOf(Phases(test.in.Input))); diff != "" {
				t.Errorf("Phases differs, -want +got:\n%s", diff)
			}
		})
	}
}

func TestPhaseOfClass(t *testing.T) {
	r := newRun(10).
		seconds("calculate", 0, 10, second{
			answers: map[time.Duration]int{20 * time.Millisecond: 6, 40 * time.Millisecond: 2},
			timeout: 1, rejected: 1, unsent: 2, units: 80,
		}).
		seconds("probe", 0, 10, answers(50, time.Millisecond))
	r.Recording.WarmUp = 5 * time.Second
	r.Recording.Classes = []loadgen.ClassTotal{{Name: "calculate"}, {Name: "batch"}, {Name: "probe"}}
	phases := Phases(r.Input)
	got := phases[0].Classes
	if len(got) != 2 || got["batch"].Planned != 0 {
		t.Fatalf("classes of %q = %v, want calculate and an empty batch, never probe", phases[0].Name, got)
	}
	c := got["calculate"]
	want := ClassPhase{
		Planned: 60, OK: 40, Failed: 10, Unsent: 10, Units: 400, Rate: 80, ErrorRatio: 1. / 3,
		P50: c.P50, P90: c.P90, P95: c.P95, P99: c.P99, P999: c.P999, Max: new(5000.), Mean: c.Mean,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("calculate differs, -want +got:\n%s", diff)
	}
	if *c.P50 < 19.9 || *c.P50 > 20.1 || *c.P99 < 4990 || *c.P99 > 5000 {
		t.Errorf("p50 = %v ms, p99 = %v ms, want 20 ms and the timeout's 5000 ms", *c.P50, *c.P99)
	}
}

// TestPhasesMerge is the property that a phase is the sum of its seconds: the order of the recorded
// seconds, and splitting one in two rows, change nothing.
func TestPhasesMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		whole := newRun(20).fault("kill", 8*time.Second, 10*time.Second)
		for s := range 20 {
			n := 1 + random.IntN(20)
			whole.seconds("a", s, s+1, second{answers: map[time.Duration]int{
				time.Duration(random.IntN(1e9)): n, time.Duration(random.IntN(1e7)): 1,
			}, unsent: uint64(random.IntN(3))})
		}
		split := newRun(20).fault("kill", 8*time.Second, 10*time.Second)
		for _, n := range random.Perm(20) {
			row := whole.Recording.Seconds[n]
			rest := row
			rest.Counts, rest.Units, rest.Response = loadgen.Counts{Planned: 1, Unsent: 1}, 0, loadgen.Histogram{}
			row.Planned++
			row.Unsent++
			split.Recording.Seconds = append(split.Recording.Seconds, row)
			whole.Recording.Seconds[n].Planned += 2
			whole.Recording.Seconds[n].Unsent += 2
			split.Recording.Seconds = append(split.Recording.Seconds, rest)
		}
		want, got := Phases(whole.Input), Phases(split.Input)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("phases of the same seconds in other rows differ, -want +got:\n%s", cmp.Diff(want, got))
		}
		var sum uint64
		for _, p := range got[:len(got)-1] {
			if p.Name != PhasePeak && p.Name != PhaseOutside {
				sum += p.Classes["a"].Planned
			}
		}
		if all := got[len(got)-1].Classes["a"].Planned; sum != all {
			t.Fatalf("before, during and after have %d requests, throughout %d; want the same", sum, all)
		}
	}
}
