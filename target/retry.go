package target

import (
	"context"
	"fmt"
	"time"
)

// retryPause is the pause between two tries of Retry: short beside every limit that is in use, and
// long enough that trying costs a broken system nothing.
const retryPause = 300 * time.Millisecond

// Retry tries until there is no error, for at most limit; 0 leaves the end to ctx alone. What is asked
// of a system in trouble is unanswered now and answered a moment later: one refusal says little. The
// error is the last that said more than that the time is over, with how often it was tried.
func Retry(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	within, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		within, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	began := time.Now()
	var last error
	for tries := 1; ; tries++ {
		err := try(within)
		if err == nil {
			return nil
		}
		if last == nil || within.Err() == nil {
			last = err
		}
		if pause(within, retryPause) == nil {
			continue
		}
		last = fmt.Errorf("%w (tried %d times in %s)", last, tries, time.Since(began).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", last, context.Cause(ctx))
		}
		return last
	}
}
