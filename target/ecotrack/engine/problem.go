package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"squall/target/ecotrack/ledger"
)

// Problem is an error as RFC 9457 describes it: a client decides by Code, which never changes.
type Problem struct { //nolint:errname // RFC 9457's name
	Type   string `json:"type"` // a URN made of Code
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// Error returns the code and the detail.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Codes of the problems. Those of packages carbon and factors are added as they are, always with status 422.
const (
	CodeMalformed        = "malformed_request"         // 400
	CodeTenant           = "tenant_invalid"            // 400
	CodeTimeout          = "request_timeout_invalid"   // 400
	CodeKeyMissing       = "idempotency_key_missing"   // 400
	CodeKeyInvalid       = "idempotency_key_invalid"   // 400
	CodeQuery            = "query_invalid"             // 400
	CodeNotFound         = "not_found"                 // 404
	CodeMethod           = "method_not_allowed"        // 405
	CodeTooLarge         = "body_too_large"            // 413
	CodeMediaType        = "media_type_unsupported"    // 415
	CodeKeyReused        = "idempotency_key_reused"    // 422
	CodeKind             = "activity_kind_unknown"     // 422
	CodeActivity         = "activity_field_unexpected" // 422
	CodePeriod           = "period_invalid"            // 422
	CodeDraws            = "draws_invalid"             // 422
	CodeFactor           = "factor_not_found"          // 422
	CodeBatchSize        = "batch_size_invalid"        // 422
	CodeImport           = "import_invalid"            // 422
	CodeOverloaded       = "overloaded"                // 429, not executed
	CodeInternal         = "internal"                  // 500
	CodeStoreUnavailable = "store_unavailable"         // 503, not executed
	CodeStoreReadOnly    = "store_read_only"           // 503, not executed
	CodeOutcomeUnknown   = "outcome_unknown"           // 503, perhaps executed: send it again
	CodeQueueUnavailable = "queue_unavailable"         // 503, perhaps queued: send it again
	CodeDraining         = "draining"                  // 503, of the probes only
	CodeDeadline         = "deadline_exceeded"         // 503, not executed
)

// NewProblem returns a problem with the standard title of status.
func NewProblem(status int, code, format string, args ...any) *Problem {
	return &Problem{
		Type: "urn:ecotrack:problem:" + code, Title: http.StatusText(status), Status: status,
		Code: code, Detail: fmt.Sprintf(format, args...),
	}
}

// coded is an error of package carbon or factors that carries its own stable code.
type coded interface {
	error
	Code() string
}

// ProblemOf returns what a client is told of err.
func ProblemOf(err error) *Problem {
	var p *Problem
	var c coded
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &c):
		return NewProblem(http.StatusUnprocessableEntity, c.Code(), "%v", err)
	case errors.As(err, &tooLarge):
		return NewProblem(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body may have %d bytes",
			tooLarge.Limit)
	case errors.Is(err, ledger.ErrKeyReused):
		return NewProblem(http.StatusUnprocessableEntity, CodeKeyReused,
			"the idempotency key belongs to another request")
	case errors.Is(err, ledger.ErrNotFound):
		return NewProblem(http.StatusNotFound, CodeNotFound, "there is no such resource")
	case errors.Is(err, ledger.ErrOutcomeUnknown):
		return NewProblem(http.StatusServiceUnavailable, CodeOutcomeUnknown,
			"the write may or may not be durable; send it again with the same key")
	case errors.Is(err, ledger.ErrReadOnly):
		return NewProblem(http.StatusServiceUnavailable, CodeStoreReadOnly, "nothing was written")
	case errors.Is(err, ledger.ErrUnavailable):
		return NewProblem(http.StatusServiceUnavailable, CodeStoreUnavailable, "nothing was executed")
	case errors.Is(err, ErrQueueUnavailable):
		return NewProblem(http.StatusServiceUnavailable, CodeQueueUnavailable,
			"the job was not confirmed; send it again with the same key")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return NewProblem(http.StatusServiceUnavailable, CodeDeadline, "nothing was executed in time")
	default:
		return NewProblem(http.StatusInternalServerError, CodeInternal, "see the log of the server")
	}
}

// writeProblem answers with p. 429 and 503 ask the client to come back after a second.
func writeProblem(w http.ResponseWriter, p *Problem) {
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeBody(w, p.Status, "application/problem+json", p)
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	writeBody(w, status, "application/json", v)
}

func writeBody(w http.ResponseWriter, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only a value that is no JSON at all, a mistake of ours
		status, mediaType = http.StatusInternalServerError, "application/problem+json"
		body = []byte(`{"status":500,"code":"` + CodeInternal + `"}`)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone; there is nobody to tell
}
