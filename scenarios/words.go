package scenarios

import (
	"strconv"
	"strings"
)

// quoted prints a value from the file, cut to a length that fits a line.
func quoted(text string) string {
	const longest = 60
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return strconv.Quote(text)
}

// join appends a field to a path; a path that starts with an index needs no dot.
func join(path, field string) string {
	if path == "" || field == "" || strings.HasPrefix(field, "[") {
		return path + field
	}
	return path + "." + field
}

// index appends a list index to a path.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// similar returns the known word that was probably meant: at most a third of its letters differ.
// Empty: none is near.
func similar(word string, known []string) string {
	best, nearest := "", len(word)+1
	for _, k := range known {
		if n := distance(word, k); n < nearest && n <= max(len(k)/3, 1) {
			best, nearest = k, n
		}
	}
	return best
}

// distance is how many letters of two words must be added, removed, replaced or swapped with their
// neighbour (optimal string alignment). Words longer than any field name count as far apart.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
