package plan

import (
	"slices"
	"testing"
)

// A plan is broken when it could be carried out for no choice, and not when it could for another;
// what it is too early for is no fault.
func TestReadiness(t *testing.T) {
	t.Parallel()
	between := func(from, to, broken string) Evaluation {
		return Evaluation{Variant: Ungraceful, Params: map[string]string{"from": from, "to": to}, Choice: "to", Error: broken}
	}
	for name, c := range map[string]struct {
		all                   Evaluations
		broken, behind, later []string
	}{
		"none":            {},
		"all ready":       {all: Evaluations{between("eu", "us", ""), between("eu", "ap", "")}},
		"another will do": {all: Evaluations{between("eu", "us", ""), between("eu", "ap", "nobody there")}, behind: []string{"from=eu to=ap: nobody there"}},
		"none will do": {
			all:    Evaluations{between("eu", "us", "nobody there"), between("eu", "ap", "nobody there"), between("us", "eu", "")},
			broken: []string{"nobody there"},
		},
		"without a choice": {all: Evaluations{{Params: map[string]string{"service": "a"}}, {Params: map[string]string{"service": "b"}, Error: "no"}}, broken: []string{"no"}},
		"too early":        {all: Evaluations{{Later: "first a primary"}, {Later: "first a primary"}}, later: []string{"first a primary"}},
	} {
		broken, behind, later := c.all.Readiness()
		if !slices.Equal(broken, c.broken) || !slices.Equal(behind, c.behind) || !slices.Equal(later, c.later) {
			t.Errorf("%s: %q, %q, %q", name, broken, behind, later)
		}
	}
}
