// Package ledger is the record of verification: which pack was verified when
// and how, which snapshots were seen and which were forgotten, and which blobs
// are not to be trusted. docs/format.md specifies its bytes.
//
// A repository holds any number of ledgers. Together they say what [Join] makes of
// them: for everything the latest time. That is commutative, associative and
// idempotent, so verifiers need not know of each other, and merging twice does
// no harm. Losing one makes packs look as if they were verified longer ago than
// they were, never the other way round.
//
// Times are Unix seconds by the clock of whoever wrote them. They decide what is
// read first, and nothing else; [Ledger.Clamp] takes out those that lie in
// the future.
package ledger

import (
	"cmp"
	"slices"

	"mahavishnu/repository/blob"
)

// Mark says when a pack was last found whole.
type Mark struct {
	ID blob.PackID
	// Scrub is when its stored bytes were compared with their checksum, Full when
	// every blob of it was opened and hashed. 0 is never.
	Scrub, Full int64
}

// Verified is when it was last known that every byte of the pack is right, 0
// for never. A scrub proves that the bytes are those that were written, so it
// counts after they have once been opened and hashed.
func (m Mark) Verified() int64 {
	if m.Full == 0 {
		return 0
	}
	return max(m.Full, m.Scrub)
}

// Fate says what became of a snapshot.
type Fate struct {
	Name string // of its object
	// Seen is when it was last noted that the snapshot is there, Forgotten when
	// somebody set out to delete it. 0 is never.
	Seen, Forgotten int64
}

// Ledger holds marks by id and fates by name, each once, in ascending order. The
// zero value is an empty one.
type Ledger struct {
	Marks []Mark
	Fates []Fate
}

// New returns a ledger of marks and fates in any order.
func New(marks []Mark, fates []Fate) Ledger {
	return Ledger{
		Marks: order(marks, compareMarks, joinMarks),
		Fates: order(fates, compareFates, joinFates),
	}
}

// Empty tells a ledger that says nothing.
func (l Ledger) Empty() bool { return len(l.Marks) == 0 && len(l.Fates) == 0 }

// Mark returns what is known of a pack; the zero times when nothing is.
func (l Ledger) Mark(id blob.PackID) Mark {
	i, ok := slices.BinarySearchFunc(l.Marks, id, func(m Mark, id blob.PackID) int { return m.ID.Compare(id) })
	if !ok {
		return Mark{ID: id}
	}
	return l.Marks[i]
}

// Fate returns what is known of a snapshot; the zero times when nothing is.
func (l Ledger) Fate(name string) Fate {
	i, ok := slices.BinarySearchFunc(l.Fates, name, func(f Fate, name string) int { return cmp.Compare(f.Name, name) })
	if !ok {
		return Fate{Name: name}
	}
	return l.Fates[i]
}

// Join returns what two ledgers say together.
func Join(a, b Ledger) Ledger {
	return Ledger{
		Marks: merge(a.Marks, b.Marks, compareMarks, joinMarks),
		Fates: merge(a.Fates, b.Fates, compareFates, joinFates),
	}
}

// Clamp takes out what was verified after now: a clock was wrong, and it is not
// known when it really was. Snapshots that were seen or forgotten in the
// future were so by now. Clamp each ledger before it is joined, or one wrong
// time hides all the right ones.
func (l Ledger) Clamp(now int64) Ledger {
	past := func(t int64) int64 {
		if t < 0 || t > now {
			return 0
		}
		return t
	}
	out := Ledger{Marks: make([]Mark, 0, len(l.Marks)), Fates: slices.Clone(l.Fates)}
	for _, m := range l.Marks {
		if m.Scrub, m.Full = past(m.Scrub), past(m.Full); m.Scrub > 0 || m.Full > 0 {
			out.Marks = append(out.Marks, m)
		}
	}
	for i, f := range out.Fates {
		out.Fates[i].Seen, out.Fates[i].Forgotten = min(f.Seen, now), min(f.Forgotten, now)
	}
	return out
}

// Filter keeps the marks and fates that the functions return true for.
func (l Ledger) Filter(mark func(Mark) bool, fate func(Fate) bool) Ledger {
	return Ledger{
		Marks: slices.DeleteFunc(slices.Clone(l.Marks), func(m Mark) bool { return !mark(m) }),
		Fates: slices.DeleteFunc(slices.Clone(l.Fates), func(f Fate) bool { return !fate(f) }),
	}
}

func compareMarks(a, b Mark) int { return a.ID.Compare(b.ID) }
func compareFates(a, b Fate) int { return cmp.Compare(a.Name, b.Name) }

func joinMarks(a, b Mark) Mark {
	a.Scrub, a.Full = max(a.Scrub, b.Scrub), max(a.Full, b.Full)
	return a
}

func joinFates(a, b Fate) Fate {
	a.Seen, a.Forgotten = max(a.Seen, b.Seen), max(a.Forgotten, b.Forgotten)
	return a
}

// order sorts and joins equal ones.
func order[T any](all []T, compare func(a, b T) int, join func(a, b T) T) []T {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, compare)
	out := sorted[:0]
	for _, x := range sorted {
		if last := len(out) - 1; last >= 0 && compare(out[last], x) == 0 {
			out[last] = join(out[last], x)
			continue
		}
		out = append(out, x)
	}
	return out
}

// merge joins two sorted lists.
func merge[T any](a, b []T, compare func(a, b T) int, join func(a, b T) T) []T {
	out := make([]T, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := compare(a[0], b[0]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, join(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
