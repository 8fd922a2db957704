package replication

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// Role is what a storage is to the repository in it.
type Role string

// The roles.
const (
	// Primary is where backups go.
	Primary Role = "primary"
	// Replica is what only replication writes to.
	Replica Role = "replica"
)

// Came is how a storage became a replica.
type Came string

// The ways to become one.
const (
	// Copied is a replica because it receives copies.
	Copied Came = "copied"
	// Demoted was the primary until [Demote]. Nobody was promoted by that.
	Demoted Came = "demoted"
	// Replaced was the primary until another storage was promoted.
	Replaced Came = "replaced"
)

// Errors about roles. They come wrapped, with the storage's location and a hint.
var (
	// ErrReplica means that somebody would have stored into a replica.
	ErrReplica = errors.New("this storage is a replica: only replication may store there")
	// ErrPrimary means that a copy would have gone into a primary.
	ErrPrimary = errors.New("this storage is a primary: nothing may be copied over it")
	// ErrReplaced means that another storage was promoted since this one was the primary.
	ErrReplaced = errors.New("another storage has been promoted in place of this one")
	// ErrNoPrimary means that neither end of a copy is the primary.
	ErrNoPrimary = errors.New("no storage is the primary")
	// ErrTwoPrimaries means that two storages were promoted apart from each other.
	ErrTwoPrimaries = errors.New("two storages count as the primary")
)

// Standing is the role of a storage, and since which epoch.
type Standing struct {
	Role Role `json:"role"`
	// Epoch counts promotions. Whoever has the higher one is right.
	Epoch uint32 `json:"epoch"`
	// Came tells how a storage became a replica; "" where that was not noted.
	Came Came `json:"came,omitempty"`
	// Time, By and Reason are for people.
	Time   time.Time `json:"time,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// Noted tells that the role is written down in the storage. One without a note
	// has never been part of replication, and is a primary of epoch 0.
	Noted bool `json:"-"`
}

const (
	// epochPrefix is where standings are kept: replication/epochs/<number>, put if
	// absent. The highest number is in force.
	epochPrefix = Prefix + "epochs/"
	epochDigits = 8
)

func epochName(n uint32) string { return fmt.Sprintf("%s%0*x", epochPrefix, epochDigits, n) }

// parseEpoch is the reverse of epochName.
func parseEpoch(name string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, epochPrefix)
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || epochName(uint32(n)) != name {
		return 0, false
	}
	return uint32(n), true
}

// decodeStanding reads what the storage keeps of an epoch.
func decodeStanding(data []byte, epoch uint32) (Standing, error) {
	var s Standing
	if err := openRecord(data, &s); err != nil {
		return Standing{}, err
	}
	if s.Epoch != epoch || s.Role != Primary && s.Role != Replica {
		return Standing{}, fmt.Errorf("%w: it says %q of epoch %d", errRecord, s.Role, s.Epoch)
	}
	s.Noted = true
	return s, nil
}

// RoleOf tells what a storage is. Whoever stores or deletes in one that is no
// primary destroys a replica: see [CheckPrimary].
func RoleOf(ctx context.Context, be storage.Backend) (Standing, error) {
	latest, found, err := latestEpoch(ctx, be)
	if err != nil || !found {
		return Standing{Role: Primary}, err
	}
	name := epochName(latest)
	data, err := storage.ReadAll(ctx, be, name, maxRecord, nil)
	if err != nil {
		return Standing{}, err
	}
	s, err := decodeStanding(data, latest)
	if err != nil {
		return Standing{}, fault.New("read", name+" in "+be.Location(), err,
			"whether this storage is the primary is not known; `mahavishnu replication promote --force` makes it the primary")
	}
	return s, nil
}

// latestEpoch returns the highest epoch that is noted in a storage.
func latestEpoch(ctx context.Context, be storage.Backend) (latest uint32, found bool, err error) {
	err = be.List(ctx, epochPrefix, func(info storage.Info) error {
		if n, ok := parseEpoch(info.Name); ok {
			latest, found = max(latest, n), true
		}
		return nil
	})
	return latest, found, err
}

// note writes a standing down, durably. Of several that want the same epoch one wins;
// the others fail, unless they say the same.
func (s Standing) note(ctx context.Context, be storage.Backend) error {
	data, err := sealRecord(s)
	if err != nil {
		return err
	}
	name := epochName(s.Epoch)
	err = be.Put(ctx, name, data, storage.PutOptions{IfAbsent: true, Sync: true})
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	there, readErr := storage.ReadAll(ctx, be, name, maxRecord, nil)
	if readErr != nil {
		return readErr
	}
	if other, decodeErr := decodeStanding(there, s.Epoch); decodeErr != nil || other.Role != s.Role {
		return fault.New("note the role of", be.Location(), err, "somebody else changed it at the same time; look at `mahavishnu replication status`")
	}
	return nil
}

// CheckPrimary returns nil when own may be stored to: when it is the primary, and none
// of the others that can be asked has been promoted since. If one has, that is
// noted in own, so that it is known afterwards without asking. Others that do not
// answer are left out: they may be what was lost.
func CheckPrimary(ctx context.Context, own storage.Backend, others ...storage.Backend) error {
	s, err := RoleOf(ctx, own)
	if err != nil {
		return err
	}
	if s.Role != Primary {
		return asReplica(own, s)
	}
	for _, other := range others {
		o, err := RoleOf(ctx, other)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || o.Role != Primary || o.Epoch == 0 || o.Epoch < s.Epoch:
			continue
		case o.Epoch == s.Epoch:
			return fault.New("store to", own.Location(), fmt.Errorf("%w: %s is one as well, both since epoch %d", ErrTwoPrimaries, other.Location(), o.Epoch),
				"decide which one is right, and demote the other: `mahavishnu replication demote COPY` demotes what the copy is of, with --copy the copy itself")
		}
		err = replaced(own, other)
		if there, unknown := repository.Identify(ctx, other); unknown == nil {
			if foreign := Differ(ctx, there.ID, own); foreign != nil {
				return errors.Join(err, foreign) // it is none of its business
			}
		}
		return errors.Join(err, yield(ctx, own, s, o))
	}
	return nil
}

// yield notes in an old primary that another storage was promoted. One that takes no
// writing is left as it is.
func yield(ctx context.Context, old storage.Backend, s, promoted Standing) error {
	if s.Role == Replica || s.Epoch >= promoted.Epoch {
		return nil
	}
	err := Standing{Role: Replica, Came: Replaced, Epoch: promoted.Epoch, Time: promoted.Time, By: promoted.By, Reason: promoted.Reason}.note(ctx, old)
	if errors.Is(err, storage.ErrDenied) || errors.Is(err, storage.ErrReadOnly) {
		return nil
	}
	return err
}

func asReplica(be storage.Backend, s Standing) error {
	hint := "send backups to the primary, which `mahavishnu replication status` names; if that is lost, `mahavishnu replication promote COPY` makes this storage the primary"
	switch s.Came {
	case Demoted:
		hint = "it was demoted" + s.who() + ": go on with `mahavishnu replication promote COPY`, or take it back with `mahavishnu replication failback COPY`, " +
			"which makes this storage the primary again"
	case Replaced:
		hint = "another storage was promoted in its place" + s.who() + ": send backups there, or bring this one back with `mahavishnu replication failback COPY`"
	}
	return fault.New("store to", be.Location(), fmt.Errorf("%w (since epoch %d)", ErrReplica, s.Epoch), hint)
}

// who says who changed a role, and when.
func (s Standing) who() string {
	text := ""
	if s.By != "" {
		text = " by " + s.By
	}
	if !s.Time.IsZero() {
		text += " at " + s.Time.UTC().Format(time.RFC3339)
	}
	if s.Reason != "" {
		text += fmt.Sprintf(" (%s)", s.Reason)
	}
	return text
}

func replaced(old, promoted storage.Backend) error {
	return fault.New("go on in", old.Location(), fmt.Errorf("%w: %s", ErrReplaced, promoted.Location()),
		"store to the promoted one; to make this one the primary again: `mahavishnu replication failback COPY`, which copies back first")
}

// admit decides whether a copy may go from one storage to the other, and notes in the
// receiving one that it is a replica.
func admit(ctx context.Context, from, to storage.Backend, now time.Time) error {
	src, err := RoleOf(ctx, from)
	if err != nil {
		return err
	}
	dst, err := RoleOf(ctx, to)
	if err != nil {
		return err
	}
	if err := mayCopy(ctx, from, to, src, dst); err != nil {
		return err
	}
	if dst.Noted && dst.Epoch == src.Epoch {
		return nil
	}
	return Standing{Role: Replica, Came: Copied, Epoch: src.Epoch, Time: now, Reason: "receives copies of " + from.Location()}.note(ctx, to)
}

func mayCopy(ctx context.Context, from, to storage.Backend, src, dst Standing) error {
	switch {
	case dst.Noted && dst.Epoch > src.Epoch:
		if dst.Role == Primary {
			return errors.Join(replaced(from, to), yield(ctx, from, src, dst))
		}
		return fault.New("copy from", from.Location(), fmt.Errorf("%w: %s follows epoch %d, this is %d", ErrReplaced, to.Location(), dst.Epoch, src.Epoch),
			"`mahavishnu replication status` tells which storage is the primary; `mahavishnu replication failback COPY` brings together what both have and makes what the copy is of the primary")
	case dst.Noted && dst.Role == Primary:
		return fault.New("copy to", to.Location(), ErrPrimary, "promotion made it the primary; to copy back what it has and make it a copy again: `mahavishnu replication failback COPY`")
	case dst.Noted:
		return nil
	}
	empty, err := Empty(ctx, to)
	if err != nil || empty {
		return err
	}
	return fault.New("copy to", to.Location(), ErrPrimary,
		"it holds a repository that did not come by replication; name an empty place, or, if it may be overwritten: `mahavishnu replication demote COPY --copy`")
}

// Empty tells whether a place holds nothing of a repository.
func Empty(ctx context.Context, be storage.Backend) (bool, error) {
	for _, name := range []string{configName, configCopy} {
		if _, err := be.Stat(ctx, name); !errors.Is(err, storage.ErrNotFound) {
			return false, err
		}
	}
	found := errors.New("found")
	for _, prefix := range []string{packPrefix, snapshotPrefix, indexPrefix} {
		err := be.List(ctx, prefix, func(storage.Info) error { return found })
		if errors.Is(err, found) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// stillReplica fails when the storage was promoted meanwhile.
func stillReplica(ctx context.Context, to storage.Backend) error {
	s, err := RoleOf(ctx, to)
	if err != nil {
		return err
	}
	if s.Role != Replica {
		return fault.New("copy to", to.Location(), ErrPrimary, "it was promoted while copies arrived")
	}
	return nil
}
