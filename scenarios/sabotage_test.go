package scenarios_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sabotages are defects, each a patch in testdata/sabotage, and what a run with all three faults must say to each.
var sabotages = []struct {
	patch    string
	exit     int
	says     string
	sentence string
}{
	{"write-removed", 1, "lost_writes == 0", "an engine removes what it has acknowledged"},
	{"engine-500", 1, "failed(calculate) == 0 during engine-crash", "an engine answers 500"},
	{"fault-idle", 4, `"slow-network" was never felt`, "the agent lets every packet pass at once"},
	{"rule-left", 5, "left after undo", "the agent's rules outlive it"},
}

// TestSabotagesApply: a sabotage that no longer fits the code would go unnoticed until the next night.
func TestSabotagesApply(t *testing.T) {
	files, err := filepath.Glob("testdata/sabotage/*.patch")
	if err != nil || len(files) != len(sabotages) {
		t.Fatalf("patches: %q, %v, want %d", files, err, len(sabotages))
	}
	for _, s := range sabotages {
		applySabotage(t, "..", s.patch, "--check")
	}
}

// TestDeepSabotageTurnsRed builds Squall and EcoTrack with one defect each; the test of the gate must fail by it.
func TestDeepSabotageTurnsRed(t *testing.T) {
	for _, s := range sabotages {
		t.Run(s.patch, func(t *testing.T) {
			dir := copyTree(t)
			applySabotage(t, dir, s.patch)
			build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", "bin/squall", ".")
			build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
			if output, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build: %v\n%s", err, output)
			}
			t.Setenv("SQUALL_BINARY", filepath.Join(dir, "bin/squall"))
			own := own(t, "testdata/e2e")
			code, res := own.play(t)
			if code != s.exit || !strings.Contains(strings.Join(res.Reasons, "\n"), s.says) {
				t.Errorf("%s: exit %d, reasons %q, want %d and %q", s.sentence, code, res.Reasons, s.exit, s.says)
			}
			own.noLeftovers(t, 0)
		})
	}
}

func applySabotage(t *testing.T, dir, patch string, more ...string) {
	t.Helper()
	file, err := filepath.Abs("testdata/sabotage/" + patch + ".patch")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "git", append(append([]string{"apply"}, more...), file)...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("git apply %s: %v\n%s", patch, err, output)
	}
}

// copyTree copies what git knows or would take of the project.
func copyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "-co", "--exclude-standard")
	cmd.Dir = ".."
	names, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range bytes.SplitSeq(bytes.TrimSuffix(names, []byte{0}), []byte{0}) {
		from, to := filepath.Join("..", string(name)), filepath.Join(dir, string(name))
		content, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue // removed, but not staged
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
