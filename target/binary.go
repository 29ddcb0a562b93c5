package target

import (
	"debug/elf"
	"fmt"
	"runtime"
)

// BinaryError says why a program cannot run in an image made from scratch.
type BinaryError struct {
	Path   string
	Reason string
}

func (e *BinaryError) Error() string {
	return fmt.Sprintf("binary %s: %s; build a static one with: "+
		"CGO_ENABLED=0 GOOS=linux go build -trimpath -o squall .", e.Path, e.Reason)
}

// checkBinary refuses a program that could not start in an image that holds nothing else: one for
// another system, for another processor, or one that wants a dynamic linker.
func checkBinary(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return &BinaryError{path, fmt.Sprintf("not a Linux program (%v)", err)}
	}
	defer func() { _ = file.Close() }() // only read
	if file.Type != elf.ET_EXEC && file.Type != elf.ET_DYN {
		return &BinaryError{path, fmt.Sprintf("not a program: ELF type %s", file.Type)}
	}
	if file.OSABI != elf.ELFOSABI_NONE && file.OSABI != elf.ELFOSABI_LINUX {
		return &BinaryError{path, fmt.Sprintf("made for %s, want Linux", file.OSABI)}
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if want, known := machines[runtime.GOARCH]; known && file.Machine != want {
		return &BinaryError{path, fmt.Sprintf("made for %s, want %s", file.Machine, want)}
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return &BinaryError{path, "dynamically linked (it has an interpreter segment)"}
		}
	}
	return nil
}
