package factors

import (
	"encoding/base64"
	"fmt"
	"slices"
	"squall/target/ecotrack/carbon"
	"strings"
)

// MaxLimit is the largest page that Search returns; DefaultLimit is used when a query names none.
const (
	MaxLimit     = 500
	DefaultLimit = 50
)

// Query selects factors. Empty fields select everything.
type Query struct {
	Text     string // words that must all occur in the id or activity, in any case
	Category string // exact
	Region   string // exact
	Limit    int    // 0 means DefaultLimit; at most MaxLimit
	Cursor   string // the next of the page before
}

// QueryError is a query that cannot be answered.
type QueryError struct {
	Field, Reason string
}

func (e *QueryError) Error() string { return fmt.Sprintf("query %s: %s", e.Field, e.Reason) }

// Code returns "query_invalid".
func (e *QueryError) Code() string { return "query_invalid" }

// Search returns the factors that match the query, ordered by id, and the cursor of the next page;
// next is empty on the last page. It fails with a *QueryError for a limit out of range or a cursor
// that it did not hand out.
func (c *Catalogue) Search(query Query) (page []carbon.Factor, next string, err error) {
	limit := query.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	if limit < 0 || limit > MaxLimit {
		return nil, "", &QueryError{
			Field:  "limit",
			Reason: fmt.Sprintf("must be 1 to %d, got %d", MaxLimit, limit),
		}
	}
	start, err := c.after(query.Cursor)
	if err != nil {
		return nil, "", err
	}
	words := strings.Fields(strings.ToLower(query.Text))
	page = []carbon.Factor{}
	for i := start; i < len(c.factors); i++ {
		if !c.matches(i, query, words) {
			continue
		}
		if len(page) == limit {
			return page, cursorAfter(page[limit-1].ID), nil
		}
		page = append(page, c.factors[i])
	}
	return page, "", nil
}

func (c *Catalogue) matches(i int, query Query, words []string) bool {
	f := c.factors[i]
	if (query.Category != "" && query.Category != f.Category) ||
		(query.Region != "" && query.Region != f.Region) {
		return false
	}
	for _, word := range words {
		if !strings.Contains(c.haystack[i], word) {
			return false
		}
	}
	return true
}

const cursorPrefix = "after:"

func cursorAfter(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + id))
}

// after returns the index of the first factor behind the cursor. The id need not exist any more, so
// a cursor survives a new version of the set.
func (c *Catalogue) after(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	id, ok := strings.CutPrefix(string(decoded), cursorPrefix)
	if err != nil || !ok {
		return 0, &QueryError{Field: "cursor", Reason: "was not handed out by this catalogue"}
	}
	at, found := slices.BinarySearchFunc(c.factors, id, func(f carbon.Factor, id string) int {
		return strings.Compare(f.ID, id)
	})
	if found {
		at++
	}
	return at, nil
}
