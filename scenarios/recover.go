package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"squall/chaos"
	"squall/target"
)

// Recover undoes whatever killed runs left behind: it removes every container, network and volume of
// a run whose process is gone, and closes the faults that the journals below out still hold open. Runs
// that are still being played, and systems that were kept on purpose, are left alone and named.
// It is safe to repeat. What it did is written to w, a line each.
func Recover(ctx context.Context, out string, w io.Writer) error {
	killed, err := target.KilledRuns()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range killed {
		removed, err := target.RemoveRun(ctx, id)
		for _, what := range removed {
			fmt.Fprintf(w, "%s: removed %s\n", id, what)
		}
		if err == nil {
			err = target.ForgetRun(id)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("recover %s: %w", id, err))
		}
	}
	errs = append(errs, recoverJournals(ctx, out, killed, w))
	left, err := target.Runs(ctx)
	for _, run := range left {
		fmt.Fprintf(w, "%s: left alone: its process is alive, or it was kept (squall down removes it)\n", run.ID)
	}
	if len(killed) == 0 {
		fmt.Fprintln(w, "no killed run was found")
	}
	return errors.Join(append(errs, err)...)
}

// recoverJournals verifies that each fault that the journal of a killed run still holds open is gone
// together with its container, and marks it undone.
func recoverJournals(ctx context.Context, out string, killed []string, w io.Writer) error {
	paths, err := filepath.Glob(filepath.Join(out, "*", "*", "journal.jsonl"))
	if err != nil {
		return fmt.Errorf("journals: %w", err)
	}
	docker, err := target.OpenContainers(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = docker.Close() }() // it holds nothing but connections
	var errs []error
	for _, path := range paths {
		open, err := chaos.Unfinished(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		open = ofRuns(open, killed)
		if len(open) == 0 {
			continue
		}
		done, err := chaos.Recover(ctx, open, docker)
		for _, d := range done {
			fmt.Fprintf(w, "%s on %s: %s\n", d.Fault, d.Target, d.Did)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, closeJournal(path, open))
	}
	return errors.Join(errs...)
}

func ofRuns(entries []chaos.Entry, ids []string) []chaos.Entry {
	return slices.DeleteFunc(entries, func(e chaos.Entry) bool { return !slices.Contains(ids, e.Run) })
}

// closeJournal records the entries as undone.
func closeJournal(path string, entries []chaos.Entry) error {
	journal, err := chaos.OpenJournal(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		e.Record = chaos.RecordUndone
		err = errors.Join(err, journal.Append(e))
	}
	return errors.Join(err, journal.Close())
}
