package loadgen

import (
	"math"
	"time"
)

// The shape of a reporting season. Levels are relative: 1 is the plateau of an ordinary working
// day. The times of day and the shares are ours, after the usual office pattern; the run scales the
// whole shape to the peak that the scenario names.
const (
	nightLevel   = 0.15 // scheduled imports and other time zones keep this much going at night
	weekendLevel = 0.20 // the busiest hour of a weekend: a few people finish late work

	// deadlineShare is the height of the deadline's spike as a share of that working day's own
	// plateau. At 0.8 the plateau before the deadline stays above 80 % of the peak for
	// 8h*ln(0.8/(0.8*1.8-1)) = 4.8 h, so the peak is a shift's work and not a moment.
	deadlineShare = 0.8
	// deadlineTau is how fast the spike rises and dies away: a factor e in 8 calendar hours, one
	// working day. People file on the day, and stragglers file through the evening after it.
	deadlineTau = 8 * time.Hour
)

// The office day: share of the working level by hour. It climbs from 06:00, is on its plateau from
// 08:00 to 19:00 with a dip at noon, and is over by 22:00. Between knots a cosine eases, so that
// the rate has no corners a system would only meet in a test.
func officeKnots() []struct{ hour, share float64 } {
	return []struct{ hour, share float64 }{
		{0, 0},
		{6, 0},
		{8, 0.92},
		{10, 1},
		{12.5, 0.94},
		{14.5, 1},
		{17.5, 1},
		{19, 0.85},
		{22, 0},
		{24, 0},
	}
}

// quarterEnd multiplies the office level on the last three business days of a calendar quarter:
// books are closed on the last day, and most of the work is left for it.
func quarterEnd() [3]float64 { return [3]float64{2.2, 1.7, 1.3} } // last day, the one before, the one before that

// season is the load of a reporting season around one filing deadline.
type season struct {
	deadline time.Time
	spike    float64 // height of the deadline's spike
}

// newSeason sets the spike by the plateau of the deadline's working day: the day that ends with
// it, moved back over a weekend.
func newSeason(deadline time.Time) season {
	day := deadline.Add(-time.Nanosecond)
	for !isBusinessDay(day) {
		day = day.AddDate(0, 0, -1)
	}
	return season{deadline: deadline, spike: deadlineShare * multiplier(day)}
}

// level is the relative load at t: office hours times the quarter-end multiplier, plus the spike
//
//	spike * exp(-|deadline - t| / deadlineTau)
func (s season) level(t time.Time) float64 {
	top := weekendLevel
	if isBusinessDay(t) {
		top = multiplier(t)
	}
	// The multiplier grows what people do in office hours, not the night: so the level is
	// continuous at midnight.
	base := nightLevel + (top-nightLevel)*office(t)
	distance := s.deadline.Sub(t).Abs()
	return base + s.spike*math.Exp(-distance.Seconds()/deadlineTau.Seconds())
}

// office is the share of the working level at t's time of day, 0-1.
func office(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60 + float64(t.Second())/3600
	knots := officeKnots()
	for i := 1; i < len(knots); i++ {
		a, b := knots[i-1], knots[i]
		if hour <= b.hour {
			x := (hour - a.hour) / (b.hour - a.hour)
			return a.share + (b.share-a.share)*(1-math.Cos(math.Pi*x))/2
		}
	}
	return 0
}

// multiplier is the quarter-end factor of t's day: above 1 on the last three business days of the
// quarter, else 1. Public holidays are not known.
func multiplier(t time.Time) float64 {
	factors := quarterEnd()
	quarterStart := time.Month((int(t.Month())-1)/3*3 + 1)
	day := time.Date(t.Year(), quarterStart+3, 0, 0, 0, 0, 0, t.Location()) // last day of the quarter
	for left := 0; left < len(factors); day = day.AddDate(0, 0, -1) {
		if !isBusinessDay(day) {
			continue
		}
		if sameDay(day, t) {
			return factors[left]
		}
		left++
	}
	return 1
}

func isBusinessDay(t time.Time) bool {
	return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday
}

func sameDay(a, b time.Time) bool {
	return a.Year() == b.Year() && a.YearDay() == b.YearDay()
}
