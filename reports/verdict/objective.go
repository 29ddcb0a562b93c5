package verdict

// Objective is one sentence of the `objectives:` block, such as `p99(calculate) <= 300ms before`.
type Objective struct {
	Text   string  `json:"text"`
	Metric string  `json:"metric"` // p50, p90, p99, p999, max, throughput, error_ratio, failed, rto, outage, lost_writes, ...
	Of     string  `json:"of"`     // the class, or read/write for rto; empty where the metric takes none
	Op     string  `json:"op"`     // <=, <, >=, >, ==
	Bound  float64 `json:"bound"`  // in Unit
	Unit   string  `json:"unit"`   // ms, s, /s, ratio, or empty for a count
	Phase  string  `json:"phase"`  // before, peak, "during <fault>", after, all
}
