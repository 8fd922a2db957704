package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Runbook prints a plan as Markdown, for the people who are asked, who watch, and
// who go on by hand where the machine cannot. With params their values stand in it,
// without them their names.
func Runbook(p *Plan, r *Registry, params map[string]string) string {
	b := &book{p: p, r: r, params: params}
	b.linef("# %s", p.Name)
	b.linef("")
	b.linef("%s", strings.TrimSpace(p.About))
	b.linef("")
	b.start()
	b.given()
	for _, v := range p.variants() {
		b.variant(v)
	}
	b.stops()
	b.back()
	return strings.TrimRight(b.String(), "\n") + "\n"
}

type book struct {
	strings.Builder
	p      *Plan
	r      *Registry
	params map[string]string
}

func (b *book) linef(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// fill puts values into a text, or the names of those that are not known.
func (b *book) fill(text string, with map[string]Value) string {
	return reference.ReplaceAllStringFunc(text, func(m string) string {
		name := m[1:]
		if name == "$" {
			return "$"
		}
		if v, ok := with[name]; ok {
			return b.value(v)
		}
		return m
	})
}

// value shows a parameter: what it is when it is known, else how the plan calls it.
func (b *book) value(v Value) string {
	return reference.ReplaceAllStringFunc(string(v), func(m string) string {
		if m == "$$" {
			return "$"
		}
		if value, ok := b.params[m[1:]]; ok {
			return value
		}
		return strings.ToUpper(m[1:])
	})
}

// limits are those of automatic executions, in words.
func (b *book) limits(l Limits) string {
	often, same := fmt.Sprintf("at most %d times within %v", l.AtMost, l.Within), ""
	if l.OnlyFailures {
		often = fmt.Sprintf("no more once %d have failed within %v", l.AtMost, l.Within)
	}
	if l.Each != "" {
		same = " with the same " + b.value(l.Each)
	}
	return fmt.Sprintf("%s, and not within %v of the last time%s", often, l.Quiet, same)
}

func (b *book) start() {
	p := b.p
	b.linef("## How it starts")
	b.linef("")
	if p.Start == Automatic {
		b.linef("By itself, as soon as most regions agree on the fault; %s. By hand:", b.limits(p.Limits.withDefaults()))
	} else {
		b.linef("By hand:")
	}
	b.linef("")
	for _, v := range p.variants() {
		graceful := ""
		if v == Graceful && len(p.variants()) > 1 {
			graceful = " --graceful"
		}
		verb := "execute " + p.Name
		if p.Returns {
			verb = "failback EXECUTION"
		}
		b.linef("    mahavishnu failover %s%s%s", verb, graceful, b.flags())
	}
	b.linef("")
	b.linef("Look first, without changing anything: add `--dry-run`. While it runs: `mahavishnu failover journal EXECUTION`.")
	things := make([]string, len(p.Protects))
	for i, thing := range p.Protects {
		things[i] = "`" + b.value(thing) + "`"
	}
	b.linef("Nothing else may change %s meanwhile: a second plan is refused.", strings.Join(things, ", "))
	b.linef("")
}

func (b *book) flags() string {
	var flags strings.Builder
	for _, name := range sorted(b.p.Parameters) {
		if b.p.Parameters[name].Default == "" && !b.p.Returns {
			fmt.Fprintf(&flags, " --set %s=%s", name, b.value(Value("$"+name)))
		}
	}
	return flags.String()
}

func (b *book) given() {
	if len(b.p.Parameters) == 0 {
		return
	}
	b.linef("| what it is told | type | meaning | default |")
	b.linef("|---|---|---|---|")
	for _, name := range sorted(b.p.Parameters) {
		parameter := b.p.Parameters[name]
		b.linef("| %s | %s | %s | %s |", name, parameter.Type, cell(parameter.About), cell(string(parameter.Default)))
	}
	b.linef("")
}

// cell fits a text into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}

func (b *book) variant(v Variant) {
	title := "## Steps"
	if len(b.p.variants()) > 1 {
		title = "## Steps, when " + map[Variant]string{
			Graceful:   "both sides work (graceful)",
			Ungraceful: "one side is gone, or may be (ungraceful)",
		}[v]
	}
	b.linef("%s", title)
	b.linef("")
	untouched := true
	for i, s := range b.p.In(v) {
		untouched = untouched && s.Kind != KindAction
		b.step(i+1, s, untouched)
	}
}

func (b *book) step(n int, s Step, untouched bool) {
	b.linef("%d. **%s** (%s)", n, s.Name, b.what(s))
	b.linef("")
	if text := strings.TrimSpace(s.About); text != "" {
		b.linef("   %s", oneLine(text))
		b.linef("")
	}
	definition, known := b.r.Lookup(s.Uses)
	if known {
		b.linef("   %s", b.fill(definition.Summary, b.with(definition, s.With)))
	}
	switch {
	case s.Kind == KindApprove:
		b.linef("   Asked: %s of the approvers of the configuration, each with a key of their own:", counted(max(s.Approvals, 1), "one", "different ones"))
		b.linef("   `mahavishnu failover approve EXECUTION --key-file FILE`.")
	case s.Kind == KindWait && s.Uses == "":
		b.linef("   Wait %v.", s.For)
	}
	b.linef("   %s", b.bounds(s))
	if len(s.Needs) > 0 {
		b.linef("   Left out unless done: %s.", strings.Join(s.Needs, ", "))
	}
	b.linef("")
	byHand := strings.TrimSpace(s.ByHand)
	if byHand == "" && known {
		byHand = b.fill(definition.ByHand, b.with(definition, s.With))
	}
	b.linef("   When it fails: %s", b.failure(s, untouched))
	if byHand != "" {
		b.linef("   By hand: %s", oneLine(byHand))
	}
	b.linef("")
}

// with adds the defaults of a definition to what a step gives.
func (b *book) with(d *Definition, given map[string]Value) map[string]Value {
	all := map[string]Value{}
	for _, p := range d.Params {
		all[p.Name] = Value(p.Default)
		if v, ok := given[p.Name]; ok {
			all[p.Name] = v
		}
	}
	return all
}

func (b *book) what(s Step) string {
	if s.Uses == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + ": " + s.Uses
}

func counted(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (b *book) bounds(s Step) string {
	if s.Kind == KindWait && s.Uses == "" {
		return "Nothing changes meanwhile."
	}
	text := fmt.Sprintf("May take %v", s.Timeout)
	if s.Retries > 0 {
		text += fmt.Sprintf(", and is tried again %s", counted(s.Retries, "once", "times"))
	}
	if s.Holds > 1 {
		text += fmt.Sprintf("; must be so %d times in a row, looked at every %v", s.Holds, s.every())
	}
	return text + "."
}

func (b *book) failure(s Step, untouched bool) string {
	switch {
	case s.policy() == PolicyContinue:
		return "the next step goes on; what needs this one is left out."
	case untouched:
		return "the plan ends. Nothing has been changed."
	case s.policy() == PolicyUndo:
		return "everything so far is taken back, in reverse order."
	default:
		return "the plan stops and waits for a person; see \"When it stops\"."
	}
}

func (b *book) stops() {
	b.linef("## When it stops")
	b.linef("")
	b.linef("`mahavishnu failover journal EXECUTION` tells at which step and why. Then one of:")
	b.linef("")
	b.linef("- repair it, by hand if need be, and go on: `mahavishnu failover continue EXECUTION`;")
	b.linef("- take back what was done: `mahavishnu failover rollback EXECUTION`;")
	b.linef("- do the rest by hand, and keep it: `mahavishnu failover commit EXECUTION`.")
	b.linef("")
}

func (b *book) back() {
	p := b.p
	b.linef("## How to go back")
	b.linef("")
	var undone, final []string
	for _, s := range slices.Backward(p.Steps) {
		switch {
		case s.Undo.Uses != "":
			definition, _ := b.r.Lookup(s.Undo.Uses)
			text := s.Undo.Uses
			if definition != nil {
				text = b.fill(definition.Summary, b.with(definition, s.Undo.With))
			}
			undone = append(undone, fmt.Sprintf("%s: %s", s.Name, text))
		case s.Kind == KindAction:
			final = append(final, s.Name)
		}
	}
	switch length := p.Window.Length; {
	case length > 0:
		end := "kept"
		if p.Expired == ExpiryRollback {
			end = "taken back, as soon as that can be carried out"
		}
		b.linef("For %v after the last step it can be taken back whole: `mahavishnu failover rollback EXECUTION`; or kept at once: `mahavishnu failover commit EXECUTION`. Undecided, it is %s.", length, end)
	case p.Window.Given || p.Returns:
		b.linef("Once the last step is done it stays. Before that: `mahavishnu failover rollback EXECUTION`.")
	default:
		b.linef("Within the configured window after the last step it can be taken back whole: `mahavishnu failover rollback EXECUTION`; or kept at once: `mahavishnu failover commit EXECUTION`.")
	}
	b.linef("")
	for _, text := range undone {
		b.linef("- %s", text)
	}
	if len(undone) > 0 {
		b.linef("")
	}
	if len(final) > 0 {
		b.linef("Nothing takes back: %s.", strings.Join(final, ", "))
		b.linef("")
	}
	if p.Failback != "" {
		b.linef("Later, when what failed is whole again: `mahavishnu failover failback EXECUTION` (plan %s).", p.Failback)
		b.linef("")
	}
}
