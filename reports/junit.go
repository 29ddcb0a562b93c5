package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"squall/reports/verdict"
	"strconv"
	"strings"
	"time"
)

// The elements of junit.xml, as Jenkins' and GitLab's readers expect them.
type (
	junitSuites struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       xmlText         `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  xmlText `xml:"name,attr"`
		Value xmlText `xml:"value,attr"`
	}
	junitCase struct {
		Name      xmlText       `xml:"name,attr"`
		ClassName xmlText       `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitProblem `xml:"failure"`
		Error     *junitProblem `xml:"error"`
		Output    xmlText       `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Type    xmlText `xml:"type,attr"`
		Message xmlText `xml:"message,attr"`
		Text    xmlText `xml:",chardata"`
	}
)

// JUnit writes junit.xml: the suite is the scenario with its seed, a case is an objective, a fault, the
// audit or the run itself. Readers tell cases apart by class and name and keep one of two that are the
// same, so the repeats of a run, which differ by their seeds, have classes of their own, and no name
// comes twice. Missed is a failure; everything else that is not met is an error with the outcome
// as its type, so that nothing unproven looks green.
func JUnit(w io.Writer, rec *Record) error {
	suite := junitSuite{
		Name: xmlText(fmt.Sprintf("%s, seed %d", rec.Scenario, rec.Seed)), Time: decimal(rec.Duration),
		Timestamp:  rec.StartedAt.UTC().Format(time.DateOnly + "T15:04:05"),
		Properties: junitProperties(rec), Cases: junitCases(rec),
	}
	taken := names{}
	for i := range suite.Cases {
		c := &suite.Cases[i]
		c.Name = xmlText(taken.unique(Visible(string(c.Name))))
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Error != nil {
			suite.Errors++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: suite}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitCases(rec *Record) []junitCase {
	cases := []junitCase{runCase(rec), healthCase(rec)}
	for _, o := range rec.Objectives {
		value, bound := o.texts()
		message := fmt.Sprintf("%s, bound %s", value, bound)
		c := newCase(rec, "objectives", o.Text, o.Outcome, message, o.Why)
		c.Output = xmlText(fmt.Sprintf("value %s, bound %s, %s, phase %s. %s", value, bound,
			plural(o.Samples, "sample"), o.Phase, o.Why))
		cases = append(cases, c)
	}
	for _, i := range rec.Injections {
		felt, undone := verdict.Met, verdict.Met
		if !i.Felt {
			felt = verdict.Inconclusive
		}
		if !i.Undone {
			undone = verdict.Error
		}
		cases = append(cases,
			newCase(rec, "faults", i.Fault+": was felt", felt, "no effect was measured", i.Effect.Summary+" "+i.Error),
			newCase(rec, "faults", i.Fault+": was undone", undone, "not verified gone", i.Error))
	}
	if c, found := auditCase(rec); found {
		cases = append(cases, c)
	}
	for _, c := range cases {
		if c.Failure != nil || c.Error != nil || rec.Outcome == verdict.Met {
			return cases
		}
	}
	// The outcome has a reason that no case of ours knows: it must not look green.
	return append(cases, newCase(rec, "run", "outcome", rec.Outcome, firstReason(rec), ""))
}

// runCase says whether the run came to its end.
func runCase(rec *Record) junitCase {
	outcome := verdict.Met
	if rec.Outcome == verdict.Aborted || rec.Outcome == verdict.Error {
		outcome = rec.Outcome
	}
	if rec.Error != "" && outcome == verdict.Met {
		outcome = verdict.Error
	}
	return newCase(rec, "run", "carried out as planned", outcome, firstReason(rec), rec.Error)
}

// healthCase says whether the generator's figures count.
func healthCase(rec *Record) junitCase {
	outcome, why := verdict.Met, ""
	if rec.Outcome == verdict.Invalid || !rec.Health.Valid {
		outcome = verdict.Invalid
		why = strings.Join(rec.Health.Reasons, "\n")
	}
	return newCase(rec, "run", "generator and host trustworthy", outcome, "the figures do not count", why)
}

// auditCase says whether the ledger was read back; what the audit found is judged by objectives of
// its own ("audit: lost_writes == 0"), which a control scenario may ask to be missed. It is absent
// when the run had nothing to audit.
func auditCase(rec *Record) (junitCase, bool) {
	a := rec.Audit
	if a.Acknowledged == 0 && len(a.CheckedNodes) == 0 {
		return junitCase{}, false
	}
	outcome := verdict.Met
	if !a.Complete {
		outcome = verdict.Inconclusive
	}
	c := newCase(rec, "audit", "the ledger was read back and compared", outcome, auditLine(a), "")
	c.Output = xmlText(strings.Join(append([]string{auditLine(a)}, a.Examples...), "\n"))
	return c, true
}

func newCase(rec *Record, group, name string, outcome verdict.Outcome, message, text string) junitCase {
	c := junitCase{Name: xmlText(name), ClassName: xmlText(fmt.Sprintf("%s.seed-%d.%s", rec.Scenario, rec.Seed, group)), Time: decimal(0)}
	problem := &junitProblem{Type: xmlText(outcome), Message: xmlText(message), Text: xmlText(text)}
	switch outcome {
	case verdict.Met:
	case verdict.Missed:
		c.Failure = problem
	default:
		c.Error = problem
	}
	return c
}

func junitProperties(rec *Record) []junitProperty {
	var out []junitProperty
	add := func(name, value string) { out = append(out, junitProperty{xmlText(name), xmlText(value)}) }
	add("outcome", string(rec.Outcome))
	add("exit_code", strconv.Itoa(rec.ExitCode))
	add("seed", strconv.FormatUint(rec.Seed, 10))
	add("command", rec.Command)
	add("requests.planned", strconv.FormatUint(rec.Load.Planned, 10))
	add("requests.failed", strconv.FormatUint(rec.Load.Failed, 10))
	add("requests.unsent", strconv.FormatUint(rec.Load.Unsent, 10))
	add("writes.acknowledged", strconv.Itoa(rec.Audit.Acknowledged))
	add("writes.lost", strconv.Itoa(rec.Audit.Lost))
	for i, o := range rec.Objectives {
		name := "objective." + strconv.Itoa(i+1)
		add(name, o.Text)
		add(name+".bound", decimal(o.Bound))
		add(name+".unit", o.Unit)
		add(name+".samples", strconv.FormatUint(o.Samples, 10))
		if o.Value != nil {
			add(name+".value", decimal(*o.Value))
		}
	}
	return out
}

func firstReason(rec *Record) string {
	if why := rec.why(); len(why) > 0 {
		return why[0]
	}
	return sentence(rec.Outcome)
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
