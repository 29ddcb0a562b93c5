package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// outcome is how one request ended. The zero value is none of them.
type outcome int

const (
	outcomeOK outcome = iota + 1
	outcomeHTTPError
	outcomeRejected
	outcomeTimeout
	outcomeTransport
	outcomeCancelled // the run was interrupted while it was in flight: no result, counted nowhere
)

// String is the outcome's name in metrics.
func (o outcome) String() string {
	switch o {
	case outcomeOK:
		return "ok"
	case outcomeHTTPError:
		return "http_error"
	case outcomeRejected:
		return "rejected"
	case outcomeTimeout:
		return "timeout"
	case outcomeTransport:
		return "transport"
	case outcomeCancelled:
		return "cancelled"
	}
	return "none"
}

// judgement is what one exchange proves.
type judgement struct {
	outcome outcome
	reason  string  // of a failure, from a closed set: timeout, refused, status-503, ...
	units   uint64  // calculations acknowledged, or 1 for another request answered well
	writes  []Write // without Class, Due and Done
	ids     []string
}

// calculation is the part of EcoTrack's answer that the generator needs.
type calculation struct {
	ID      string `json:"id"`
	Value   string `json:"co2e_kg"`
	Receipt *struct {
		ID   string `json:"id"`
		Key  string `json:"key"`
		Hash string `json:"hash"`
	} `json:"receipt"`
}

// problem is RFC 9457's, with EcoTrack's stable code.
type problem struct {
	Code string `json:"code"`
}

// judge sorts an exchange. cancelled says that the run was interrupted.
func (r *request) judge(x exchange, cancelled bool) judgement {
	j := judgement{outcome: outcomeOK}
	switch {
	case x.err != nil && cancelled:
		j.outcome, j.reason = outcomeCancelled, "cancelled"
	case x.err != nil:
		j.outcome, j.reason = outcomeTransport, errorName(x.err)
		if j.reason == "timeout" {
			j.outcome = outcomeTimeout
		}
	case x.status == http.StatusTooManyRequests || x.status == http.StatusServiceUnavailable:
		j.outcome, j.reason = outcomeRejected, statusName(x.status)
	case x.status < 200 || x.status > 299:
		j.outcome, j.reason = outcomeHTTPError, statusName(x.status)
	}
	if j.outcome != outcomeOK {
		r.judgeFailure(&j, x)
		return j
	}
	if !r.judgeAnswer(&j, x.body) {
		j.units = 0
		if j.outcome == outcomeOK { // a success that does not hold what it must is none
			j.outcome, j.reason = outcomeTransport, "bad-answer"
		}
	}
	return j
}

// judgeFailure says of every write whether it may have been executed.
func (r *request) judgeFailure(j *judgement, x exchange) {
	if r.mayMiss && x.err == nil && x.status == http.StatusNotFound && problemCode(x) != "" {
		*j = judgement{outcome: outcomeOK, units: 1}
		return
	}
	state := WriteUnknown
	if notExecuted(x) {
		state = WriteRefused
	}
	for _, item := range r.items {
		j.writes = append(j.writes, item.write(state))
	}
}

// notExecuted is true only where it is proven that nothing was written: no connection was had, or
// EcoTrack itself found the request wrong, which every node would find alike.
//
// Subtle: a 429 or a 503 proves nothing, even with EcoTrack's own code: the balancer repeats a
// request with an idempotency key on another engine when the first falls silent, so "not executed"
// is only what the last one says of itself. A run against three engines has shown such rows.
func notExecuted(x exchange) bool {
	if x.err != nil {
		return !x.connected
	}
	switch x.status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	}
	code := problemCode(x)
	return code != "" && code != "idempotency_key_reused" && x.status >= 400 && x.status <= 499
}

// problemCode is the code of an RFC 9457 problem, or empty.
func problemCode(x exchange) string {
	media, _, err := mime.ParseMediaType(x.header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" {
		return ""
	}
	var p problem
	if json.Unmarshal(x.body, &p) != nil {
		return ""
	}
	return p.Code
}

// judgeAnswer reads a 2xx. It returns false when the answer does not hold what it must.
func (r *request) judgeAnswer(j *judgement, body []byte) bool {
	switch r.kind {
	case requestCalculate:
		w := r.items[0].acknowledge(body)
		j.writes, j.units = []Write{w.Write}, 1
		if w.State == WriteAcknowledged {
			j.ids = []string{w.calculation}
		}
		return w.State == WriteAcknowledged
	case requestBatch:
		return r.judgeBatch(j, body)
	case requestImport:
		var job struct {
			Job string `json:"job"`
		}
		accepted := json.Unmarshal(body, &job) == nil && job.Job != ""
		for _, item := range r.items {
			state := WriteUnknown
			if accepted {
				state = WriteAcknowledged // of the job: the rows' receipts do not exist yet
			}
			j.writes = append(j.writes, item.write(state))
		}
		return accepted
	case requestEstimate:
		var c calculation
		j.units = 1
		return json.Unmarshal(body, &c) == nil && c.Value != ""
	case requestRead:
		j.units = 1
		return r.want == "" || bytes.Contains(body, []byte(strconv.Quote(r.want)))
	default:
		j.units = 1
		return true
	}
}

// judgeBatch takes each item for itself; the batch is a success when every item is.
func (r *request) judgeBatch(j *judgement, body []byte) bool {
	var answer struct {
		Items []struct {
			Status      int             `json:"status"`
			Calculation json.RawMessage `json:"calculation"`
			Problem     *problem        `json:"problem"`
		} `json:"items"`
	}
	readable := json.Unmarshal(body, &answer) == nil && len(answer.Items) == len(r.items)
	good := readable
	for i, item := range r.items {
		w := item.write(WriteUnknown)
		if readable {
			got := answer.Items[i]
			switch {
			case got.Status == http.StatusCreated || got.Status == http.StatusOK:
				a := item.acknowledge(got.Calculation)
				w = a.Write
				if w.State == WriteAcknowledged {
					j.units++
					j.ids = append(j.ids, a.calculation)
				}
			case got.Problem != nil && got.Status >= 400 && got.Status <= 499 &&
				got.Status != http.StatusConflict && got.Problem.Code != "idempotency_key_reused":
				w.State = WriteRefused
			}
		}
		good = good && w.State == WriteAcknowledged
		j.writes = append(j.writes, w)
	}
	if readable && !good {
		j.outcome, j.reason = outcomeHTTPError, "batch-item"
	}
	return good
}

// write is the ledger's entry for a calculation asked for.
func (a asked) write(state WriteState) Write {
	return Write{Key: a.key, State: state, Expected: a.activity.expected()}
}

// acknowledged is a write with the id to read it by.
type acknowledged struct {
	Write
	calculation string
}

// acknowledge reads a calculation. Without a whole receipt for this very key nothing is proven.
func (a asked) acknowledge(body []byte) acknowledged {
	w := acknowledged{Write: a.write(WriteUnknown)}
	var c calculation
	if json.Unmarshal(body, &c) != nil || c.Receipt == nil {
		return w
	}
	if c.Receipt.ID == "" || c.Receipt.Hash == "" || c.Receipt.Key != a.key {
		return w
	}
	w.State, w.ID, w.Hash, w.Value = WriteAcknowledged, c.Receipt.ID, c.Receipt.Hash, c.Value
	w.calculation = c.ID
	if w.calculation == "" {
		w.calculation = c.Receipt.ID
	}
	return w
}

func statusName(status int) string { return "status-" + strconv.Itoa(status) }

// errorName sorts an error of the transport into a closed set: forbidden, timeout, refused, reset,
// unreachable, descriptors, ports, closed, name, other.
func errorName(err error) string {
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.Is(err, ErrForbiddenAddress):
		return "forbidden"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "descriptors"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENOBUFS):
		return "ports"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "timeout"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "name"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return "other"
}
