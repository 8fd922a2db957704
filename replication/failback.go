package replication

import (
	"context"
	"errors"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// FailbackOptions say which storage becomes the primary again. Primary and Replica are
// required.
type FailbackOptions struct {
	// Name is what the copy is called, for people.
	Name string
	// Primary becomes the primary again, and Replica, which was promoted in its place,
	// its copy.
	Primary, Replica storage.Backend
	// Back is how what Replica was given is copied back; From and To are filled in.
	Back Options
	// Copy copies; nil is Run.
	Copy func(ctx context.Context, o Options) (Result, error)
	// By and Reason are noted, for people.
	By, Reason string
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
}

// FailedBack is what a failback did.
type FailedBack struct {
	// Now is how the primary stands; Already tells that it was the primary before.
	Now     Standing
	Already bool
	// Copied objects and bytes were copied back.
	Copied      int64
	CopiedBytes int64
	// Kept are snapshots that only the primary has, made before it was lost and after its
	// last copying: they stay, and are copied again.
	Kept []string
	// Left are snapshots that only the replica has and that were not copied back, because
	// nothing could be copied while the primary counted as newer.
	Left []string
}

// Failback does what is left to do, by what the two storages say of themselves, so that
// one that was interrupted is repeated: it copies back while backups go on, ends them,
// copies the rest, and makes the old primary the primary.
func Failback(ctx context.Context, o FailbackOptions) (done FailedBack, err error) {
	o.Clock = clock.Or(o.Clock)
	if o.Copy == nil {
		o.Copy = Run
	}
	f := &failback{FailbackOptions: o, done: &done}
	err = f.run(ctx)
	return done, err
}

// failback is one call of Failback.
type failback struct {
	FailbackOptions
	done *FailedBack
}

func (f *failback) run(ctx context.Context) error {
	copied, err := RoleOf(ctx, f.Replica)
	if err != nil {
		return err
	}
	old, err := RoleOf(ctx, f.Primary)
	if err != nil {
		return err
	}
	switch {
	case copied.Role == Primary:
		return f.fromPrimary(ctx, copied.Noted)
	case old.Role == Primary && (old.Noted || copied.Epoch == 0 && f.sameRepository(ctx)):
		return f.already(ctx, old, copied)
	case old.Role == Primary:
		if f.sameRepository(ctx) { // nobody told it that the copy was promoted
			if _, err := Demote(ctx, DemoteOptions{Primary: f.Primary, Reason: "another storage was promoted", Clock: f.Clock}); err != nil {
				return err
			}
		}
		return f.back(ctx)
	}
	wasOld, err := Last(old, copied)
	if err != nil {
		return fault.New("fail back", f.Name, err, "a third storage has been promoted, which `mahavishnu replication status` names: fail back from that one")
	}
	if wasOld { // demoted, and nothing was promoted: it has all there is
		return f.promote(ctx)
	}
	return f.back(ctx)
}

// fromPrimary copies back from a promoted copy while backups to it go on, ends them, and
// goes on to copy the rest. An old primary that nobody told yet is told now.
func (f *failback) fromPrimary(ctx context.Context, promoted bool) error {
	if !promoted {
		return fault.New("fail back", f.Name, errors.New("nothing was ever copied there"), "mahavishnu replicate "+f.Name)
	}
	if f.sameRepository(ctx) {
		if _, untold, err := Promote(ctx, PromoteOptions{Replica: f.Replica, Primary: f.Primary, Clock: f.Clock}); err != nil || untold != nil {
			return errors.Join(err, untold)
		}
	}
	if err := f.copyBack(ctx); err != nil {
		return err
	}
	if _, err := Demote(ctx, DemoteOptions{Primary: f.Replica, By: f.By, Reason: f.Reason, Clock: f.Clock}); err != nil {
		return err
	}
	return f.back(ctx)
}

// sameRepository tells whether both storages hold the same repository. One that is new
// and empty holds none.
func (f *failback) sameRepository(ctx context.Context) bool {
	own, err := repository.Identify(ctx, f.Primary)
	if err != nil {
		return false
	}
	other, err := repository.Identify(ctx, f.Replica)
	return err == nil && own.ID == other.ID
}

// back copies what the copy has, to which nobody stores any more, and makes the old
// primary the primary.
func (f *failback) back(ctx context.Context) error {
	if err := f.copyBack(ctx); err != nil {
		return err
	}
	var err error
	if f.done.Kept, err = Only(ctx, f.Primary, f.Replica); err != nil {
		return err
	}
	return f.promote(ctx)
}

func (f *failback) copyBack(ctx context.Context) error {
	o := f.Back
	o.From, o.To = f.Replica, f.Primary
	result, err := f.Copy(ctx, o)
	f.done.Copied += result.Copied
	f.done.CopiedBytes += result.CopiedBytes
	return err
}

// already has nothing to do, but for a copy that was demoted after it had been promoted:
// nothing could be copied to it before the primary counts as newer.
func (f *failback) already(ctx context.Context, old, copied Standing) (err error) {
	f.done.Now, f.done.Already = old, true
	if copied.Epoch <= old.Epoch {
		return nil
	}
	if f.done.Left, err = Only(ctx, f.Replica, f.Primary); err != nil {
		return err
	}
	f.done.Already = false
	return f.promote(ctx)
}

func (f *failback) promote(ctx context.Context) error {
	if own, err := repository.Identify(ctx, f.Replica); err == nil {
		if err := Differ(ctx, own.ID, f.Primary); err != nil {
			return err
		}
	}
	now, untold, err := Promote(ctx, PromoteOptions{Replica: f.Primary, Primary: f.Replica, By: f.By, Reason: f.Reason, Clock: f.Clock})
	f.done.Now = now
	return errors.Join(err, untold)
}
