package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestWriteErrorSaysWhatIsKnown(t *testing.T) {
	state := func(severity, code string) error {
		return fmt.Errorf("insert: %w", &pgconn.PgError{Severity: severity, Code: code})
	}
	tests := []struct {
		name  string
		err   error
		want  error
		retry bool
	}{
		{"read-only server", state("ERROR", "25006"), ErrReadOnly, true},
		{"deadlock", state("ERROR", "40P01"), ErrUnavailable, true},
		{"serialization failure", state("ERROR", "40001"), ErrUnavailable, true},
		{"out of connections", state("ERROR", "53300"), ErrUnavailable, false},
		{"no such value", state("ERROR", "22P02"), errStatement, false},
		{"statement cancelled by somebody", state("ERROR", "57014"), ErrOutcomeUnknown, false},
		{"server shuts down", state("FATAL", "57P01"), ErrOutcomeUnknown, true},
		{"server crashed", state("FATAL", "57P02"), ErrOutcomeUnknown, true},
		{"internal error", state("ERROR", "XX000"), ErrOutcomeUnknown, false},
		{"connection lost", io.ErrUnexpectedEOF, ErrOutcomeUnknown, true},
		{"time is up", context.DeadlineExceeded, ErrOutcomeUnknown, false},
		{"committed with a warning", errWarned, ErrOutcomeUnknown, false},
		{"warning and an error", errors.Join(errWarned, state("ERROR", "40001")), ErrOutcomeUnknown, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := writeError(tt.err)
			for _, class := range []error{ErrUnavailable, ErrReadOnly, ErrOutcomeUnknown, errStatement} {
				if errors.Is(got, class) != errors.Is(class, tt.want) {
					t.Errorf("writeError(%v) = %v, want %v only", tt.err, got, tt.want)
				}
			}
			if retry := worthRetry(got); retry != tt.retry {
				t.Errorf("worthRetry(%v) = %v, want %v", got, retry, tt.retry)
			}
		})
	}
}

func TestReadErrorIsNeverUnknown(t *testing.T) {
	for _, err := range []error{io.EOF, context.DeadlineExceeded, &pgconn.PgError{Code: "42P01"}} {
		if got := readError(err); !errors.Is(got, ErrUnavailable) || errors.Is(got, ErrOutcomeUnknown) {
			t.Errorf("readError(%v) = %v, want ErrUnavailable", err, got)
		}
	}
}

func TestIDFollowsFromTenantAndKey(t *testing.T) {
	if got, want := ID("default", "k1"), "51998b42-a9c3-8d52-ad80-94873f20fdbe"; got != want {
		t.Errorf("ID(default, k1) = %s, want %s: receipts of earlier versions would no longer match", got, want)
	}
	if a, b := ID("ab", "c"), ID("a", "bc"); a == b {
		t.Errorf("ID(ab, c) = ID(a, bc) = %s, want two", a)
	}
}

func TestRowHashCoversWhatMustNotChange(t *testing.T) {
	base := RowHash(entry("k"))
	if again := RowHash(entry("k")); again != base {
		t.Errorf("RowHash twice = %s and %s, want one", base, again)
	}
	changes := map[string]func(*Entry){
		"tenant": func(e *Entry) { e.Tenant = "u" }, "key": func(e *Entry) { e.Key = "l" },
		"request": func(e *Entry) { e.RequestHash = "x" }, "co2e": func(e *Entry) { e.CO2e = "1" },
		"market": func(e *Entry) { e.Market = "1" }, "outside": func(e *Entry) { e.Outside = "1" },
		"status": func(e *Entry) { e.Status = "partial" }, "set": func(e *Entry) { e.GWPSet = "AR6" },
		"period": func(e *Entry) { e.Period = "2026-Q2" }, "scope": func(e *Entry) { e.Scope = "2" },
		"category": func(e *Entry) { e.Category = "x" },
	}
	for name, change := range changes {
		e := entry("k")
		change(&e)
		if RowHash(e) == base {
			t.Errorf("RowHash does not change with %s", name)
		}
	}
}
