package dispersed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Losses are what cannot be given back by the storages as they are: the price of going
// on with them.
type Losses struct {
	// Objects are the names of which too few good shards are left, in order.
	Objects []string
	// Older are those that were replaced since, and of which only what they were before is
	// left.
	Older []string
	// Storages are those that were rolled back, or are being filled after they were emptied.
	Storages []Notice
}

// None tells that nothing is lost, and no storage was rolled back.
func (l Losses) None() bool { return len(l.Objects) == 0 && len(l.Older) == 0 && len(l.Storages) == 0 }

// Token stands for exactly these losses: who accepts them gives it back, so that nobody
// accepts more than was shown.
func (l Losses) Token() string {
	h := sha256.New()
	for _, n := range l.Storages {
		fmt.Fprintf(h, "%d %s\x00", n.Storage, n.Problem)
	}
	for i, names := range [][]string{l.Objects, l.Older} {
		for _, name := range names {
			fmt.Fprintf(h, "%d %s\x00", i, name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// Lost finds out what the storages cannot give back as they are. It changes nothing. All of
// them have to answer, and to be those that belong there: else nobody can tell.
func (b *Backend) Lost(ctx context.Context) (Losses, error) {
	const op = "find what is lost"
	var l Losses
	var strange, unclear []string
	report, err := b.Check(ctx, CheckOptions{Depth: Heads, Found: func(f Finding) error {
		switch {
		case f.Problem == Unreadable && errors.Is(f.Err, backend.ErrDamaged):
			l.Objects = append(l.Objects, f.Name)
		case f.Problem == Stale && errors.Is(f.Err, errNewer):
			if !slices.Contains(l.Older, f.Name) {
				l.Older = append(l.Older, f.Name)
			}
		case f.Problem == Unreadable:
			unclear = append(unclear, f.Err.Error())
		case f.Problem == RolledBack:
			l.Storages = append(l.Storages, b.members[f.Storage-1].olderNotice(f.Err))
		case f.Problem == Emptied || f.Problem == Foreign:
			strange = append(strange, fmt.Sprintf("storage %d: %v", f.Storage, f.Err))
		}
		return nil
	}})
	if err != nil {
		return Losses{}, err
	}
	for _, i := range report.Away {
		strange = append(strange, fmt.Sprintf("storage %d does not answer", i))
	}
	if unclear = append(strange, unclear...); len(unclear) > 0 {
		return Losses{}, fault.New(op, b.Location(), &backend.TemporaryError{Err: fmt.Errorf("not all storages say what they have: %s", strings.Join(unclear[:min(len(unclear), b.n)], "; "))},
			"have all of them answer; one that was emptied is filled first by: mahavishnu verify --repair")
	}
	for _, m := range b.members {
		if m.filling() {
			l.Storages = append(l.Storages, m.notice(Emptied, errFilling))
		}
	}
	slices.SortFunc(l.Storages, func(x, y Notice) int { return x.Storage - y.Storage })
	slices.Sort(l.Objects)
	slices.Sort(l.Older)
	if len(l.Storages) == 0 && len(l.Objects) == 0 {
		l.Older = nil // what a killed put left beside what it was to replace
	}
	return l, nil
}

// errFilling is what is said of a storage that was emptied and is not whole yet.
var errFilling = errors.New("it was emptied, and some of what it had is nowhere")

// LetGo goes on with the storages as they are: what is left of the objects that are lost is
// removed, everything else is made whole, and the storages count again. A state that they
// had before counts as an older one from then on. Losses that have grown since they were
// found are an error before anything changes. Interrupted, it can be run again with what
// [Backend.Lost] says then.
func (b *Backend) LetGo(ctx context.Context, accepted Losses, found func(Finding) error) (Report, error) {
	const op = "let go of what is lost"
	now, err := b.Lost(ctx)
	if err != nil {
		return Report{}, err
	}
	if now.Token() != accepted.Token() {
		return Report{}, fault.New(op, b.Location(), errors.New("other things are lost than those that were accepted"), "look at them again, and accept those")
	}
	names := map[string]bool{}
	for _, name := range append(slices.Clone(accepted.Objects), accepted.Older...) {
		names[name] = true
	}
	var left []string
	report, err := b.Repair(ctx, CheckOptions{Depth: Heads, LetGo: names, Found: func(f Finding) error {
		if !f.Repaired && !errors.Is(f.Err, errFresh) {
			left = append(left, fmt.Sprintf("%s at storage %d is %s: %v", f.Name, f.Storage, f.Problem, f.Err))
		}
		if found != nil {
			return found(f)
		}
		return nil
	}})
	switch {
	case err != nil:
		return report, err
	case len(report.Away) > 0:
		return report, fault.New(op, b.Location(), fmt.Errorf("storage %d does not answer any more", report.Away[0]), "repeat it when it does; nothing is stored before that")
	case len(left) > 0:
		return report, fault.New(op, b.Location(), fmt.Errorf("%d things are left that could not be made good, the first: %s", len(left), left[0]),
			"mend that, and look again at what is lost; nothing is stored before that")
	}
	return report, nil
}

// lost tells of an object of which too few good shards are left, and lets go of it where
// that is meant.
func (c *checking) lost(ctx context.Context, name string, f *found, why error) error {
	finding := Finding{Name: name, Problem: Unreadable, Err: why}
	if !c.o.LetGo[name] {
		return c.found(ctx, finding, nil)
	}
	return c.found(ctx, finding, func(ctx context.Context) error {
		if silent, _ := f.view.silent(); silent > 0 {
			return c.hint(errSlow)
		}
		return c.b.letGo(ctx, c.op, name, f)
	})
}

// letGo removes what is left of an object. What a storage retains stays, until its time is
// over: too few shards to be anything, once the storages count again.
func (b *Backend) letGo(ctx context.Context, op, name string, f *found) error {
	b.known.forget(name)
	err := b.retainedAnywhere(ctx, op, name)
	if errors.Is(err, backend.ErrRetained) {
		return nil
	}
	if err != nil {
		return err
	}
	replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, b.remove(ctx, m, name, f)
	})
	if count(replies) < b.n {
		return b.tooFew(ctx, op, name, b.n, errsOf(replies)...)
	}
	return nil
}
