package reports

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// ThisEnvironment describes the machine it runs on, and the squall that judges. What cannot be
// read stays empty. Docker and Images are the caller's to fill in.
func ThisEnvironment(squallVersion string) Environment {
	return Environment{
		Cores: runtime.NumCPU(), MemoryBytes: memoryBytes(), Kernel: kernel(),
		SquallVersion: squallVersion, Images: map[string]string{},
	}
}

// kernel is the release of the running Linux kernel.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// memoryBytes is the machine's memory, from the first line of /proc/meminfo, in kB.
func memoryBytes() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			kB, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kB << 10
		}
	}
	return 0
}
