//go:build linux

package faults

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// The judge has to find what it is there for.
func TestTheJudge(t *testing.T) {
	op := func(what, member string, epoch uint64, from, to int64) porcupine.Operation {
		return porcupine.Operation{Input: act{what, member, epoch}, Call: from, Return: to}
	}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		good    bool
	}{
		"nothing":                          {nil, true},
		"one after the other":              {[]porcupine.Operation{op("win", "a", 3, 0, 1), op("write", "a", 3, 2, 3), op("win", "b", 9, 4, 5), op("write", "b", 9, 6, 7)}, true},
		"the answer comes late":            {[]porcupine.Operation{op("write", "a", 3, 2, 9), op("win", "b", 9, 4, 5), op("write", "b", 9, 6, 7)}, true},
		"the winner is seen late":          {[]porcupine.Operation{op("write", "a", 3, 2, 3), op("write", "b", 9, 6, 7), op("win", "b", 9, 4, 99)}, true},
		"an old primary goes on":           {[]porcupine.Operation{op("write", "a", 3, 2, 3), op("write", "b", 9, 4, 5), op("write", "a", 3, 6, 7)}, false},
		"it goes on before anybody writes": {[]porcupine.Operation{op("win", "b", 9, 4, 5), op("write", "a", 3, 6, 7)}, false},
		"two at once":                      {[]porcupine.Operation{op("write", "a", 3, 2, 20), op("write", "b", 9, 4, 5), op("write", "a", 3, 6, 7), op("write", "b", 9, 8, 9)}, false},
		"two under one tenure":             {[]porcupine.Operation{op("write", "a", 3, 2, 3), op("write", "b", 3, 4, 5)}, false},
	} {
		if wrong := judgeActs(c.history); (wrong == "") != c.good {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	for name, c := range map[string]struct {
		orders []told
		good   bool
	}{
		"rising":                 {[]told{{"promote", 3, false}, {"fence", 3, false}, {"promote", 9, false}}, true},
		"a lower one is refused": {[]told{{"promote", 9, false}, {"promote", 3, true}}, true},
		"a lower one is taken":   {[]told{{"promote", 9, false}, {"promote", 3, false}}, false},
		"a good one is refused":  {[]told{{"promote", 3, false}, {"promote", 9, true}}, false},
	} {
		var all []porcupine.Operation
		for i, o := range c.orders {
			all = append(all, porcupine.Operation{Input: o, Call: int64(2 * i), Return: int64(2*i + 1)})
		}
		if wrong := judgeOrders("it", all); (wrong == "") != c.good {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	h := newHistory()
	h.journal["plan.execution.x"] = []uint64{4, 4, 9, 4}
	if len(h.judgeJournal()) != 1 {
		t.Error("a lower epoch in the journal was not found")
	}
}
