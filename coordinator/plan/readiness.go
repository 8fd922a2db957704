package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// Evaluations are those of one plan: of its variants, with everything that it could be
// given.
type Evaluations []Evaluation

// Readiness tells whether a plan could be carried out, each thing once. Broken is what is in
// the way of it; behind is what is in the way of a choice of which another would do: of one
// region that could take over, while another can; later is what it is too early for.
func (all Evaluations) Readiness() (broken, behind, later []string) {
	ready := map[string]bool{}
	for i := range all {
		if all[i].Broken() == "" {
			ready[all[i].group()] = true
		}
	}
	add := func(texts []string, text string) []string {
		if text == "" || slices.Contains(texts, text) {
			return texts
		}
		return append(texts, text)
	}
	for i := range all {
		e := &all[i]
		switch text := e.Broken(); {
		case text != "" && e.Choice != "" && ready[e.group()]:
			behind = add(behind, fmt.Sprintf("from=%s %s=%s: %s", e.Params["from"], e.Choice, e.Params[e.Choice], text))
		case text != "":
			broken = add(broken, text)
		}
		later = add(later, e.Later)
	}
	return broken, behind, later
}

// broken is all that is in the way of a plan, "" when nothing is.
func (all Evaluations) broken() string {
	broken, _, _ := all.Readiness()
	return strings.Join(broken, "; ")
}

// group is the same for evaluations that differ in their choice alone.
func (e *Evaluation) group() string {
	params := maps.Clone(e.Params)
	delete(params, e.Choice)
	return fmt.Sprint(e.Variant, params) // maps are printed in order
}

// early is why it is too early for a plan, and what comes first.
func early(err error) string {
	text := err.Error()
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		text = f.Err.Error() // without the name of the plan, beside which it stands
	}
	return strings.Join(append([]string{text}, fault.Hints(err)...), ": ")
}
