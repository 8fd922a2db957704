package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/loadtest/peers"
)

// resume takes over what an earlier comparison measured, of programs that came to
// the end of their work in a run. It must have been of the same tree, programs
// and machine, or the figures would not belong together.
func (b *bench) resume(before Comparison) error {
	if len(before.Measured) == 0 {
		return nil
	}
	if differs := b.out.differs(before); differs != "" {
		return fault.New("resume comparison of", b.out.Corpus.Description, errors.New(differs),
			"compare the same again, or start anew with another --json file")
	}
	b.out.When = before.When
	for run := range b.o.Runs {
		whole := true
		for _, p := range b.out.Programs {
			whole = whole && before.ended(run, p)
		}
		for _, p := range b.out.Programs {
			// Versions of a tree are backed up by all programs in turn.
			if !whole && (b.o.Corpus.Kind.Changes() || !before.ended(run, p)) {
				continue
			}
			b.done = append(b.done, turn{run, p.Name})
			b.out.Measured = append(b.out.Measured, before.of(run, p)...)
		}
	}
	b.out.Duration = before.Duration
	b.out.Corpus.Files, b.out.Corpus.Bytes = before.Corpus.Files, before.Corpus.Bytes
	b.out.Corpus.Versions = before.Corpus.Versions
	return nil
}

// turn is the work of a program in a run.
type turn struct {
	run     int
	program string
}

// has tells whether a program has done its work of a run already.
func (b *bench) has(run int, p peers.Program) bool {
	return slices.Contains(b.done, turn{run, p.Name})
}

// all tells whether all programs have done their work of a run already.
func (b *bench) all(run int) bool {
	return !slices.ContainsFunc(b.out.Programs, func(p peers.Program) bool { return !b.has(run, p) })
}

// save hands over what is measured so far: a comparison takes hours, and what
// ends it may not ask.
func (b *bench) save(ctx context.Context) error {
	if b.o.Save == nil || ctx.Err() != nil {
		return nil //nolint:nilerr // whoever interrupts gets what is measured with that error
	}
	c := *b.out
	c.Duration += b.now.Now().Sub(b.began)
	return b.o.Save(c)
}

// differs says what keeps the figures of two comparisons from belonging together,
// "" when nothing does.
func (c Comparison) differs(before Comparison) string {
	name := func(p peers.Program) string { return p.Name + " " + p.Version }
	switch was, is := before.Corpus, c.Corpus; {
	case was.Description != is.Description || was.Seed != is.Seed:
		return fmt.Sprintf("the earlier one was of %s (seed %d)", was.Description, was.Seed)
	case !before.Machine.same(c.Machine):
		return fmt.Sprintf("the earlier one was made on another machine: %+v", before.Machine)
	}
	for _, p := range c.Programs {
		i := slices.IndexFunc(before.Programs, func(q peers.Program) bool { return q.Name == p.Name })
		switch {
		case i < 0:
			continue
		case name(before.Programs[i]) != name(p):
			return fmt.Sprintf("the earlier one was of %s, this is %s", name(before.Programs[i]), name(p))
		case !slices.Equal(before.Programs[i].Settings, p.Settings):
			return "the earlier one had other settings of " + p.Name
		}
	}
	return ""
}

// same tells whether it is the same machine: its memory differs by what the
// kernel keeps to itself at a start.
func (m Machine) same(other Machine) bool {
	m.Memory, other.Memory = 0, 0
	return m == other
}

// of returns what a program took in a run.
func (c Comparison) of(run int, p peers.Program) []Measure {
	return slices.DeleteFunc(slices.Clone(c.Measured), func(m Measure) bool { return m.Run != run || m.Program != p.Name })
}

// ended tells whether a program came to the end of its work in a run, or to a
// failure.
func (c Comparison) ended(run int, p peers.Program) bool {
	last := NextBackup
	switch plan := p.Plan(peers.Place{}); {
	case plan.Restore != nil:
		last = Restore
	case len(plan.Check.Args) > 0:
		last = Check
	case !c.Series() && plan.Again:
		last = Unchanged
	case !c.Series():
		last = FirstBackup
	}
	return slices.ContainsFunc(c.of(run, p), func(m Measure) bool { return m.Failure != "" || m.Work == last })
}
