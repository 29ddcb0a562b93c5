package target

import (
	"context"
	"fmt"
	"time"
)

// retryPause is the pause between two askings of Retry: short beside every limit that is in use, and
// long enough that asking costs a broken system nothing.
const retryPause = 300 * time.Millisecond

// Retry asks until the answer is no error, for at most limit; 0 leaves the end to ctx alone. What is
// asked of a system in trouble is unanswered now and answered a moment later: one refusal says little.
// The error is the last that said more than that the time is over, with how often it was asked.
func Retry(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	within, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		within, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	began := time.Now()
	var last error
	for asked := 1; ; asked++ {
		err := ask(within)
		if err == nil {
			return nil
		}
		if last == nil || within.Err() == nil {
			last = err
		}
		if pause(within, retryPause) == nil {
			continue
		}
		last = fmt.Errorf("%w (asked %d times in %s)", last, asked, time.Since(began).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", last, context.Cause(ctx))
		}
		return last
	}
}
