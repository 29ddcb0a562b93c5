package reports

import (
	"regexp"
	"squall/loadgen"
	"strings"
	"testing"
)

func TestHTMLNeedsNoNetwork(t *testing.T) {
	page := render(t, HTML, fixtureRun(150))
	if found := regexp.MustCompile(`(?i)(src|href)\s*=|https?://|@import|url\(`).FindString(page); found != "" {
		t.Errorf("HTML() refers to something outside of itself: %q", found)
	}
}

func TestHTMLShadesFaultsOnEveryChart(t *testing.T) {
	page := render(t, HTML, fixtureRun(150))
	for _, drawing := range regexp.MustCompile(`(?s)<svg class="chart.*?</svg>`).FindAllString(page, -1) {
		name := regexp.MustCompile(`data-chart="[^"]*"`).FindString(drawing)
		if name == `data-chart="phases"` {
			continue
		}
		if bands, labels := strings.Count(drawing, `class="band"`), strings.Count(drawing, `class="bandname"`); bands != 3 || labels != 3 {
			t.Errorf("%s shades %d faults with %d labels, want 3 and 3", name, bands, labels)
		}
	}
}

func TestHTMLSaysWhyAChartIsEmpty(t *testing.T) {
	quiet := fixtureRun(10)
	for i := range quiet.Recording.Seconds {
		s := &quiet.Recording.Seconds[i]
		s.HTTPError, s.Rejected, s.Timeout, s.Transport, s.Unsent = 0, 0, 0, 0, 0
	}
	for _, test := range []struct {
		name string
		run  Run
		want []string
	}{
		{"nothing recorded", Run{Scenario: "empty", Error: "system up: no docker"}, []string{"No load was recorded", "No answer was recorded", "No probe was recorded", "No fault was injected", "ledger was not read back"}},
		{"no errors", quiet, []string{"No request failed and none stayed unsent"}},
		{"empty recording", Run{Recording: &loadgen.Recording{}}, []string{"No load was recorded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			page := render(t, HTML, test.run)
			for _, want := range test.want {
				if !strings.Contains(page, want) {
					t.Errorf("HTML() does not say %q", want)
				}
			}
			if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
				t.Error("HTML() shows NaN or Inf")
			}
		})
	}
}

func TestHTMLStaysSmall(t *testing.T) {
	for _, length := range []int{1, 3600} {
		page := render(t, HTML, fixtureRun(length))
		if len(page) > 1_500_000 {
			t.Errorf("HTML() of %d s is %d bytes, want at most 1.5 MB", length, len(page))
		}
		if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("HTML() of %d s shows NaN or Inf", length)
		}
	}
}
