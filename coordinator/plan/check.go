package plan

import (
	"fmt"
	"slices"
	"strings"

	"mahavishnu/config"
	"mahavishnu/messages"
)

// maxRetries is above what helps anybody; more of them is a mistyped duration.
const maxRetries = 20

// maxSteps bounds a plan, and with it the journal of its execution, which is one
// value: every attempt at every step, and its undoing, fits into what a queue takes.
const maxSteps = 100

// checker finds everything that is wrong in a plan that could be decoded.
type checker struct {
	doc  *config.Document
	p    *Plan
	r    *Registry
	used map[string]bool // parameters
}

func (c *checker) plan() {
	c.used = map[string]bool{}
	p := c.p
	switch {
	case p.Name == "":
		c.doc.Refuse("name", "is missing: the plan needs a name", "")
	case !messages.ValidName(p.Name) || len(p.Name) > 40:
		c.doc.Refuse("name", fmt.Sprintf("%q cannot be a name: letters, digits, dash and underscore, at most 40", p.Name), "")
	}
	if strings.TrimSpace(p.About) == "" {
		c.doc.Refuse("about", "is missing: say what the plan is for, to a tired reader", "")
	}
	c.parameters()
	c.things()
	c.limits()
	if len(p.Steps) == 0 {
		c.doc.Refuse("steps", "is missing: a plan without steps does nothing", "")
	}
	if len(p.Steps) > maxSteps {
		c.doc.Refuse("steps", fmt.Sprintf("are %d, more than %d", len(p.Steps), maxSteps), "")
		return
	}
	c.needs()
	for i := range p.Steps {
		c.step(i, &p.Steps[i])
	}
	c.variants()
	for _, name := range sorted(p.Parameters) {
		if !c.used[name] {
			c.doc.RefuseName("parameters."+name, "no step uses it: remove it", "")
		}
	}
}

func (c *checker) parameters() {
	for _, name := range sorted(c.p.Parameters) {
		parameter := c.p.Parameters[name]
		key := "parameters." + name
		if alone, ok := Value("$" + name).alone(); !ok || alone != name {
			c.doc.RefuseName(key, "cannot be a name: small letters, digits and underscore, beginning with a letter", "")
		}
		switch {
		case parameter.Type == "":
			c.doc.Refuse(key+".type", "is missing: write one of "+strings.Join(texts(Types()), ", "), "")
		case len(parameter.Default.references()) > 0:
			c.doc.Refuse(key+".default", "cannot refer to another parameter; a dollar sign is written $$", "")
		case parameter.Default != "":
			if err := parameter.Type.Check(parameter.Default.expand(nil)); err != nil {
				c.doc.Refuse(key+".default", err.Error(), "")
			}
		}
		if strings.TrimSpace(parameter.About) == "" {
			c.doc.Refuse(key+".about", "is missing: say what it is, for whoever must give it", "")
		}
	}
}

func (c *checker) things() {
	if len(c.p.Protects) == 0 {
		c.doc.Refuse("protects", `is missing: name what only one plan at a time may change, for example ["service/$service"]`, "")
	}
	for i, thing := range c.p.Protects {
		key := fmt.Sprintf("protects[%d]", i)
		if strings.TrimSpace(string(thing)) == "" {
			c.doc.Refuse(key, "is empty", "")
			continue
		}
		c.references(key, thing)
	}
}

func (c *checker) limits() {
	p := c.p
	if p.Start != Automatic && c.doc.Given("limits") {
		c.doc.RefuseName("limits", "are about plans that start by themselves: write \"start: automatic\", or remove this", "")
	}
	if p.Limits.AtMost < 0 || p.Limits.AtMost > 100 {
		c.doc.Refuse("limits.at_most", "must be from 1 to 100", "")
	}
	c.references("limits.each", p.Limits.Each)
	if p.Window.Length == 0 && p.Window.Given && c.doc.Given("expired") {
		c.doc.Refuse("expired", "has no meaning without a window", "")
	}
	if p.Returns && p.Failback != "" {
		c.doc.Refuse("failback", "leads in a circle: this plan is a failback itself", "")
	}
	if p.Returns && p.Start == Automatic {
		c.doc.Refuse("start", "cannot be automatic: going back is a person's decision", "")
	}
}

// variants refuses variants that are given twice, or change nothing.
func (c *checker) variants() {
	for i, v := range c.p.Variants {
		if slices.Contains(c.p.Variants[:i], v) {
			c.doc.Refuse(fmt.Sprintf("variants[%d]", i), fmt.Sprintf("%s is given twice", v), "")
		}
	}
	for _, v := range c.p.variants() {
		acts := slices.ContainsFunc(c.p.In(v), func(s Step) bool { return s.Kind == KindAction })
		if !acts && len(c.p.Steps) > 0 {
			c.doc.Refuse("steps", fmt.Sprintf("has no action for the %s variant: add one, or leave the variant out with \"variants:\"", v), "")
		}
	}
}

// needs refuses needs of what is not there, comes later, or goes round in circles.
func (c *checker) needs() {
	at := map[string]int{}
	for i, s := range c.p.Steps {
		if _, twice := at[s.Name]; !twice && s.Name != "" {
			at[s.Name] = i
		}
	}
	for i, s := range c.p.Steps {
		for j, need := range s.Needs {
			key := fmt.Sprintf("steps[%d].needs[%d]", i, j)
			k, ok := at[need]
			switch {
			case !ok:
				c.doc.Refuse(key, fmt.Sprintf("there is no step %q", need), messages.Nearest(need, sorted(at)))
			case need == s.Name:
				c.doc.Refuse(key, "leads in a circle: the step needs itself", "")
			case k > i:
				if way := c.circle(at, s.Name, []string{s.Name}); way != "" {
					c.doc.Refuse(key, "leads in a circle: "+way, "")
					continue
				}
				c.doc.Refuse(key, fmt.Sprintf("step %q comes later: steps run in the order in which they are written", need), "")
			case c.p.Steps[k].Only != "" && c.p.Steps[k].Only != s.Only:
				c.doc.Refuse(key, fmt.Sprintf("step %q is only in the %s variant, and this one is not", need, c.p.Steps[k].Only), "")
			}
		}
	}
}

// circle looks for a way over needs back to the first step of the way.
func (c *checker) circle(at map[string]int, from string, way []string) string {
	for _, need := range c.p.Steps[at[from]].Needs {
		if need == way[0] {
			return strings.Join(append(way, need), " -> ")
		}
		if _, ok := at[need]; !ok || slices.Contains(way, need) {
			continue
		}
		if found := c.circle(at, need, append(slices.Clone(way), need)); found != "" {
			return found
		}
	}
	return ""
}

func (c *checker) step(i int, s *Step) {
	key := fmt.Sprintf("steps[%d]", i)
	switch {
	case s.Name == "":
		c.doc.Refuse(key+".name", "is missing: the journal calls the step by its name", "")
	case !messages.ValidName(s.Name):
		c.doc.Refuse(key+".name", fmt.Sprintf("%q cannot be a name: letters, digits, dash and underscore", s.Name), "")
	}
	for j := range i {
		if s.Name != "" && c.p.Steps[j].Name == s.Name {
			c.doc.Refuse(key+".name", fmt.Sprintf("step %d has this name already", j+1), "")
		}
	}
	if s.Kind == "" {
		c.doc.Refuse(key+".kind", "is missing: write one of "+strings.Join(texts(Kinds()), ", "), "")
		return
	}
	if s.Only != "" && !c.p.Has(s.Only) {
		c.doc.Refuse(key+".only", fmt.Sprintf("the plan has no %s variant", s.Only), "")
	}
	c.uses(key, s)
	c.timing(key, s)
	c.undo(key, s)
}

// uses checks what the step calls, by its kind.
func (c *checker) uses(key string, s *Step) {
	switch {
	case s.Kind == KindApprove:
		if c.doc.Given(key + ".uses") {
			c.doc.Refuse(key+".uses", "an approval uses nothing: remove it", "")
		}
		if c.doc.Given(key + ".with") {
			c.doc.RefuseName(key+".with", "an approval takes no parameters: remove it", "")
		}
		return
	case s.Kind == KindWait && s.Uses == "":
		switch {
		case s.For == 0 && !c.doc.Given(key+".uses"):
			c.doc.Refuse(key, `is a wait for nothing: write "for: 10s", or "uses:" with a condition`, "")
		case c.doc.Given(key + ".with"):
			c.doc.RefuseName(key+".with", "a wait without a condition takes no parameters: remove it", "")
		}
		return
	case s.Uses == "":
		c.doc.Refuse(key+".uses", fmt.Sprintf("is missing: write one of %s", strings.Join(c.r.names(s.Kind == KindAction), ", ")), "")
		return
	}
	c.call(key, s.Uses, s.With, s.Kind == KindAction, s.Kind)
}

// call checks a use of an action or condition.
func (c *checker) call(key, uses string, with map[string]Value, changes bool, kind Kind) {
	d, ok := c.r.Lookup(uses)
	switch {
	case !ok:
		message, suggestion := c.r.unknown(uses, changes)
		c.doc.Refuse(key+".uses", message, suggestion)
		return
	case d.Changes && !changes:
		c.doc.Refuse(key+".uses", fmt.Sprintf("%s changes something, which a %s must not: write \"kind: action\"", uses, kind), "")
		return
	case !d.Changes && changes:
		c.doc.Refuse(key+".uses", fmt.Sprintf("%s only looks: write \"kind: check\", \"wait\" or \"probe\"", uses), "")
		return
	}
	for _, name := range sorted(with) {
		at := key + ".with." + name
		param, ok := d.param(name)
		if !ok {
			message := fmt.Sprintf("%s has no parameter of this name", uses)
			if len(d.Params) > 0 {
				message += "; it has " + strings.Join(d.names(), ", ")
			}
			c.doc.RefuseName(at, message, messages.Nearest(name, d.names()))
			continue
		}
		c.value(at, with[name], param)
	}
	for _, param := range d.Params {
		if _, given := with[param.Name]; !given && !param.Optional {
			c.doc.Refuse(key+".with."+param.Name, fmt.Sprintf("is missing: %s wants %s (%s)", uses, param.About, param.Type), "")
		}
	}
}

// value checks a parameter of a step: a literal by its type, a parameter of the
// plan by that one's.
func (c *checker) value(key string, v Value, param Param) {
	if !c.references(key, v) {
		return
	}
	if len(v.references()) == 0 {
		if err := param.check(v.expand(nil)); err != nil {
			suggestion := ""
			if len(param.Choices) > 0 {
				suggestion = messages.Nearest(string(v), param.Choices)
			}
			c.doc.Refuse(key, err.Error(), suggestion)
		}
		return
	}
	if param.Type == TypeText {
		return
	}
	name, alone := v.alone()
	switch {
	case !alone:
		c.doc.Refuse(key, fmt.Sprintf("is a %s and cannot be put together from parts", param.Type), "")
	case c.p.Parameters[name].Type != param.Type && c.p.Parameters[name].Type != "":
		c.doc.Refuse(key, fmt.Sprintf("wants a %s, and $%s is a %s", param.Type, name, c.p.Parameters[name].Type), "")
	}
}

// references refuses references to what is no parameter of the plan.
func (c *checker) references(key string, v Value) bool {
	good := true
	for _, name := range v.references() {
		switch _, ok := c.p.Parameters[name]; {
		case name == "":
			c.doc.Refuse(key, "has a dollar sign with no name behind it; the sign itself is written $$", "")
			good = false
		case !ok:
			c.doc.Refuse(key, fmt.Sprintf("the plan has no parameter %q", name), messages.Nearest(name, sorted(c.p.Parameters)))
			good = false
		default:
			c.used[name] = true
		}
	}
	return good
}

func (c *checker) timing(key string, s *Step) {
	counted := s.Kind == KindWait && s.Uses == ""
	switch {
	case counted && c.doc.Given(key+".timeout"):
		c.doc.Refuse(key+".timeout", "has no meaning for a wait that only lets time pass: remove it", "")
	case !counted && s.Timeout == 0:
		c.doc.Refuse(key+".timeout", `is missing: say how long one attempt may take, for example "timeout: 30s"`, "")
	}
	if s.Retries < 0 || s.Retries > maxRetries {
		c.doc.Refuse(key+".retries", fmt.Sprintf("must be from 0 to %d", maxRetries), "")
	}
	for _, each := range []struct {
		name  string
		kinds []Kind
	}{
		{"for", []Kind{KindWait}},
		{"every", []Kind{KindWait, KindProbe}},
		{"holds", []Kind{KindWait, KindProbe}},
		{"approvals", []Kind{KindApprove}},
		{"undo", []Kind{KindAction}},
		{"retries", []Kind{KindCheck, KindAction, KindProbe, KindWait}},
	} {
		if c.doc.Given(key+"."+each.name) && !slices.Contains(each.kinds, s.Kind) {
			c.doc.RefuseName(key+"."+each.name, fmt.Sprintf("belongs to %s, not to %s", strings.Join(texts(each.kinds), " and "), s.Kind), "")
		}
	}
	if s.Uses != "" && c.doc.Given(key+".for") {
		c.doc.Refuse(key+".for", "a wait is either for a time or for a condition: remove this, or uses", "")
	}
	if s.Holds < 0 || s.Holds > 1000 {
		c.doc.Refuse(key+".holds", "must be from 1 to 1000", "")
	}
	if s.Approvals < 0 || s.Approvals > 10 {
		c.doc.Refuse(key+".approvals", "must be from 1 to 10", "")
	}
}

func (c *checker) undo(key string, s *Step) {
	if !c.doc.Given(key+".undo") || s.Kind != KindAction {
		return
	}
	key += ".undo"
	if s.Undo.Uses == "" {
		c.doc.Refuse(key+".uses", fmt.Sprintf("is missing: write one of %s", strings.Join(c.r.names(true), ", ")), "")
		return
	}
	c.call(key, s.Undo.Uses, s.Undo.With, true, KindAction)
	if s.Undo.Timeout == 0 {
		c.doc.Refuse(key+".timeout", `is missing: say how long one attempt may take, for example "timeout: 30s"`, "")
	}
	if s.Undo.Retries < 0 || s.Undo.Retries > maxRetries {
		c.doc.Refuse(key+".retries", fmt.Sprintf("must be from 0 to %d", maxRetries), "")
	}
}
