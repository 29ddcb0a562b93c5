package target

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecipeInputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(r recipe) string {
		got, err := r.inputs()
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(got) {
			t.Fatalf("inputs() = %q, %v, want twelve hexadecimal digits", got, err)
		}
		return got
	}
	write("one")
	squall := recipe{name: "squall", binary: file}
	first := sum(squall)
	if again := sum(squall); again != first {
		t.Errorf("inputs() twice = %s, %s, want the same", first, again)
	}
	write("two")
	if changed := sum(squall); changed == first {
		t.Errorf("inputs() of another program = %s, want another", changed)
	}
	if postgres, haproxy := sum(recipe{name: "postgres"}), sum(recipe{name: "haproxy"}); postgres == haproxy {
		t.Errorf("postgres and haproxy have the same inputs %s", postgres)
	}
	if _, err := (recipe{name: "squall", binary: file + "-absent"}).inputs(); err == nil {
		t.Error("inputs() of an absent program = nil error, want one")
	}
}

func TestBuildContext(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(program, []byte("ELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive, err := buildContext(recipe{name: "postgres"}, program)
	if err != nil {
		t.Fatal(err)
	}
	modes := make(map[string]int64)
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
	}
	want := map[string]int64{"Dockerfile": 0o644, "patroni.yml.tmpl": 0o644, "post_bootstrap.sh": 0o644, "program": 0o755}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("build context (-want +got):\n%s", diff)
	}
}

func TestReadProgress(t *testing.T) {
	ok := `{"stream":"Step 1/2 : FROM scratch\n"}` + "\n" + `{"stream":"Successfully built abc\n"}`
	if err := readProgress("docker build", strings.NewReader(ok)); err != nil {
		t.Errorf("readProgress(success) = %v, want nil", err)
	}
	failed := strings.Repeat(`{"stream":"noise\n"}`, 30) + `{"stream":"E: Unable to locate package x\n"}` +
		`{"errorDetail":{"code":100,"message":"returned a non-zero code: 100"},"error":"returned a non-zero code: 100"}`
	err := readProgress("docker build", strings.NewReader(failed))
	if err == nil || !strings.Contains(err.Error(), "returned a non-zero code: 100") ||
		!strings.Contains(err.Error(), "E: Unable to locate package x") || strings.Count(err.Error(), "noise") != buildLines-1 {
		t.Errorf("readProgress(failure) = %v, want the reason and the last %d lines", err, buildLines)
	}
	if err := readProgress("docker build", strings.NewReader(`{"stream":`)); err == nil {
		t.Error("readProgress(cut off) = nil, want an error")
	}
	full := `{"status":"sha256:abc"}` + "\n" + `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`
	if err := readProgress("docker import", strings.NewReader(full)); err == nil ||
		!strings.Contains(err.Error(), "docker import") || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("readProgress(failed import) = %v, want the step and the reason", err)
	}
}

func TestCheckBinary(t *testing.T) {
	dir := t.TempDir()
	build := func(name string, env ...string) string {
		path := filepath.Join(dir, name)
		source := filepath.Join(dir, "main.go")
		if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, source)
		cmd.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0"}, env...)...)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, output)
		}
		return path
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path, want string
	}{
		{"static Linux program", build("static"), ""},
		{"another system", build("windows", "GOOS=windows"), "not a Linux program"},
		{"another processor", build("s390x", "GOARCH=s390x"), "made for EM_S390"},
		{"dynamically linked", "/bin/sh", "dynamically linked"},
		{"a script", text, "not a Linux program"},
		{"absent", filepath.Join(dir, "absent"), "not a Linux program"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := checkBinary(test.path)
			if test.want == "" {
				if err != nil {
					t.Errorf("checkBinary(%s) = %v, want nil", test.path, err)
				}
				return
			}
			var refused *BinaryError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, test.want) || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
				t.Errorf("checkBinary(%s) = %v, want a BinaryError with %q and the way to a static one", test.path, err, test.want)
			}
		})
	}
}

func TestEnsureImagesRefusesADynamicProgram(t *testing.T) {
	_, err := EnsureImages(t.Context(), ImageOptions{Binary: "/bin/sh"})
	if _, ok := errors.AsType[*BinaryError](err); !ok {
		t.Errorf("EnsureImages(/bin/sh) = %v, want a BinaryError", err)
	}
}

func TestTimedReportsOnlySuccess(t *testing.T) {
	var steps []Step
	b := &imageBuilder{report: func(s Step) { steps = append(steps, s) }}
	if err := b.timed("image x", "what", func() error { return errors.New("no") }); err == nil {
		t.Error("timed(failure) = nil, want its error")
	}
	if len(steps) != 1 || steps[0].Done {
		t.Errorf("steps of a failure = %v, want only the start", steps)
	}
	if err := b.timed("image x", "what", func() error { return nil }); err != nil {
		t.Errorf("timed(success) = %v, want nil", err)
	}
	if last := steps[len(steps)-1]; !last.Done || last.Took <= 0 || last.Took > time.Minute {
		t.Errorf("last step = %v, want done, with its time", last)
	}
}

// TestContainerEnsureImagesIsIdempotent builds what is missing, and then nothing.
func TestContainerEnsureImagesIsIdempotent(t *testing.T) {
	first := testImages(t)
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	var steps []Step
	second, err := EnsureImages(t.Context(), ImageOptions{Binary: binary, Progress: func(s Step) { steps = append(steps, s) }})
	if err != nil || second != first {
		t.Errorf("EnsureImages() again = %v, %v, want %v, nil", second, err, first)
	}
	// An image may have become old in between.
	steps = slices.DeleteFunc(steps, func(s Step) bool { return s.Name == "old images" })
	if slices.ContainsFunc(steps, func(s Step) bool { return !s.Done || s.Took != 0 }) || len(steps) != 5 {
		t.Errorf("steps = %v, want five that say that an image is cached", steps)
	}
}
