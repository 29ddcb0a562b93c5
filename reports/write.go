package reports

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
)

// resultFile is written last: a folder that has it is whole.
const resultFile = "result.json"

// file is one file of the result folder and how it is written.
type file struct {
	name  string // slash-separated, inside the folder
	write func(io.Writer) error
}

// Write stores the run in the result folder dir, which it makes, with every view of it. Each file is
// written beside the folder, synced and then renamed into place, result.json last, so that a crash
// leaves the old file or the new one and never half of one. Files of dir that are not Write's own
// stay. An interrupted run, or one without a recording, is written like any other.
func Write(dir string, run Run) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("result folder: %w", err)
	}
	staging, err := os.MkdirTemp(filepath.Dir(dir), ".squall-result-*")
	if err != nil {
		return fmt.Errorf("result folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(staging) }() // best effort: only what was not renamed is in it
	files := append(rawFiles(run), viewFiles(New(run))...)
	for _, f := range files {
		if err := stage(filepath.Join(staging, filepath.FromSlash(f.name)), f.write); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	for _, f := range files {
		if err := publish(staging, dir, f.name); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return errors.Join(syncDir(filepath.Join(dir, "raw")), syncDir(dir), syncDir(filepath.Dir(dir)))
}

// viewFiles are the files for people and other programs; result.json stands last.
func viewFiles(rec *Record) []file {
	return []file{
		{"report.html", func(w io.Writer) error { return HTML(w, rec) }},
		{"junit.xml", func(w io.Writer) error { return JUnit(w, rec) }},
		{"summary.md", func(w io.Writer) error { return Markdown(w, rec) }},
		{"metrics.txt", func(w io.Writer) error { return OpenMetrics(w, rec) }},
		{"series.csv", func(w io.Writer) error { return csv.NewWriter(w).WriteAll(rec.Series.csv()) }},
		{resultFile, func(w io.Writer) error { return writeJSON(w, rec) }},
	}
}

// rawFiles hold the run itself, without loss, for Load.
func rawFiles(run Run) []file {
	recording := run.Recording
	if recording == nil {
		recording = &loadgen.Recording{}
	}
	return []file{
		{"scenario.yaml", func(w io.Writer) error { _, err := io.WriteString(w, run.ScenarioYAML); return err }},
		raw("run", storedRun{Schema, run.Recording != nil, run}),
		raw("recording", recording),
		raw("injections", storableInjections(run.Injections)),
		raw("ledger", list(run.Ledger)),
		raw("planned", list(run.Planned)),
		raw("objectives", list(run.Objectives)),
		raw("verdict", storable(run.Verdict)),
	}
}

// storedRun is raw/run.json.gz: everything of a run that has no file of its own.
type storedRun struct {
	Schema   string `json:"schema"`
	Recorded bool   `json:"recorded"` // false: the run ended before the load began
	Run
}

func raw(name string, value any) file {
	return file{"raw/" + name + ".json.gz", func(w io.Writer) error {
		z := gzip.NewWriter(w) // no name and no time in the header: the same run gives the same bytes
		if err := json.NewEncoder(z).Encode(value); err != nil {
			return err
		}
		return z.Close()
	}}
}

// storable replaces what JSON cannot hold, so that one odd figure never costs the whole result
// folder: infinity or NaN (an RTO that never ended) becomes the largest number, which finite() knows
// again.
func storable(v verdict.Verdict) verdict.Verdict {
	v.Objectives = slices.Clone(v.Objectives)
	for i := range v.Objectives {
		o := &v.Objectives[i]
		o.Value, o.Bound = storableFigure(o.Value), storableNumber(o.Bound)
	}
	v.Phases = slices.Clone(v.Phases)
	for i := range v.Phases {
		classes := make(map[string]verdict.ClassPhase, len(v.Phases[i].Classes))
		for name, c := range v.Phases[i].Classes {
			c.Rate, c.ErrorRatio = storableNumber(c.Rate), storableNumber(c.ErrorRatio)
			for _, latency := range c.Latencies() {
				*latency = storableFigure(*latency)
			}
			classes[name] = c
		}
		v.Phases[i].Classes = classes
	}
	v.Failover = slices.Clone(v.Failover)
	for i := range v.Failover {
		f := &v.Failover[i]
		for _, figure := range []**float64{&f.Detection, &f.RTOWrite, &f.RTORead, &f.Outage, &f.Resolution} {
			*figure = storableFigure(*figure)
		}
	}
	return v
}

func storableInjections(in []chaos.Injection) []chaos.Injection {
	out := list(slices.Clone(in))
	for i := range out {
		e := &out[i].Effect
		e.Asked, e.Measured = finiteMap(e.Asked), finiteMap(e.Measured)
	}
	return out
}

func storableNumber(v float64) float64 {
	if finite(v) {
		return v
	}
	return math.MaxFloat64
}

func storableFigure(v *float64) *float64 {
	if v == nil {
		return nil
	}
	return new(storableNumber(*v))
}

func writeJSON(w io.Writer, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // objectives read `<= 300ms`, not `\u003c= 300ms`
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := w.Write(jsonPage(b.Bytes()))
	return err
}

// stage writes one file and syncs it.
func stage(path string, write func(io.Writer) error) error {
	var content bytes.Buffer
	if err := write(&content); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content.Bytes())
	return errors.Join(err, f.Sync(), f.Close())
}

// publish moves one staged file to its place.
func publish(staging, dir, name string) error {
	to := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Rename(filepath.Join(staging, filepath.FromSlash(name)), to)
}

// syncDir makes renames in dir last through a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
