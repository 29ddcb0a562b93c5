package loadgen

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProbeGaps: a gap that could hide something of the target is kept with its instant, and the
// recording's health has it.
func TestProbeGaps(t *testing.T) {
	for _, row := range []struct {
		name  string
		every time.Duration
		gaps  []Gap
		want  []Gap
	}{
		{
			"in order, and the short ones left out", 200 * time.Millisecond,
			[]Gap{{9 * time.Second, 2300 * time.Millisecond}, {time.Second, 210 * time.Millisecond}, {3 * time.Second, 500 * time.Millisecond}},
			[]Gap{{3 * time.Second, 500 * time.Millisecond}, {9 * time.Second, 2300 * time.Millisecond}},
		},
		{"the interval itself is no gap", time.Second, []Gap{{0, time.Second}, {time.Second, 1900 * time.Millisecond}}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			spec := steady(20, 2*time.Second, get("a"))
			spec.Probe.Every = row.every
			l, err := newLoad(t.Context(), mustSchedule(t, spec), Options{BaseURL: "http://127.0.0.1:1"})
			if err != nil {
				t.Fatalf("newLoad() error: %v", err)
			}
			for _, g := range row.gaps {
				l.prober.noteGap(g)
			}
			h := l.health(0)
			if diff := cmp.Diff(row.want, h.ProbeGaps); diff != "" {
				t.Errorf("probe gaps (-want +got):\n%s", diff)
			}
			if h.ProbeGapMax < time.Second && row.every < time.Second {
				t.Errorf("longest gap %v, want the longest of all", h.ProbeGapMax)
			}
		})
	}
}

// TestProberSendsNothingThatChangesAnotherSystem: of fixed requests it repeats a GET, and no other.
func TestProberSendsNothingThatChangesAnotherSystem(t *testing.T) {
	form := Class{Name: "form", Weight: 1, Method: "POST", Path: "/form"}
	all := []string{"write-fresh", "write-pooled", "read-fresh", "read-pooled"}
	for _, row := range []struct {
		name   string
		mix    []Class
		series []string
		path   string
	}{
		{"only a POST", []Class{form}, nil, ""},
		{"a POST before a GET", []Class{form, get("page")}, []string{"read-fresh", "read-pooled"}, "/page"},
		{"EcoTrack's requests", []Class{{Name: requestRead, Weight: 1}, form}, all, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			spec := steady(20, 2*time.Second, row.mix...)
			l, err := newLoad(t.Context(), mustSchedule(t, spec), Options{BaseURL: "http://127.0.0.1:1"})
			if err != nil {
				t.Fatalf("newLoad() error: %v", err)
			}
			if diff := cmp.Diff(row.series, l.prober.series); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
			for _, series := range l.prober.series {
				if r := l.prober.request(series, 1); row.path != "" && (r.method != "GET" || r.path != row.path) {
					t.Errorf("%s probes %s %s, want GET %s", series, r.method, r.path, row.path)
				}
			}
			if writes, reads := spec.ProbesWrites(), spec.ProbesReads(); writes != (len(row.series) == 4) || reads != (row.series != nil) {
				t.Errorf("probes writes %v and reads %v, want what %v say", writes, reads, row.series)
			}
		})
	}
}
