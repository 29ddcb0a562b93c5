package scenarios

import (
	"squall/reports/verdict"
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
		if n := verdict.EditDistance(word, k); n < nearest && n <= max(len(k)/3, 1) {
			best, nearest = k, n
		}
	}
	return best
}
