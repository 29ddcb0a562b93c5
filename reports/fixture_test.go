package reports

import (
	"fmt"
	"math"
	"math/rand/v2"
	"squall/chaos"
	"squall/loadgen"
	"squall/reports/verdict"
	"time"
)

// fixtureClasses are the classes of the fixture with their share and typical response time.
var fixtureClasses = []struct {
	name  string
	share float64
	ms    float64
	units uint64
}{{"calculate", 0.6, 22, 1}, {"batch", 0.1, 95, 25}, {"read", 0.2, 6, 1}, {"inventory", 0.1, 48, 1}}

// fixtureRun is a run of length seconds: a ramp to 80/s, an engine killed, latency, and a primary
// killed, scaled to the length. Nothing in it depends on the clock.
func fixtureRun(length int) Run {
	random := rand.New(rand.NewPCG(7, uint64(length)))
	at := func(share float64) time.Duration {
		return time.Duration(share * float64(length) * 1e9).Round(time.Millisecond)
	}
	outage := [2]float64{0.66 * float64(length), 0.66*float64(length) + 4.4}
	recording := fixtureRecording(random, length, outage)
	run := Run{
		Scenario: "primary-loss-at-peak", Question: "Does EcoTrack keep every acknowledged write when its primary dies at the quarter-end peak?",
		ScenarioYAML: "# Does EcoTrack keep every acknowledged write?\nload:\n  profile: {kind: ramp, for: 150s}\n",
		Seed:         20260331, StartedAt: time.Date(2026, 3, 31, 21, 30, 5, 0, time.UTC),
		Duration: time.Duration(length)*time.Second + 41*time.Second + 250*time.Millisecond,
		Command:  "squall run primary-loss-at-peak --seed 20260331", Recording: recording,
		Environment: Environment{2, 8 << 30, "6.12.48-amd64", "28.5.1", "0.4.0", map[string]string{
			"squall/ecotrack:dev": "sha256:5b1e", "squall/postgres:17": "sha256:90aa",
		}},
		Nodes:  []Node{{"engine-1", "engine", "a", "squall/ecotrack:dev"}, {"db-1", "database", "a", "squall/postgres:17"}},
		Events: []Event{{-3 * time.Second, "info", "target healthy: 14 nodes"}, {at(0.66), "warn", "db-1: primary killed"}},
		Injections: []chaos.Injection{
			{
				Fault: "engine-crash", Kind: "kill", Targets: []string{"engine-2"}, Requested: at(0.2),
				Effective: at(0.2) + 31*time.Millisecond, Ended: at(0.28), Settle: 5 * time.Second, Felt: true, Undone: true,
				Effect:     chaos.Effect{Summary: "engine-2 died with exit code 137", Measured: map[string]float64{"exit_code": 137}},
				Resolution: 2100 * time.Millisecond,
			},
			{
				Fault: "slow-replication", Kind: "latency", Targets: []string{"db-2", "db-3"}, Requested: at(0.26),
				Effective: at(0.26) + 120*time.Millisecond, Ended: at(0.46), Settle: 5 * time.Second, Felt: true, Undone: true,
				Effect: chaos.Effect{
					Summary: "packets from db-1 delayed by 20.4 ms (median)", Asked: map[string]float64{"delay_ms": 20, "jitter_ms": 5},
					Measured: map[string]float64{"delay_ms_p50": 20.4, "delay_ms_p99": 26.13, "packets": 18230},
				},
				Resolution: 300 * time.Millisecond,
			},
			{
				Fault: "primary-killed", Kind: "kill", Targets: []string{"db-1"}, Requested: at(0.66),
				Effective: at(0.66) + 44*time.Millisecond, Ended: at(0.8), Settle: 5 * time.Second, Felt: true, Undone: true,
				Effect: chaos.Effect{
					Summary: "db-1 (primary) died; db-3 was promoted on timeline 2", Measured: map[string]float64{"exit_code": 137, "primary_changed": 1},
					Details: map[string]string{"old_primary": "db-1", "new_primary": "db-3"},
				},
				Resolution: 9700 * time.Millisecond,
			},
		},
		Changes: []verdict.Change{
			{At: 90200 * time.Millisecond, Since: 89100 * time.Millisecond, What: verdict.ChangeEjected, Node: "engine-3", Text: "engine-3 was ejected by the balancer"},
		},
		Ledger: []verdict.NodeLedger{{Node: "db-3", Role: "primary", Complete: true, Rows: []verdict.LedgerRow{{Key: "k-1", ID: "1", Hash: "ab", Value: "1305.275"}}}},
	}
	for s := range length {
		run.Planned = append(run.Planned, verdict.PlannedSecond{At: s, Rate: fixtureRate(s, length)})
	}
	run.Verdict = fixtureVerdict(float64(length))
	for _, r := range run.Verdict.Objectives {
		run.Objectives = append(run.Objectives, verdict.Objective{Text: r.Text, Op: "<=", Bound: r.Bound, Unit: r.Unit, Phase: r.Phase})
	}
	for i, m := range [][3]string{
		{"p99", "calculate", "<="},
		{"p99", "calculate", "<="},
		{"p99", "read", "<="},
		{"throughput", "calculate", ">="},
		{"error_ratio", "", "<="},
		{"rto", "write", "<="},
		{"rto", "read", "<="},
		{"lost_writes", "", "=="},
		{"p999", "batch", "<="},
	} {
		run.Objectives[i].Metric, run.Objectives[i].Of, run.Objectives[i].Op = m[0], m[1], m[2]
	}
	return run
}

// fixtureRate is lower in a long run, so that the tests of an hour stay quick.
func fixtureRate(s, length int) float64 {
	rate := 20 + 60*min(float64(s)/(0.4*float64(length)), 1)
	if length > 1000 {
		rate /= 8
	}
	return rate
}

func fixtureRecording(random *rand.Rand, length int, outage [2]float64) *loadgen.Recording {
	rec := &loadgen.Recording{
		Start: time.Date(2026, 3, 31, 21, 30, 30, 0, time.UTC), Duration: time.Duration(length)*time.Second + 640*time.Millisecond,
		WarmUp: time.Duration(min(10, length/2)) * time.Second, ProbeEvery: 200 * time.Millisecond,
		Health: loadgen.Health{Valid: true, LagP99: 3140 * time.Microsecond, CPU: 0.214, ProbeGapMax: 212 * time.Millisecond},
		Writes: []loadgen.Write{{Key: "k-1", Class: "calculate", State: loadgen.WriteAcknowledged, ID: "1", Hash: "ab", Value: "1305.275", Expected: "1305.275"}},
	}
	for _, c := range fixtureClasses {
		total := loadgen.ClassTotal{Name: c.name}
		for s := range length {
			second := fixtureSecond(random, s, c.name, fixtureRate(s, length)*c.share, c.ms, outage)
			second.Units = second.OK * c.units
			total.Counts = sum(total.Counts, second.Counts)
			total.Attempts += second.Sent
			total.Response.Merge(second.Response)
			rec.Seconds = append(rec.Seconds, second)
		}
		rec.Classes = append(rec.Classes, total)
	}
	for _, series := range []string{"read-fresh", "read-pooled", "write-fresh", "write-pooled"} {
		for due := time.Duration(0); due < time.Duration(length)*time.Second; due += rec.ProbeEvery {
			write := series[0] == 'w'
			s := due.Seconds()
			down := s >= outage[0] && s < outage[1] && (write || s < outage[0]+0.8)
			p := loadgen.Probe{Series: series, Due: due, Done: due + 8*time.Millisecond, OK: !down}
			if down {
				p.Done, p.Error = due+time.Second, "timeout"
			}
			rec.Probes = append(rec.Probes, p)
		}
	}
	return rec
}

// fixtureSecond is one class in one second: log-normal response times, slower under the faults, and
// hardly an answer in the outage.
func fixtureSecond(random *rand.Rand, s int, class string, rate, ms float64, outage [2]float64) loadgen.Second {
	second := loadgen.Second{At: s, Class: class}
	n := int(rate + random.Float64())
	second.Planned = uint64(n)
	down := float64(s)+1 > outage[0] && float64(s) < outage[1] && class != "read"
	for range n {
		draw := random.Float64()
		if down && draw < 0.1 {
			second.Unsent++
			continue
		}
		second.Sent++
		latency := ms * math.Exp(0.35*random.NormFloat64())
		if float64(s) > 0.26*outage[0]/0.66 && float64(s) < 0.46*outage[0]/0.66 && class != "read" {
			latency += 41
		}
		switch {
		case down && draw < 0.5:
			second.Timeout++
			latency = 5000
		case down && draw < 0.8:
			second.Rejected++
			continue
		case down && draw < 0.9:
			second.Transport++
			continue
		case draw < 0.001 || down:
			second.HTTPError++
			continue
		default:
			second.OK++
		}
		second.Response.Record(time.Duration(latency * float64(time.Millisecond)))
	}
	return second
}

func fixtureVerdict(length float64) verdict.Verdict {
	number := func(v float64) *float64 { return &v }
	v := verdict.Verdict{
		Outcome: verdict.Missed, ExitCode: 1,
		Reasons: []string{"rto(write) <= 4s during primary-killed: 4.4 s, bound 4 s", "p999(batch) <= 400ms after: 212 samples cannot prove a 99.9th percentile"},
		Failover: []verdict.Failover{
			{Injection: "engine-crash", RTOWrite: number(0), RTORead: number(0), Outage: number(0.31), Resolution: number(14.1), Precision: 0.2},
			{Injection: "slow-replication", RTOWrite: number(0), RTORead: number(0), Outage: number(0.22), Precision: 0.2},
			{Injection: "primary-killed", Detection: number(0.156), RTOWrite: number(4.4), RTORead: number(0.8), Outage: number(4.519), Resolution: number(30.7), Precision: 0.2},
		},
		Audit: verdict.Audit{
			Acknowledged: 6420, Unknown: 121, Refused: 96, Recovered: 37, CheckedNodes: []string{"db-3", "db-2", "db-1"}, Complete: true,
			Examples: []string{"key 00a1: unknown to the client (timeout at 99.2 s), found once"},
		},
		Unplanned: []verdict.Unplanned{
			{At: 90.2, What: verdict.ChangeEjected, Node: "engine-3", Text: "engine-3 was ejected by the balancer", Why: "no fault was under way, and the host was healthy for 10s before"},
			{At: 140.0004, What: verdict.ChangePrimary, Node: "db-2", Text: "db-2 is primary (timeline 3), it was db-3 (timeline 2)", HostStoodStill: true, Why: "the host stood still: no probe was sent for 2.3 s at 133.1 s"},
		},
		Objectives: []verdict.Result{
			{Text: "p99(calculate) <= 300ms before", Outcome: verdict.Met, Value: number(51.2), Bound: 300, Unit: "ms", Samples: 1043, Phase: "before", Why: "upper bound of p99 at 95 %: 58.1 ms"},
			{Text: "p99(calculate) <= 800ms during slow-replication", Outcome: verdict.Met, Value: number(102.5), Bound: 800, Unit: "ms", Samples: 1190, Phase: "during slow-replication"},
			{Text: "p99(read) <= 50ms after", Outcome: verdict.Met, Value: number(13.9), Bound: 50, Unit: "ms", Samples: 402, Phase: "after"},
			{Text: "throughput(calculate) >= 150000/h peak", Outcome: verdict.Met, Value: number(47.8), Bound: 150000. / 3600, Unit: "/s", Samples: 2410, Phase: "peak"},
			{Text: "error_ratio <= 0.5% before", Outcome: verdict.Met, Value: number(0.00081), Bound: 0.005, Unit: "ratio", Samples: 1738, Phase: "before"},
			{Text: "rto(write) <= 4s during primary-killed", Outcome: verdict.Missed, Value: number(4.4), Bound: 4, Unit: "s", Samples: 36, Phase: "during primary-killed", Why: "22 write probes failed in a row; measured to ± 0.2 s"},
			{Text: "rto(read) <= 2s during primary-killed", Outcome: verdict.Met, Value: number(0.8), Bound: 2, Unit: "s", Samples: 36, Phase: "during primary-killed"},
			{Text: "lost_writes == 0", Outcome: verdict.Met, Value: number(0), Bound: 0, Samples: 6420, Phase: "all"},
			{Text: "p999(batch) <= 400ms after", Outcome: verdict.Inconclusive, Bound: 400, Unit: "ms", Samples: 212, Phase: "after", Why: "212 samples; 2,995 are needed for a 99.9th percentile"},
		},
	}
	for _, p := range []struct {
		name       string
		start, end float64
	}{{"all", 0, 1}, {"before", 0.0667, 0.2}, {"peak", 0.4, 1}, {"during engine-crash", 0.2, 0.313}, {"during slow-replication", 0.26, 0.493}, {"during primary-killed", 0.66, 0.833}, {"after", 0.833, 1}} {
		phase := verdict.Phase{Name: p.name, Start: p.start * length, End: p.end * length, Seconds: int((p.end - p.start) * length), Classes: map[string]verdict.ClassPhase{}}
		for i, c := range fixtureClasses {
			phase.Classes[c.name] = verdict.ClassPhase{
				Planned: uint64(100 * (i + 1)), OK: uint64(99 * (i + 1)), Failed: uint64(i + 1),
				Rate: 40.12345 * c.share, ErrorRatio: 0.01, P50: number(c.ms), P90: number(c.ms * 1.6), P95: number(c.ms * 2),
				P99: number(c.ms * 2.3), P999: number(c.ms * 3), Max: number(c.ms * 4), Mean: number(c.ms * 1.1),
			}
		}
		v.Phases = append(v.Phases, phase)
	}
	return v
}

// manyFaults has more faults than names fit above a chart.
func manyFaults(n int) Run {
	run := fixtureRun(150)
	run.Injections = nil
	for i := range n {
		run.Injections = append(run.Injections, chaos.Injection{
			Fault: fmt.Sprintf("failover-storm-%d", i+1), Kind: "kill", Targets: []string{"db-1"},
			Requested: time.Duration(20+8*i) * time.Second, Effective: time.Duration(20+8*i) * time.Second, Ended: time.Duration(24+8*i) * time.Second, Settle: 2 * time.Second, Felt: true, Undone: true,
		})
	}
	return run
}
