package target

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	errDown := errors.New("nobody answers")
	for _, test := range []struct {
		name   string
		limit  time.Duration
		cancel time.Duration // of ctx; 0: never
		good   time.Duration // from when on the answer is good
		hangs  time.Duration // from when on an asking hangs until its ctx ends
		took   time.Duration
		want   string // of the error; empty: none
		is     error
	}{
		{name: "answered at once", limit: 10 * time.Second},
		{name: "answered later", limit: 10 * time.Second, good: time.Second, took: 1200 * time.Millisecond},
		{
			name: "never answered", limit: 2 * time.Second, good: time.Hour, took: 2 * time.Second,
			want: "nobody answers (tried 7 times in 2s)", is: errDown,
		},
		{
			name: "the last word is not that the time is over", limit: 2 * time.Second, good: time.Hour, hangs: time.Second,
			took: 2 * time.Second, want: "nobody answers (tried 5 times in 2s)", is: errDown,
		},
		{
			name: "cancelled", limit: time.Hour, cancel: time.Second, good: time.Hour, took: time.Second,
			want: "nobody answers (tried 4 times in 1s): context canceled", is: context.Canceled,
		},
		{
			name: "no limit of its own", cancel: time.Minute, good: time.Hour, took: time.Minute,
			want: "context canceled", is: errDown,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				began := time.Now()
				err := Retry(ctx, test.limit, func(ctx context.Context) error {
					switch at := time.Since(began); {
					case at >= test.good:
						return nil
					case test.hangs > 0 && at >= test.hangs:
						<-ctx.Done()
						return ctx.Err()
					}
					return errDown
				})
				if took := time.Since(began); took != test.took {
					t.Errorf("Retry took %s, want %s", took, test.took)
				}
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.is)) {
					t.Errorf("Retry() = %v, want %q", err, test.want)
				}
			})
		})
	}
}
