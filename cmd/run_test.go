package cmd

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	beside := filepath.Join(t.TempDir(), "squall.version")
	if err := os.WriteFile(beside, []byte("2f050ef00000-dirty\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stamp := func(revision, modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	const commit = "906d969aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tests := []struct {
		name     string
		settings []debug.BuildSetting
		beside   string
		want     string
	}{
		{"go build in a checkout", stamp(commit, "false"), beside, "906d969aaaaa"},
		{"go build in a changed checkout", stamp(commit, "true"), beside, "906d969aaaaa-dirty"},
		{"make", nil, beside, "2f050ef00000-dirty"},
		{"go install of a version, or a program that was copied away", nil, beside + "-absent", "v1.2.3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: test.settings}
			if got := versionOf(info, test.beside); got != test.want {
				t.Errorf("versionOf(%v, %s) = %q, want %q", test.settings, test.beside, got, test.want)
			}
		})
	}
}
