package reports

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A scenario may name its classes and faults anything, and errors quote what others sent. Every view
// shows such a text and none obeys it; one function for each language does that:
//
//	terminal, progress, metrics.txt   Visible (the writer of metrics.txt adds its own quotes)
//	report.html                       htmlPage over the whole page, after html/template
//	summary.md                        plainMD, and codeMD for a code span
//	junit.xml                         xmlText, the type of every text in it
//	series.csv                        csvCell
//	result.json                       jsonPage over the whole file

// Visible writes what cannot be printed as the escape that Go knows it by: control characters, the
// marks that turn the direction of a text (U+202E), spaces that are none, bytes that are no text.
func Visible(text string) string { return mapHidden(text, "", shown) }

// VisibleLines is Visible of a text that may have several lines.
func VisibleLines(text string) string { return mapHidden(text, "\n", shown) }

// mapHidden replaces every rune that cannot be printed, but for those to keep, and every stray byte.
func mapHidden(text, keep string, replace func(r rune, stray string) string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(replace(r, text[:1]))
		case unicode.IsPrint(r) || strings.ContainsRune(keep, r):
			b.WriteString(text[:size])
		default:
			b.WriteString(replace(r, ""))
		}
		text = text[size:]
	}
	return b.String()
}

// shown is the escape of one rune, or of a byte that is no text.
func shown(r rune, stray string) string {
	switch {
	case stray != "":
		return fmt.Sprintf(`\x%02x`, stray[0])
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// htmlPage makes a page safe that html/template has made: that escapes markup, but lets through what
// turns or hides a text. Texts in the page's data for its script must be visible before.
func htmlPage(page []byte) []byte {
	page = bytes.ReplaceAll(page, []byte("\r\n"), []byte("\n"))
	return []byte(mapHidden(string(page), "\n\t", shown))
}

// jsonPage writes what cannot be printed as JSON's own escapes, so that nothing is lost to a program
// and a terminal that shows the file obeys none of it.
func jsonPage(content []byte) []byte {
	return []byte(mapHidden(string(content), "\n", func(r rune, _ string) string {
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}))
}

// xmlText is a text of junit.xml. XML 1.0 has no way to write most control characters.
type xmlText string

// MarshalText implements encoding.TextMarshaler.
func (t xmlText) MarshalText() ([]byte, error) { return []byte(VisibleLines(string(t))), nil }

// csvCell keeps a spreadsheet from taking a text for a formula: what begins like one gets an
// apostrophe, which spreadsheets take for "this is text".
func csvCell(text string) string {
	text = Visible(text)
	if strings.IndexAny(strings.TrimLeft(text, " '"), "=+-@＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}

// plainMD makes a text safe inside a paragraph, a list or a table cell: no markup of its own, no
// HTML, no link.
func plainMD(text string) string { return escapeMD(clip(Visible(text), maxMarkdownCell)) }

func escapeMD(text string) string {
	runes := []rune(text)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '|' || r == '`': // a table is cut at its pipes before anything is unescaped
			fmt.Fprintf(&b, "&#%d;", r)
		case strings.ContainsRune(`*_[]~#$!{}`, r), strings.ContainsRune("-+", r) && i == 0:
			b.WriteString(`\` + string(r))
		case r == '\\' && (i+1 == len(runes) || !isWord(runes[i+1])):
			b.WriteString(`\\`)
		case (r == '.' || r == ')') && isNumber(runes[:i]) && (i+1 == len(runes) || runes[i+1] == ' '): // a list
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("://", ":&#47;&#47;", "www.", "www&#46;").Replace(b.String())
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func isNumber(runes []rune) bool {
	return len(runes) > 0 && strings.Trim(string(runes), "0123456789") == ""
}

// codeMD is a text as code, safe in a table cell too. A code span cannot hold a backtick or, in a
// table, a pipe after a backslash: such a text is plain inside of a code element.
func codeMD(text string) string {
	text = Visible(text)
	switch {
	case strings.TrimSpace(text) == "": // a code span cannot be empty
		return "–"
	case strings.ContainsAny(text, "`|"):
		return "<code>" + plainMD(text) + "</code>"
	}
	return "`" + clip(text, maxMarkdownCell) + "`"
}

// names makes every name that it is given a different one, by a number behind it.
type names map[string]bool

func (n names) unique(name string) string {
	text := name
	for i := 2; n[text]; i++ {
		text = fmt.Sprintf("%s (%d)", name, i)
	}
	n[text] = true
	return text
}
