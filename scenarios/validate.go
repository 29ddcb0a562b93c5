package scenarios

import (
	"math"
	"slices"
	"squall/chaos"
	"squall/reports/verdict"
	"squall/target"
	"strconv"
	"strings"
	"time"
)

// validate checks the meaning of a decoded scenario: every block by its own room, then what the
// blocks say about each other.
func (s *Scenario) validate(d *document) {
	s.checkName(d)
	s.Target.Validate(below(d, "target"))
	s.Load.Validate(below(d, "load"))
	chaos.Validate(s.Faults, below(d, "faults"))
	s.checkFaults(d)
	s.checkObjectives(d)
}

// below makes the reporter that a room gets: paths in it are relative to the room's block.
func below(d *document, block string) func(path, format string, args ...any) {
	return func(path, format string, args ...any) { d.bad(join(block, path), format, args...) }
}

func (s *Scenario) checkName(d *document) {
	base := d.file[strings.LastIndexAny(d.file, `/\`)+1:]
	want := strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	if s.Name != want {
		d.bad("name", "want the base name of the file, %s, got %q", want, s.Name)
	}
}

// checkFaults holds the faults against the load and the target: a fault that the load does not
// outlast proves nothing, nor does one whose target is not there.
func (s *Scenario) checkFaults(d *document) {
	length := s.Load.Profile.For
	for i, f := range s.Faults {
		at := index("faults", i)
		end := f.At + f.For + f.Settle
		timed := !d.wrong(at+".at") && !d.wrong(at+".for") && !d.wrong(at+".settle")
		if timed && !d.wrong("load.profile.for") && end > length {
			d.bad(at+".at", "want the fault and its settling to end before the load does, at %s; "+
				"got %s + %s + %s = %s", short(length), short(f.At), short(f.For), short(f.Settle), short(end))
		}
		s.checkSelector(d, at+".select", f.Select)
		if f.Peer != nil {
			s.checkSelector(d, at+".peer", *f.Peer)
		}
	}
}

// checkSelector reports a role of which the target starts no node, a name that none of its nodes will
// have, and more nodes than there are.
func (s *Scenario) checkSelector(d *document, at string, sel target.Selector) {
	role := sel.Role
	if role == target.RolePrimary || role == target.RoleStandby {
		role = target.RoleDatabase
	}
	if !slices.Contains(nodeRoles(), string(role)) && role != "" || d.wrong("target.nodes") {
		return // reported by the fault's own check, or not known here
	}
	count := s.Target.Nodes[role].Count
	switch {
	case role != "" && count == 0:
		d.bad(at+".role", "the target starts no node of role %q", role)
	case role != "" && sel.Mode == "fixed" && sel.Value > count:
		d.bad(at+".value", "want at most %d, the nodes of role %s; got %d", count, role, sel.Value)
	}
	if names := s.nodeNames(role); sel.Name != "" && !slices.Contains(names, sel.Name) {
		d.bad(at+".name", "want one of %s, got %q", strings.Join(names, ", "), sel.Name)
	}
}

// nodeNames are the names that the target's nodes of a role will have, such as engine-2; of every
// role for the empty one.
func (s *Scenario) nodeNames(of target.Role) []string {
	var names []string
	for _, role := range nodeRoles() {
		for i := range s.Target.Nodes[target.Role(role)].Count {
			if of == "" || of == target.Role(role) {
				names = append(names, role+"-"+strconv.Itoa(i+1))
			}
		}
	}
	return names
}

// checkObjectives holds the objectives against the classes and faults that they name.
func (s *Scenario) checkObjectives(d *document) {
	if len(s.Objectives) == 0 {
		d.bad("objectives", "want at least one objective, such as lost_writes == 0; got none")
	}
	setting := s.setting(d)
	for i, o := range s.Objectives {
		at := index("objectives", i)
		if err := o.Check(setting); err != nil {
			for _, e := range apart(err) {
				d.bad(at, "%s", strings.TrimPrefix(e.Error(), "objective "))
			}
		}
		same := func(earlier verdict.Objective) bool { return o.Metric != "" && o.Repeats(earlier, setting) }
		if earlier := slices.IndexFunc(s.Objectives[:i], same); earlier >= 0 {
			d.bad(at, "%q judges the same as %s, %q", o.Text, index("objectives", earlier), s.Objectives[earlier].Text)
		}
	}
}

// setting is what the objectives are held against. What could not be read is no reason for a second mistake.
func (s *Scenario) setting(d *document) verdict.Setting {
	load := s.Load.WithDefaults()
	v := verdict.Setting{Writes: load.ProbesWrites(), Reads: load.ProbesReads(), Timeout: load.Timeout}
	if len(load.Mix) == 0 {
		v.Writes, v.Reads = true, true
	}
	for _, c := range load.Mix {
		if c.Name != "" && !slices.Contains(v.Classes, c.Name) {
			v.Classes = append(v.Classes, c.Name)
		}
		if c.IsQueued() {
			v.Queued = append(v.Queued, c.Name)
		}
	}
	for i, f := range s.Faults {
		rest := load.Profile.For - f.At
		if rest <= 0 || d.wrong("load.profile") || d.wrong(index("faults", i)+".at") {
			rest = math.MaxInt64
		}
		if f.Name != "" {
			v.Faults = append(v.Faults, verdict.FaultSetting{Name: f.Name, Rest: rest})
		}
	}
	return v
}

// apart returns the errors that errors.Join put together, or the one that it is.
func apart(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// short prints a duration without its zero units: 1m0s as 1m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
