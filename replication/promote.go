package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// ErrDeleting means that a run of replication is deleting in the replica.
var ErrDeleting = errors.New("replication is deleting there")

const (
	// defaultWait is how long a promotion waits for a run that is deleting.
	defaultWait = 30 * time.Second
	waitStep    = 500 * time.Millisecond
)

// PromoteOptions say which replica becomes the primary, and why. Replica is required.
type PromoteOptions struct {
	// Replica is the storage that becomes the primary.
	Replica storage.Backend
	// Primary is the one it was copied from; nil when it is lost.
	Primary storage.Backend
	// Wait is how long to wait for a run that is deleting; 0 means 30 s.
	Wait time.Duration
	// Force promotes although a run left a sign that it is deleting, or the note of the
	// replica's role is damaged.
	Force bool
	// By and Reason are noted, for people.
	By, Reason string
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
}

// Promote makes a replica the primary, also one that was demoted, and the primary, if it answers, a replica. A
// storage in the primary's place that holds another repository is left as it is. From
// then on no run copies into it, and one that comes from the old primary tells that one
// so. demoted is nil when the old primary took note; otherwise it says why not, and
// the old one learns it from [CheckPrimary] or the next [Run].
func Promote(ctx context.Context, o PromoteOptions) (now Standing, demoted, err error) {
	o.Clock = clock.Or(o.Clock)
	own, err := repository.Identify(ctx, o.Replica)
	if err != nil {
		return now, nil, err
	}
	if o.Primary != nil {
		if other := Differ(ctx, own.ID, o.Primary); other != nil {
			o.Primary = nil
			defer func() {
				if err == nil {
					demoted = other
				}
			}()
		}
	}
	now = Standing{Role: Primary, Time: o.Clock.Now().UTC().Truncate(time.Second), By: o.By, Reason: o.Reason}
	s, err := RoleOf(ctx, o.Replica)
	if err != nil && (!o.Force || !errors.Is(err, errRecord)) {
		return now, nil, err
	}
	if err == nil && s.Role == Primary && !o.behind(ctx, s) {
		if !s.Noted || o.Primary == nil {
			return s, nil, nil
		}
		return s, demoteTo(ctx, o.Primary, s), nil
	}
	if now.Epoch, _, err = latestEpoch(ctx, o.Replica); err != nil {
		return now, nil, err
	}
	if o.Primary != nil {
		// What it does not say may be because it is lost, which is what promotion is for.
		latest, _, err := latestEpoch(ctx, o.Primary)
		if ctx.Err() != nil {
			return now, nil, context.Cause(ctx)
		}
		demoted = err
		now.Epoch = max(now.Epoch, latest)
	}
	now.Epoch++
	if o.Primary != nil && demoted == nil {
		demoted = demoteTo(ctx, o.Primary, now)
	}
	if err := now.note(ctx, o.Replica); err != nil {
		return now, demoted, err
	}
	now.Noted = true
	return now, demoted, o.await(ctx)
}

// Differ returns an error that wraps [ErrOtherRepository] when a storage holds another
// repository than the one with that id. One that does not answer, or holds none, does not.
func Differ(ctx context.Context, id string, be storage.Backend) error {
	there, err := repository.Identify(ctx, be)
	if err != nil || there.ID == id {
		return nil //nolint:nilerr // see above
	}
	return fault.New("change the role of", be.Location(), fmt.Errorf("%w: it is %s, and the other end of the copy is %s", ErrOtherRepository, there.ID, id),
		"nothing was changed there; mount the disk that holds the right one, or correct the storage in the configuration")
}

// behind tells whether the other storage, though a replica, has seen a higher epoch than
// this primary: it was demoted when both were primaries. Nothing could be copied to it
// then, so this one takes an epoch above both.
func (o PromoteOptions) behind(ctx context.Context, own Standing) bool {
	if o.Primary == nil {
		return false
	}
	other, err := RoleOf(ctx, o.Primary)
	return err == nil && other.Role == Replica && other.Epoch > own.Epoch
}

// demoteTo notes in a storage that another one is the primary since an epoch.
func demoteTo(ctx context.Context, be storage.Backend, primary Standing) error {
	s, err := RoleOf(ctx, be)
	if err != nil || s.Role == Replica && s.Epoch >= primary.Epoch {
		return err
	}
	primary.Came = Copied
	if s.Role == Primary {
		primary.Came = Replaced
	}
	primary.Role = Replica
	return primary.note(ctx, be)
}

// await waits until no run is deleting in the replica. One that begins now finds the
// new role and deletes nothing.
func (o PromoteOptions) await(ctx context.Context) error {
	wait := o.Wait
	if wait == 0 {
		wait = defaultWait
	}
	for end := o.Clock.Now().Add(wait); ; {
		all, err := signs(ctx, o.Replica)
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return nil
		case o.Force:
			for name := range all {
				err = errors.Join(err, (&sign{o.Replica, name}).end(ctx))
			}
			return err
		case !o.Clock.Now().Before(end):
			return busy(o.Replica, all)
		}
		if err := o.Clock.Sleep(ctx, waitStep); err != nil {
			return err
		}
	}
}

// DemoteOptions say which primary becomes a replica. Primary is required.
type DemoteOptions struct {
	Primary    storage.Backend
	By, Reason string
	Clock      clock.Clock
}

// Demote makes a primary a replica, so that nothing new is stored there: the first step
// of a planned change, before the last copying and [Promote] of another one, or of this
// one, which takes it back. One that is a replica already stays as it is.
func Demote(ctx context.Context, o DemoteOptions) (Standing, error) {
	if _, err := repository.Identify(ctx, o.Primary); err != nil {
		return Standing{}, err
	}
	s, err := RoleOf(ctx, o.Primary)
	if err != nil || s.Role == Replica {
		return s, err
	}
	if s.Noted {
		s.Epoch++
	}
	s = Standing{Role: Replica, Came: Demoted, Epoch: s.Epoch, Time: clock.Or(o.Clock).Now().UTC().Truncate(time.Second), By: o.By, Reason: o.Reason, Noted: true}
	if err := s.note(ctx, o.Primary); err != nil {
		return s, fault.New("demote", o.Primary.Location(), err, "")
	}
	return s, nil
}

// Last tells which of two replicas was the primary last, and so has what is newest. It is
// an error when one of them is the primary, or when a third storage was promoted in
// place of both.
func Last(first, second Standing) (isFirst bool, err error) {
	switch {
	case first.Role == Primary || second.Role == Primary:
		return first.Role == Primary, ErrPrimary
	case first.Came == Demoted && (first.Epoch > second.Epoch || first.Epoch == second.Epoch && second.Came != Demoted):
		return true, nil
	case second.Came == Demoted && (second.Epoch > first.Epoch || first.Epoch == second.Epoch && first.Came != Demoted):
		return false, nil
	case first.Came == Replaced || second.Came == Replaced || first.Came == Demoted && second.Came == Demoted:
		return false, ErrReplaced
	}
	return first.Epoch > second.Epoch, nil // noted before it was told how they came to be replicas
}
