package target

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runScript runs one of ecotrack's scripts with programs that only pretend, and returns its exit code,
// what it printed, and the calls that it made. A program is the body of a shell script.
func runScript(t *testing.T, script string, programs map[string]string) (code int, output, calls string) {
	t.Helper()
	if _, err := os.Stat("ecotrack/" + script); err != nil { // also tells go test what it depends on
		t.Fatal(err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	pretend := map[string]string{
		"docker": `[ "$1" = version ]`, "id": "echo 0", "sleep": "", "dpkg": "", "apt-get": "",
	}
	maps.Copy(pretend, programs)
	for name, body := range pretend {
		if body == "absent" {
			continue
		}
		script := "#!/bin/sh\necho " + name + ` "$@" >> "` + log + "\"\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "date", "timeout", "mktemp", "rm", "tail", "sed", "grep", "ps"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "ecotrack/"+script)
	cmd.Env = []string{"PATH=" + dir, "TMPDIR=" + dir, "CALLS=" + log}
	printed, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return code, string(printed), string(made)
}

func TestSetupScript(t *testing.T) {
	const fails = `echo "E: Could not connect to deb.debian.org:80"; exit 100`
	tests := []struct {
		name     string
		programs map[string]string
		code     int
		says     string
		calls    []string // each of which is made
		tries    int      // of apt-get update
	}{
		{"the base image is there", map[string]string{"docker": ""}, 0, "", []string{"docker image inspect"}, 0},
		{"mmdebstrap is there", map[string]string{"mmdebstrap": ""}, 0, "", nil, 0},
		{"no daemon", map[string]string{"docker": "exit 1"}, 0, "", nil, 0},
		{"a registry answers", map[string]string{"docker": `[ "$1" != image ]`}, 0, "", []string{"docker pull -q debian:trixie-slim"}, 0},
		{"apt-get works", nil, 0, "mmdebstrap is installed", []string{"dpkg --configure -a", "install -y mmdebstrap"}, 1},
		{"away for its first three tries", map[string]string{
			"apt-get": `[ "$(grep -c update "$CALLS")" -gt 3 ] || { ` + fails + `; }`,
		}, 0, "apt-get update, try 4", []string{"sleep 5", "sleep 15", "sleep 30", "install -y mmdebstrap"}, 4},
		{"away for good", map[string]string{"apt-get": fails}, 5, "apt-get update could not be done: the package mirror", []string{"sleep 45"}, 6},
		{"what it printed last is shown", map[string]string{"apt-get": fails}, 5, "  E: Could not connect to deb.debian.org:80", nil, 6},
		{
			"disk full",
			map[string]string{"apt-get": `echo "E: You don't have enough free space in /var/cache/apt/archives/."; exit 100`},
			5, "the disk is full", nil, 1,
		},
		{"not root", map[string]string{"id": "echo 1000"}, 5, "sudo apt-get install mmdebstrap", nil, 0},
		{"no apt-get", map[string]string{"apt-get": "absent"}, 5, "there is no apt-get here", nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, output, calls := runScript(t, "setup.sh", test.programs)
			if code != test.code || !strings.Contains(output, test.says) {
				t.Errorf("setup.sh = %d, %q, want %d and %q", code, output, test.code, test.says)
			}
			for _, want := range test.calls {
				if !strings.Contains(calls, want) {
					t.Errorf("setup.sh made the calls\n%s, want %q among them", calls, want)
				}
			}
			if got := strings.Count(calls, "Error-Mode=any update"); got != test.tries {
				t.Errorf("setup.sh tried apt-get update %d times, want %d", got, test.tries)
			}
		})
	}
}

// TestSetupScriptHeedsASignal interrupts it while apt-get hangs.
func TestSetupScriptHeedsASignal(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	// The parent of apt-get is timeout, and that one's is the script.
	code, output, calls := runScript(t, "setup.sh", map[string]string{
		"apt-get": "kill -TERM $(ps -o ppid= -p $PPID); exec " + sleep + " 60",
	})
	if code != 130 || time.Since(start) > 30*time.Second {
		t.Errorf("setup.sh = %d after %s, %q, calls\n%s, want 130 at once", code, time.Since(start), output, calls)
	}
}
