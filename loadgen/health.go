package loadgen

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// When the generator is to blame. The reference note (loadgen, 4.8) sets tighter limits for a quiet
// host with cores of its own; these hold on two cores shared with the target, where a lag below
// 100 ms is the host's ordinary noise and changes no verdict here.
const (
	badSecondShare = 0.05 // of the seconds may be bad
	badSecondsMin  = 3    // and fewer than this never invalidate: one hiccup is no trend
	lateShare      = 0.01 // more late requests than this put the second's p99 above lateLimit
	offeredShare   = 0.99 // of the planned requests must have been offered
	highCPU        = 0.8  // k6's advice; a warning, since the lag says whether it mattered
)

// monitor watches the generator's own process, once a second.
type monitor struct {
	log   *slog.Logger
	cores float64

	mu       sync.Mutex
	cpuMax   float64
	cpuTotal time.Duration
	elapsed  time.Duration
	schedMax time.Duration
	stalls   []Stall // at most one a second
	problems []string
}

func newMonitor(log *slog.Logger) *monitor {
	return &monitor{log: log, cores: usableCores()}
}

// run samples until ctx ends.
func (m *monitor) run(ctx context.Context, start time.Time) {
	if !waitFor(ctx, start) {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	cpu, at := m.processCPU(), time.Now()
	waits, host := schedulerWaits(), hostTicks()
	for {
		ended := false
		select {
		case <-ctx.Done():
			ended = true
		case <-ticker.C:
		}
		nowCPU, now, nowWaits, nowHost := m.processCPU(), time.Now(), schedulerWaits(), hostTicks()
		m.sample(nowCPU-cpu, now.Sub(at), waitP99(waits, nowWaits))
		m.noteStall(Stall{
			At: at.Sub(start), For: now.Sub(at), Steal: nowHost.stolenSince(host), SchedP99: waitP99(waits, nowWaits),
		})
		cpu, at, waits, host = nowCPU, now, nowWaits, nowHost
		if ended {
			return
		}
	}
}

func (m *monitor) sample(cpu, elapsed, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpuTotal += cpu
	m.elapsed += elapsed
	m.schedMax = max(m.schedMax, wait)
	if elapsed >= time.Second/2 { // a sliver at the end says nothing about a second
		m.cpuMax = max(m.cpuMax, cpu.Seconds()/elapsed.Seconds()/m.cores)
	}
}

// processCPU is the user and system time of this process. An unreadable /proc is noted once.
func (m *monitor) processCPU() time.Duration {
	data, err := os.ReadFile("/proc/self/stat")
	if err == nil {
		var cpu time.Duration
		if cpu, err = parseStat(string(data)); err == nil {
			return cpu
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.problems) == 0 {
		m.problems = append(m.problems, "own CPU not measured: "+err.Error())
	}
	return 0
}

// parseStat reads utime and stime, fields 14 and 15 of /proc/self/stat (proc(5)), in ticks of
// USER_HZ, which is 100 on every Linux architecture that Go runs on.
func parseStat(stat string) (time.Duration, error) {
	name := strings.LastIndexByte(stat, ')') // the name may itself hold spaces and brackets
	fields := strings.Fields(stat[name+1:])
	if name < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("process status: want at least 15 fields, got %q", stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("process status: want ticks, got %q and %q", fields[11], fields[12])
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// usableCores is the cgroup's CPU quota where there is one, else the cores of the host.
func usableCores() float64 {
	cores := float64(runtime.NumCPU())
	data, err := os.ReadFile("/sys/fs/cgroup/cpu.max") // cgroup v2 from inside a container
	if err != nil {
		return cores
	}
	var quota, period float64
	if n, err := fmt.Sscanf(string(data), "%g %g", &quota, &period); n != 2 || err != nil || period <= 0 {
		return cores // "max 100000": no quota
	}
	return min(cores, quota/period)
}

// schedulerWaits is the runtime's histogram of how long ready goroutines waited for a core.
func schedulerWaits() *runtimemetrics.Float64Histogram {
	s := []runtimemetrics.Sample{{Name: "/sched/latencies:seconds"}}
	runtimemetrics.Read(s)
	if s[0].Value.Kind() != runtimemetrics.KindFloat64Histogram {
		return &runtimemetrics.Float64Histogram{}
	}
	h := s[0].Value.Float64Histogram()
	return &runtimemetrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
}

// waitP99 is the 99th percentile of the waits between two readings: the lower edge of its bucket.
func waitP99(before, after *runtimemetrics.Float64Histogram) time.Duration {
	if len(before.Counts) != len(after.Counts) {
		return 0
	}
	var total, seen uint64
	for i := range after.Counts {
		total += after.Counts[i] - before.Counts[i]
	}
	for i := range after.Counts {
		seen += after.Counts[i] - before.Counts[i]
		if total > 0 && float64(seen) >= 0.99*float64(total) {
			if edge := after.Buckets[i]; !math.IsInf(edge, 0) {
				return time.Duration(edge * float64(time.Second))
			}
			return 0
		}
	}
	return 0
}

// health judges the generator over length seconds. All goroutines must have ended.
func (l *load) health(length int) Health {
	h := Health{
		Cores: l.monitor.cores, CPUMax: l.monitor.cpuMax, SchedP99Max: l.monitor.schedMax,
		ProbeGapMax: l.prober.gapMax, ProbeGaps: l.prober.sortedGaps(),
		Stalls: l.monitor.stalls, Warnings: slices.Clone(l.monitor.problems),
	}
	if s := l.monitor.elapsed.Seconds(); s > 0 {
		h.CPU = l.monitor.cpuTotal.Seconds() / s / l.monitor.cores
	}
	own := make([]ownLag, length)
	var lag Histogram
	var planned uint64
	for _, c := range l.classes {
		for at := range min(length, len(c.recorder.own)) {
			own[at].add(c.recorder.own[at])
		}
		lag.Merge(c.recorder.ownLag.pour())
		planned += c.recorder.total.Planned
		h.Descriptors += c.recorder.total.Errors["descriptors"]
		h.Ports += c.recorder.total.Errors["ports"]
	}
	for _, p := range l.prober.probes {
		switch p.Error {
		case "descriptors":
			h.Descriptors++
		case "ports":
			h.Ports++
		}
	}
	h.LagP99 = lag.Quantile(0.99)
	h.judge(own, planned, l.prober.sched.spec.Probe.Every)
	return h
}

func (o *ownLag) add(p ownLag) {
	o.sent += p.sent
	o.late += p.late
	o.starved += p.starved
}

// bad says whether the generator was late in this second: lag p99 above lateLimit while a worker
// was free, counting what was never sent as late.
func (o ownLag) bad() bool {
	return float64(o.late+o.starved) > lateShare*float64(o.sent+o.starved)
}

// judge decides whether the run can be trusted. own is by second, all classes together.
func (h *Health) judge(own []ownLag, planned uint64, probeEvery time.Duration) {
	h.BadSeconds = []int{}
	for at, o := range own {
		h.Starved += o.starved
		if o.bad() {
			h.BadSeconds = append(h.BadSeconds, at)
		}
	}
	if n := len(h.BadSeconds); n >= badSecondsMin && float64(n) > badSecondShare*float64(len(own)) {
		h.Reasons = append(h.Reasons, fmt.Sprintf(
			"generator late: lag p99 above %v with a worker free in %d of %d seconds (first: second %d; "+
				"own CPU %.0f %%, wait for a core p99 up to %v): lower the rate, or give the generator "+
				"cores of its own", lateLimit, n, len(own), h.BadSeconds[0], 100*h.CPU, h.SchedP99Max))
	}
	if float64(h.Starved) > (1-offeredShare)*float64(planned) {
		h.Reasons = append(h.Reasons, fmt.Sprintf(
			"generator starved: %d of %d planned requests never sent although a worker was free: lower "+
				"the rate, or give the generator cores of its own", h.Starved, planned))
	}
	if h.Descriptors > 0 {
		h.Reasons = append(h.Reasons, fmt.Sprintf(
			"out of file descriptors: %d requests: raise the limit (ulimit -n) or lower max_in_flight",
			h.Descriptors))
	}
	if h.Ports > 0 {
		h.Reasons = append(h.Reasons, fmt.Sprintf(
			"out of local ports or socket buffers: %d requests: widen net.ipv4.ip_local_port_range or "+
				"lower the rate of new connections", h.Ports))
	}
	if h.CPUMax > highCPU {
		h.Warnings = append(h.Warnings, fmt.Sprintf(
			"own CPU up to %.0f %% of %.3g cores in one second", 100*h.CPUMax, h.Cores))
	}
	if limit := 5 * probeEvery; h.ProbeGapMax > limit {
		h.Warnings = append(h.Warnings, fmt.Sprintf(
			"prober gap of %v with a probe due every %v: outage figures are that much less precise",
			h.ProbeGapMax.Round(time.Millisecond), probeEvery))
	}
	h.Valid = len(h.Reasons) == 0
}
