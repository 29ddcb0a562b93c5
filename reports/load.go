package reports

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"squall/loadgen"
	"strconv"
	"strings"
)

// ErrNotResult means that a folder is not a result folder of Squall.
var ErrNotResult = errors.New("not a result folder")

// ErrNewerSchema means that a newer Squall wrote the folder.
var ErrNewerSchema = errors.New("written by a newer squall")

// Load reads back what Write stored, so that the run can be judged and rendered again without a
// target. The verdict is the one that was written; a caller that judges anew replaces it. The error
// matches ErrNotResult or ErrNewerSchema where that is why, and names the file that is missing,
// truncated or malformed otherwise.
func Load(dir string) (Run, error) {
	if err := checkSchema(dir); err != nil {
		return Run{}, err
	}
	var stored storedRun
	if err := readRaw(dir, "run", &stored); err != nil {
		return Run{}, err
	}
	run := stored.Run
	var recording loadgen.Recording
	err := errors.Join(
		readRaw(dir, "recording", &recording),
		readRaw(dir, "injections", &run.Injections),
		readRaw(dir, "ledger", &run.Ledger),
		readRaw(dir, "planned", &run.Planned),
		readRaw(dir, "objectives", &run.Objectives),
		readRaw(dir, "verdict", &run.Verdict),
	)
	if err != nil {
		return Run{}, err
	}
	if stored.Recorded {
		run.Recording = &recording
	}
	yaml, err := os.ReadFile(filepath.Join(dir, "scenario.yaml"))
	if err != nil {
		return Run{}, fmt.Errorf("result folder: %w", err)
	}
	run.ScenarioYAML = string(yaml)
	return run, nil
}

// checkSchema reads result.json far enough to know who wrote it.
func checkSchema(dir string) error {
	path := filepath.Join(dir, resultFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: it has no %s", dir, ErrNotResult, resultFile)
	}
	if err != nil {
		return fmt.Errorf("result folder: %w", err)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return fmt.Errorf("%s: truncated or malformed: %w", path, err)
	}
	name, _ := strings.CutSuffix(Schema, schemaNumber(Schema))
	number, found := strings.CutPrefix(head.Schema, name)
	version, err := strconv.Atoi(number)
	if !found || err != nil {
		return fmt.Errorf("%s: %w: its schema is %q, want %q", path, ErrNotResult, head.Schema, Schema)
	}
	if ours, _ := strconv.Atoi(schemaNumber(Schema)); version > ours {
		return fmt.Errorf("%s: %w: its schema is %q, this one reads up to %q", path, ErrNewerSchema,
			head.Schema, Schema)
	}
	return nil
}

func schemaNumber(schema string) string { return schema[strings.LastIndexByte(schema, '/')+1:] }

func readRaw(dir, name string, into any) error {
	path := filepath.Join(dir, "raw", name+".json.gz")
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("result folder: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing can be lost
	z, err := gzip.NewReader(f)
	if err != nil {
		return rawError(path, err)
	}
	decoder := json.NewDecoder(z)
	if err := decoder.Decode(into); err != nil {
		return rawError(path, err)
	}
	// The rest is read too, so that the checksum at the end is checked.
	if _, err := io.Copy(io.Discard, io.MultiReader(decoder.Buffered(), z)); err != nil {
		return rawError(path, err)
	}
	return nil
}

func rawError(path string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: truncated: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
