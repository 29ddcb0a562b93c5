package scenarios

import (
	"maps"
	"squall/chaos"
)

// field is what the schema says about one field of a scenario file.
type field struct {
	text     string
	enum     []string // the values that are known; nil: any
	keys     []string // of a mapping: the keys that are known
	required bool
}

// fieldTable holds the words for every field, by its path; [] stands for any index and {} for any
// key. A test holds it against the Go types, both ways.
func fieldTable() map[string]field {
	table := map[string]field{
		"name":       {text: "The base name of the file.", required: true},
		"seed":       {text: "Repeats the plan of a run; absent or 0: a new one is drawn for each run."},
		"target":     {text: "Which system is started, and how large. Every field has a default."},
		"load":       {text: "The load: how much, when, of what.", required: true},
		"faults":     {text: "What is broken on purpose, and when. Absent: nothing."},
		"faults[]":   {text: "One fault."},
		"objectives": {text: "What must hold. A run without objectives could prove nothing.", required: true},
		"objectives[]": {text: "One objective: metric(class) comparison bound [phase]. Phases: before, " +
			"at peak, during <fault>, after, outside faults, throughout."},
	}
	for _, more := range []map[string]field{targetFields(), loadFields(), faultFields()} {
		maps.Copy(table, more)
	}
	return table
}

func targetFields() map[string]field {
	return map[string]field{
		"target.topology":        {text: "The system.", enum: []string{"microservices"}},
		"target.failover":        {text: "Patroni's timers: stock is supported upstream (ttl 20 s), lab is faster (ttl 5 s, the default).", enum: []string{"stock", "lab"}},
		"target.replication":     {text: "quorum: an acknowledged write survives the loss of any one node (the default). async: it need not.", enum: []string{"quorum", "async"}},
		"target.health_checks":   {text: "Whether the balancer checks and ejects engines. Default on.", enum: []string{"on", "off"}},
		"target.nodes":           {text: "Count and limits by role. A role that is absent keeps its defaults.", keys: nodeRoles()},
		"target.nodes.{}":        {text: "The nodes of one role."},
		"target.nodes.{}.count":  {text: "How many containers; absent: the default of the role."},
		"target.nodes.{}.cpu":    {text: "Cores for each, such as 0.5; absent: no limit."},
		"target.nodes.{}.memory": {text: "Memory for each, such as 256MiB; absent: no limit."},
		"target.ready_within":    {text: "How long the system may take until every node is healthy. Default 2m."},
	}
}

func loadFields() map[string]field {
	return map[string]field{
		"load.profile":              {text: "The rate of all classes together over time.", required: true},
		"load.profile.kind":         {text: "The shape of the rate over time.", enum: profileKinds(), required: true},
		"load.profile.for":          {text: "Length of the load.", required: true},
		"load.profile.rate":         {text: "steady: the rate; ramp: where it starts; spike: the base."},
		"load.profile.to":           {text: "ramp: where it ends; spike: the top."},
		"load.profile.steps":        {text: "Levels played one after the other (kind steps); their lengths add up to `for`."},
		"load.profile.steps[]":      {text: "One level."},
		"load.profile.steps[].rate": {text: "The rate of this level.", required: true},
		"load.profile.steps[].for":  {text: "Length of this level.", required: true},
		"load.profile.peak":         {text: "quarterly-peak: the highest rate of the window."},
		"load.profile.start":        {text: "quarterly-peak: the calendar instant of second zero."},
		"load.profile.deadline":     {text: "quarterly-peak: the calendar instant of the filing deadline."},
		"load.profile.compress":     {text: "quarterly-peak: how much calendar fits into how much run."},
		"load.arrivals":             {text: "poisson (the default): independent users; even: a metronome.", enum: []string{"poisson", "even"}},
		"load.mix":                  {text: "The request classes and their weights.", required: true},
		"load.mix[]":                {text: "One request class."},
		"load.mix[].class":          {text: "How objectives and reports call it.", required: true},
		"load.mix[].weight":         {text: "Its share of the load, relative to the other weights.", required: true},
		"load.mix[].request":        {text: "One of EcoTrack's generated requests; absent: the same as class.", enum: requestNames()},
		"load.mix[].method":         {text: "HTTP method of a fixed request, for any other system."},
		"load.mix[].path":           {text: "Path of a fixed request; excludes `request`."},
		"load.mix[].body":           {text: "Body of a fixed request."},
		"load.warm_up":              {text: "Cut off the start of the recording before phases are judged."},
		"load.timeout":              {text: "Of one request, from its send. Default 5s."},
		"load.max_in_flight":        {text: "Bound on requests in flight per class. Default 256."},
		"load.max_lag":              {text: "A request later than this is not sent and counts as bad. Default 1s."},
		"load.probe":                {text: "The prober, which measures outages apart from the load."},
		"load.probe.every":          {text: "Between two probes of a series; the resolution of every outage figure. Default 200ms."},
		"load.probe.timeout":        {text: "Of one probe. Default 1s."},
	}
}

func faultFields() map[string]field {
	table := map[string]field{
		"faults[].name":   {text: "How objectives call it: during <name>.", required: true},
		"faults[].kind":   {text: "What is done.", enum: chaos.Kinds(), required: true},
		"faults[].at":     {text: "When, since the start of the load.", required: true},
		"faults[].for":    {text: "How long it is kept up.", required: true},
		"faults[].select": {text: "Which nodes are hit; resolved at injection.", required: true},
		"faults[].settle": {text: "How long after its end the fault's phase lasts. Default 5s."},
		"faults[].peer":   {text: "Network faults: only packets from these nodes; absent: from every peer."},
		"faults[].delay":  {text: "latency: one way, added to each packet."},
		"faults[].jitter": {text: "latency: uniform, plus or minus."},
		"faults[].loss":   {text: "Share of packets dropped."},
	}
	for _, selector := range []string{"faults[].select", "faults[].peer"} {
		table[selector+".role"] = field{text: "By role; primary and standby are resolved at injection.", enum: selectorRoles()}
		table[selector+".zone"] = field{text: "By zone.", enum: []string{"a", "b", "c"}}
		table[selector+".name"] = field{text: "By name, such as engine-2."}
		table[selector+".mode"] = field{text: "How many of the matches. Default one.", enum: []string{"one", "all", "fixed", "percent"}}
		table[selector+".value"] = field{text: "fixed: how many; percent: 1 to 100."}
	}
	return table
}

func profileKinds() []string { return []string{"steady", "ramp", "steps", "spike", "quarterly-peak"} }

func requestNames() []string {
	return []string{"calculate", "batch", "estimate", "read", "factors", "import", "inventory"}
}

func nodeRoles() []string {
	return []string{
		"engine", "worker", "reporting", "database", "replica", "balancer",
		"database-balancer", "consensus", "queue",
	}
}

func selectorRoles() []string { return append(nodeRoles(), "primary", "standby") }
