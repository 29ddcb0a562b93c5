package target

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"golang.org/x/sys/unix"
)

// Level says what a Finding means for a run. The zero value is none of them.
type Level int

// The levels of findings.
const (
	LevelOK      Level = iota + 1
	LevelWarn          // a run works, with the restriction that the finding names
	LevelMissing       // no run works
)

// String names the level as the doctor prints it.
func (l Level) String() string {
	switch l {
	case LevelOK:
		return "ok"
	case LevelWarn:
		return "warn"
	case LevelMissing:
		return "MISSING"
	default:
		return "unknown"
	}
}

// Finding is one line of what this machine can do.
type Finding struct {
	Name  string
	Level Level
	Text  string
}

// Limits below which a run does not work, or not well. The whole target takes about 0.6 GiB of
// memory and its images 1.2 GB of disk with the builder's cache.
const (
	leastMemory = 1 << 30
	goodMemory  = 3 << 30
	leastDisk   = 2 << 30
	goodDisk    = 5 << 30
	goodFiles   = 4096 // sockets of the load generator, and some
)

// Examine says what this machine can do: Docker, kernel, images, limits. It changes nothing, and
// asks a registry only through the daemon.
func Examine(ctx context.Context) []Finding {
	findings := examineHost()
	docker, err := connect(ctx)
	if err != nil {
		return append(findings, Finding{"docker", LevelMissing, err.Error()})
	}
	defer docker.Close()
	version, err := docker.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return append(findings, Finding{"docker", LevelMissing, err.Error()})
	}
	findings = append(findings, Finding{
		"docker", LevelOK,
		fmt.Sprintf("%s, API %s (want %s)", version.Version, version.APIVersion, minimumAPI),
	})
	info, err := docker.Client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return append(findings, Finding{"docker info", LevelMissing, err.Error()})
	}
	findings = append(findings, examineDaemon(info.Info)...)
	findings = append(findings, examineKernel(readKernelConfig(info.Info.KernelVersion))...)
	return append(findings, examineImages(ctx, docker)...)
}

// examineHost looks at what the harness itself needs.
func examineHost() []Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return []Finding{{"open files", LevelWarn, err.Error()}}
	}
	f := Finding{"open files", LevelOK, strconv.FormatUint(limit.Cur, 10)}
	if limit.Cur < goodFiles {
		f.Level = LevelWarn
		f.Text += fmt.Sprintf("; raise it for high rates: ulimit -n %d", goodFiles)
	}
	return []Finding{f}
}

// examineDaemon reads what the daemon says of its machine.
func examineDaemon(info system.Info) []Finding {
	memory := graded("memory", uint64(max(0, info.MemTotal)), leastMemory, goodMemory)
	cores := Finding{"cores", LevelOK, strconv.Itoa(info.NCPU)}
	if info.NCPU < 2 {
		cores = Finding{
			"cores", LevelWarn,
			fmt.Sprintf("%d; load and target share it, expect invalid runs", info.NCPU),
		}
	}
	findings := []Finding{
		{"kernel", LevelOK, info.KernelVersion + ", " + info.OperatingSystem},
		cores, memory,
		{"storage driver", LevelOK, info.Driver},
		{"cgroup version", LevelOK, info.CgroupVersion},
	}
	if info.OSType != "linux" {
		findings = append(findings, Finding{
			"containers", LevelMissing,
			"the daemon runs " + info.OSType + " containers, want linux",
		})
	}
	free, err := freeDisk(info.DockerRootDir)
	if err != nil {
		return append(findings, Finding{
			"free disk", LevelWarn,
			"cannot look at " + info.DockerRootDir + ": " + err.Error(),
		})
	}
	return append(findings, graded("free disk", free, leastDisk, goodDisk))
}

// graded compares an amount of bytes with what is needed and what is good.
func graded(name string, have, least, good uint64) Finding {
	text := fmt.Sprintf("%.1f GiB", float64(have)/(1<<30))
	switch {
	case have < least:
		return Finding{
			name, LevelMissing,
			fmt.Sprintf("%s, want at least %.1f GiB", text, float64(least)/(1<<30)),
		}
	case have < good:
		return Finding{name, LevelWarn, fmt.Sprintf("%s, better %.1f GiB", text, float64(good)/(1<<30))}
	}
	return Finding{name, LevelOK, text}
}

// examineKernel says which network faults the kernel can do. A nil config means that none was found.
func examineKernel(config map[string]bool) []Finding {
	if config == nil {
		return []Finding{{
			"network faults", LevelWarn,
			"no kernel configuration to read; each fault proves its own effect, or is inconclusive",
		}}
	}
	say := func(name string, works bool, yes, no string) Finding {
		if works {
			return Finding{name, LevelOK, yes}
		}
		return Finding{name, LevelWarn, no}
	}
	netem := say("netem", config["NET_SCH_NETEM"], "available", "absent; delays are made with NFQUEUE instead")
	if config["NF_TABLES"] {
		netem.Level = LevelOK // nothing is lost without it
	}
	return []Finding{
		say("nftables", config["NF_TABLES"], "available: partition, loss", "absent; no network faults"),
		say("nfqueue", config["NFT_QUEUE"] || (config["NFT_COMPAT"] && config["NETFILTER_XT_TARGET_NFQUEUE"]),
			"available: delay, jitter", "absent; no delays without netem"),
		netem,
	}
}

// readKernelConfig returns the options that are built in or modules, nil when none can be read.
func readKernelConfig(release string) map[string]bool {
	if packed, err := os.ReadFile("/proc/config.gz"); err == nil {
		if text, err := gzip.NewReader(bytes.NewReader(packed)); err == nil {
			if options := parseKernelConfig(text); options != nil {
				return options
			}
		}
	}
	if text, err := os.ReadFile("/boot/config-" + release); err == nil {
		return parseKernelConfig(bytes.NewReader(text))
	}
	return nil
}

// parseKernelConfig returns nil for a text that cannot be read to its end: half of it would call absent what is there.
func parseKernelConfig(r io.Reader) map[string]bool {
	options := make(map[string]bool)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), "=")
		if name, isOption := strings.CutPrefix(name, "CONFIG_"); found && isOption {
			options[name] = value == "y" || value == "m"
		}
	}
	if lines.Err() != nil {
		return nil
	}
	return options
}

// examineImages says which images are there, and whether the missing ones can be made.
func examineImages(ctx context.Context, docker *testcontainers.DockerClient) []Finding {
	b := &imageBuilder{docker: docker.Client}
	self, err := os.Executable()
	if err != nil {
		return []Finding{{"images", LevelMissing, err.Error()}}
	}
	program := Finding{"this program", LevelOK, "static " + runtime.GOOS + "/" + runtime.GOARCH}
	if err := checkBinary(self); err != nil {
		program = Finding{"this program", LevelMissing, err.Error()}
	}
	findings := []Finding{program}
	var wantGo, wantBase bool
	for _, r := range allRecipes(self) {
		name := "image " + r.name
		sum, err := r.inputs()
		if err != nil {
			findings = append(findings, Finding{name, LevelMissing, err.Error()})
			continue
		}
		present, err := b.present(ctx, "squall/"+r.name+":"+sum)
		switch {
		case err != nil:
			findings = append(findings, Finding{name, LevelMissing, err.Error()})
		case present:
			findings = append(findings, Finding{name, LevelOK, "squall/" + r.name + ":" + sum})
		default:
			wantGo, wantBase = wantGo || r.source != "", wantBase || r.base
			findings = append(findings, Finding{name, LevelOK, "not built yet; the first run builds it: " + r.what})
		}
	}
	return append(findings, examineBuilding(ctx, b, wantGo, wantBase)...)
}

// examineBuilding says whether what is missing can be built.
func examineBuilding(ctx context.Context, b *imageBuilder, wantGo, wantBase bool) []Finding {
	registry := Finding{"registry", LevelOK, "reachable"}
	if err := askRegistry(ctx, b.docker); err != nil {
		registry.Text = "not reachable; the base image is made from Debian's package mirror"
	}
	reachable := registry.Text == "reachable"
	findings := []Finding{registry}
	need := func(tool, install string, wanted bool) {
		path, err := exec.LookPath(tool)
		switch {
		case err == nil:
			findings = append(findings, Finding{tool, LevelOK, path})
		case wanted:
			findings = append(findings, Finding{tool, LevelMissing, "needed to build the images: " + install})
		default:
			findings = append(findings, Finding{tool, LevelOK, "absent, not needed now"})
		}
	}
	base, err := b.present(ctx, baseImage)
	if err != nil {
		findings = append(findings, Finding{"image base", LevelMissing, err.Error()})
	}
	need("go", "install Go 1.26 or newer", wantGo)
	need("mmdebstrap", "apt-get install mmdebstrap", wantBase && !base && !reachable)
	return findings
}

// askRegistry has the daemon look up the base image, with no download.
func askRegistry(ctx context.Context, docker *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	_, err := docker.DistributionInspect(ctx, baseImage, client.DistributionInspectOptions{})
	return errors.Join(err, ctx.Err())
}
