package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// scale maps a value to a coordinate of a drawing, linearly or by its logarithm.
type scale struct {
	min, max float64 // of the values; above zero when log
	from, to float64 // of the coordinates
	log      bool
}

// at is the coordinate of v; v outside of the range is held at its edge.
func (s scale) at(v float64) float64 {
	v = min(max(v, s.min), s.max)
	share := (v - s.min) / (s.max - s.min)
	if s.log {
		share = math.Log(v/s.min) / math.Log(s.max/s.min)
	}
	return s.from + share*(s.to-s.from)
}

// tick is a labelled place on an axis.
type tick struct {
	Pos    float64
	Label  string
	LabelX float64 // on the time axis: where Anchor of the label stands
	Anchor string  // middle, or end where the label would leave the drawing
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that needs at most n steps for span.
func niceStep(span float64, n int) float64 {
	base := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, f := range []float64{1, 2, 5} {
		if span/(base*f) <= float64(n) {
			return base * f
		}
	}
	return base * 10
}

// rateScale runs from zero to a round number at or above top, with the ticks of about n steps.
func rateScale(top float64, from, to float64, n int) (scale, []tick) {
	top = max(top, 0.001)
	step := niceStep(top, n)
	steps := math.Ceil(top/step - 1e-9)
	s := scale{0, steps * step, from, to, false}
	var ticks []tick
	for i := 0.0; i <= steps; i++ {
		ticks = append(ticks, tick{Pos: s.at(i * step), Label: number(i*step, 3)})
	}
	return s, ticks
}

// latencyScale is logarithmic in ms, from a 1-2-5 number at or below low to one at or above high.
// Labels stand at 1, 2 and 5, at 1 and 3, or at the powers of ten alone, as there is room.
func latencyScale(low, high float64, from, to float64) (scale, []tick) {
	low = max(low, 0.01)
	high = max(high, low*2)
	s := scale{roundLog(low, math.Floor), roundLog(high, math.Ceil), from, to, true}
	factors := []float64{1}
	switch decade := math.Abs(to-from) / math.Log10(s.max/s.min); {
	case decade >= 54: // the step from 1 to 2 is 0.3 of it: 16 px, a line of text
		factors = []float64{1, 2, 5}
	case decade >= 34:
		factors = []float64{1, 3}
	}
	var ticks []tick
	for e := math.Floor(math.Log10(s.min)); e <= math.Log10(s.max)+1e-9; e++ {
		for _, f := range factors {
			v := f * math.Pow(10, e)
			if v < s.min*(1-1e-9) || v > s.max*(1+1e-9) {
				continue
			}
			ticks = append(ticks, tick{Pos: s.at(v), Label: axisMs(v)})
		}
	}
	return s, ticks
}

// roundLog rounds to 1, 2 or 5 times a power of ten, down with math.Floor and up with math.Ceil.
func roundLog(v float64, direction func(float64) float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	steps := []float64{1, 2, 5, 10}
	up := direction(0.5) == 1
	for i, f := range steps {
		switch {
		case up && v <= base*f*(1+1e-9):
			return base * f
		case !up && (i == len(steps)-1 || v < base*steps[i+1]*(1-1e-9)):
			return base * f
		}
	}
	return base * 10
}

func axisMs(ms float64) string {
	if ms >= 1000 {
		return number(ms/1000, 1) + " s"
	}
	return number(ms, 2) + " ms"
}

// timeScale is the common time axis with at most n labels.
func timeScale(end float64, from, to float64, n int) (scale, []tick) {
	s := scale{0, end, from, to, false}
	step := 1.0
	for _, candidate := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600} {
		step = candidate
		if end/step <= float64(n) {
			break
		}
	}
	for end/step > float64(n) { // longer than a few days
		step *= 2
	}
	var ticks []tick
	for t := 0.0; t <= end; t += step {
		at := tick{s.at(t), clock(t, end), s.at(t), "middle"}
		if at.Pos+textWidth(at.Label)/2 > to+gutterRight {
			at.LabelX, at.Anchor = to+gutterRight, "end"
		}
		ticks = append(ticks, at)
	}
	return s, ticks
}

// clock prints an instant on an axis that ends at end: seconds below ten minutes, else minutes.
func clock(t, end float64) string {
	if end <= 600 {
		return number(t, 0) + " s"
	}
	return fmt.Sprintf("%d:%02d", int(t)/60, int(t)%60)
}

// coordinate prints a coordinate with one decimal, which is finer than any screen.
func coordinate(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// line is the path through the values at x(i); NaN leaves a gap, and a value between two gaps
// becomes a short dash.
func line(values []float64, x func(int) float64, y scale) string {
	var b strings.Builder
	drawing := false
	for i, v := range values {
		if !finite(v) {
			drawing = false
			continue
		}
		command := "L"
		if !drawing {
			command = "M"
		}
		alone := !drawing && (i+1 == len(values) || !finite(values[i+1]))
		if alone {
			b.WriteString("M" + coordinate(x(i)-4) + " " + coordinate(y.at(v)) + "h8")
			continue
		}
		b.WriteString(command + coordinate(x(i)) + " " + coordinate(y.at(v)))
		drawing = true
	}
	return b.String()
}

// textWidth estimates the width of a text at the charts' 13 px; the sans-serif fonts of the usual
// systems are narrower, so that labels placed by it do not touch.
func textWidth(text string) float64 {
	width := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune("iljtf.,:;|' ()[]!", r):
			width += 4.4
		case strings.ContainsRune("mwMW%≤≥–", r):
			width += 11.5
		case r > 0x2e80: // CJK
			width += 13.5
		case r >= 'A' && r <= 'Z':
			width += 9.4
		default:
			width += 7.7
		}
	}
	return width
}

// boldWidth is textWidth for the semibold labels of faults and bounds.
func boldWidth(text string) float64 { return 1.1 * textWidth(text) }

// span is something that takes up room on one line of a drawing.
type span struct{ from, to float64 }

// packRows gives each span the first row in which it touches no earlier one; gap is kept between
// two. It returns the row of each span and the number of rows.
func packRows(spans []span, gap float64) (rows []int, n int) {
	var taken [][]span
	for _, s := range spans {
		row := 0
		for ; row < len(taken); row++ {
			free := true
			for _, t := range taken[row] {
				free = free && (s.from >= t.to+gap || s.to+gap <= t.from)
			}
			if free {
				break
			}
		}
		if row == len(taken) {
			taken = append(taken, nil)
		}
		taken[row] = append(taken[row], s)
		rows = append(rows, row)
	}
	return rows, len(taken)
}
