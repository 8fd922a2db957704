package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const (
	pinPrefix  = "pins/"
	holdPrefix = "holds/"

	maxKeepSize = 64 << 10 // of a stored pin or hold, in bytes
	maxReason   = 4 << 10
	maxHoldName = 64
)

// ErrPinned means that a snapshot is not to be forgotten.
var ErrPinned = errors.New("the snapshot is pinned")

// ErrKept means that the snapshot or source has such a pin or hold already.
var ErrKept = errors.New("it is kept already")

// ErrHeld means that nothing is to be removed, because a source is held.
var ErrHeld = errors.New("a source is held")

// Keep is somebody's word that a snapshot (a pin) or all snapshots of a source
// (a hold) must not be forgotten.
type Keep struct {
	// Reason is for people.
	Reason string `json:"reason,omitempty"`
	// By is who said so: a person, or the part of the program that raised an
	// alarm.
	By string `json:"by,omitempty"`
	// Time is when it was said, in whole seconds.
	Time time.Time `json:"time"`
}

// String is the reason, or who said so.
func (k Keep) String() string { return cmp.Or(k.Reason, k.By, "no reason given") }

// Hold is a hold on one source. A source may have several, by different names;
// it is held while there is any.
type Hold struct {
	Source string `json:"source"`
	// Name tells the holds of a source apart: small letters, digits and "-".
	Name string `json:"name"`
	Keep
}

// pinObject returns the name of a snapshot's pin.
func pinObject(source string, t time.Time, id string) string {
	return pinPrefix + strings.TrimPrefix(snapshotObject(source, t, id), snapshotPrefix)
}

func parsePinObject(object string) (snapshotRef, bool) {
	rest, ok := strings.CutPrefix(object, pinPrefix)
	if !ok {
		return snapshotRef{}, false
	}
	return parseSnapshotObject(snapshotPrefix + rest)
}

func holdObject(source, name string) string { return holdPrefix + escapeSource(source) + "/" + name }

func parseHoldObject(object string) (Hold, bool) {
	rest, ok := strings.CutPrefix(object, holdPrefix)
	dir, name, ok2 := strings.Cut(rest, "/")
	source, ok3 := unescapeSource(dir)
	return Hold{Source: source, Name: name}, ok && ok2 && ok3 && validHoldName(name)
}

func validHoldName(name string) bool {
	return name != "" && len(name) <= maxHoldName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isKeepObject tells whether a name is that of a pin, a hold, or a copy of one.
func isKeepObject(name string) bool {
	name = strings.TrimPrefix(name, copyPrefix)
	_, pin := parsePinObject(name)
	_, hold := parseHoldObject(name)
	return pin || hold
}

// Pin keeps a snapshot until Unpin, whatever the retention policy says. One that
// is pinned already keeps its pin: ErrKept. A snapshot that is being forgotten
// at this moment cannot be pinned any more: ErrNoSnapshot.
func (r *Repository) Pin(ctx context.Context, snap Snapshot, k Keep) error {
	const op = "pin snapshot"
	if err := r.mayChange(ctx, op); err != nil {
		return err
	}
	pin := pinObject(snap.Source, snap.Time, snap.ID)
	if err := r.putKeep(ctx, pin, k); err != nil {
		return fault.New(op, snap.ID, err, "")
	}
	// Whoever forgets a snapshot deletes its copy, and only then looks for a
	// pin. So either it sees this pin or we see that the copy is gone.
	err := r.stillThere(ctx, snapshotObject(snap.Source, snap.Time, snap.ID))
	if err != nil {
		return fault.New(op, snap.ID, errors.Join(err, deleteTwice(ctx, r.be, pin)), "see `mahavishnu snapshots`, and pin it again if it is still there")
	}
	return nil
}

// stillThere returns ErrNoSnapshot unless both objects of a snapshot are there.
func (r *Repository) stillThere(ctx context.Context, object string) error {
	for _, name := range []string{object, copyOf(object)} {
		_, err := r.be.Stat(ctx, name)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%w: %s is not there; the snapshot was forgotten, or is half lost", ErrNoSnapshot, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unpin leaves a snapshot to the retention policy again.
func (r *Repository) Unpin(ctx context.Context, snap Snapshot) error {
	if err := r.mayChange(ctx, "unpin snapshot"); err != nil {
		return err
	}
	if err := deleteTwice(ctx, r.be, pinObject(snap.Source, snap.Time, snap.ID)); err != nil {
		return fault.New("unpin snapshot", snap.ID, err, "")
	}
	return nil
}

// Pins returns the pins of a source's snapshots, or of all for "", by the
// snapshots' ids. A pin that cannot be read pins all the same, and says so.
func (r *Repository) Pins(ctx context.Context, source string) (map[string]Keep, error) {
	prefix := pinPrefix
	if source != "" {
		prefix += escapeSource(source) + "/"
	}
	names, err := r.listKeeps(ctx, prefix)
	if err != nil {
		return nil, err
	}
	pins := map[string]Keep{}
	for _, name := range names {
		ref, ok := parsePinObject(name)
		if !ok {
			continue // a stranger: verify names it
		}
		k, err := r.readKeep(ctx, name)
		if err != nil {
			return nil, err
		}
		pins[ref.id] = k
	}
	return pins, nil
}

// Hold keeps every snapshot of a source until Release of the same name. ErrKept
// when there is a hold of that name.
func (r *Repository) Hold(ctx context.Context, h Hold) error {
	const op = "hold source"
	if err := r.mayChange(ctx, op); err != nil {
		return err
	}
	if err := CheckSource(h.Source); err != nil {
		return fault.New(op, h.Source, err, "")
	}
	if !validHoldName(h.Name) {
		return fault.New(op, h.Source, fmt.Errorf("a hold cannot be named %.80q", h.Name), "use small letters, digits and -")
	}
	if err := r.putKeep(ctx, holdObject(h.Source, h.Name), h.Keep); err != nil {
		return fault.New(op, h.Source, err, "")
	}
	return nil
}

// Release ends a hold. One that is not there is no error.
func (r *Repository) Release(ctx context.Context, source, name string) error {
	if err := r.mayChange(ctx, "release source"); err != nil {
		return err
	}
	if err := deleteTwice(ctx, r.be, holdObject(source, name)); err != nil {
		return fault.New("release source", source, err, "")
	}
	return nil
}

// Holds returns all holds, by source and name. One that cannot be read holds
// all the same, and says so.
func (r *Repository) Holds(ctx context.Context) ([]Hold, error) {
	names, err := r.listKeeps(ctx, holdPrefix)
	if err != nil {
		return nil, err
	}
	var holds []Hold
	for _, name := range names {
		h, ok := parseHoldObject(name)
		if !ok {
			continue // a stranger: verify names it
		}
		if h.Keep, err = r.readKeep(ctx, name); err != nil {
			return nil, err
		}
		holds = append(holds, h)
	}
	return holds, nil
}

// NothingHeld returns ErrHeld while anything is held: whoever cannot tell whether
// what was backed up lately is any good wants nothing at all to be removed.
func (r *Repository) NothingHeld(ctx context.Context) error {
	holds, err := r.Holds(ctx)
	if err != nil || len(holds) == 0 {
		return err
	}
	h := holds[0]
	return fault.New("remove from", r.be.Location(), fmt.Errorf("%w: %s by %s (%s)", ErrHeld, h.Source, h.Name, h.String()),
		"see `mahavishnu hold list`")
}

// Forget removes a snapshot unless it is pinned: ErrPinned. It fails half-way
// as DeleteSnapshot does.
func (r *Repository) Forget(ctx context.Context, snap Snapshot) error {
	return r.ForgetAll(ctx, []Snapshot{snap})[0]
}

// unpinned takes a snapshot's copy away and makes sure that it has no pin. With one it
// stays as it was: ErrPinned.
func (r *Repository) unpinned(ctx context.Context, snap Snapshot) error {
	object := snapshotObject(snap.Source, snap.Time, snap.ID)
	// The copy goes before the pin is looked for; see Pin.
	if err := r.be.Delete(ctx, copyOf(object)); err != nil {
		return err
	}
	pinned, err := r.hasKeep(ctx, pinObject(snap.Source, snap.Time, snap.ID))
	if err == nil && pinned {
		err = ErrPinned
	}
	if err != nil {
		return errors.Join(err, r.mend(spend(ctx), object)) // in the room it had
	}
	return nil
}

// putKeep stores a pin or hold twice, durably.
func (r *Repository) putKeep(ctx context.Context, name string, k Keep) error {
	if len(k.Reason)+len(k.By) > maxReason {
		return fmt.Errorf("a reason of %d bytes is too long, at most %d", len(k.Reason), maxReason)
	}
	k.Time = k.Time.UTC().Truncate(time.Second)
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	data, err := r.keys.Seal(seal.TypeKeep, name, text)
	if err != nil {
		return err
	}
	err = putTwice(ctx, r.be, name, data)
	if errors.Is(err, storage.ErrExists) {
		return ErrKept
	}
	return err
}

// hasKeep tells whether either object is there.
func (r *Repository) hasKeep(ctx context.Context, name string) (bool, error) {
	for _, object := range []string{name, copyOf(name)} {
		_, err := r.be.Stat(ctx, object)
		if err == nil || !errors.Is(err, storage.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// listKeeps returns the names below a prefix of which either object is there.
func (r *Repository) listKeeps(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := listTwice(ctx, r.be, prefix, func(name string, _, _ bool) { names = append(names, name) })
	slices.Sort(names)
	return names, err
}

// readKeep reads a pin or hold from either object. What cannot be read is told
// in the reason: that the object is there is what keeps. The error is that of
// ctx.
func (r *Repository) readKeep(ctx context.Context, name string) (Keep, error) {
	var k Keep
	_, err := readTwice(ctx, r.be, name, maxKeepSize, func(data []byte) error { return r.parseKeep(name, data, &k) })
	switch {
	case ctx.Err() != nil:
		return Keep{}, context.Cause(ctx)
	case err != nil:
		return Keep{Reason: fmt.Sprintf("the reason cannot be read: %v", err)}, nil
	}
	return k, nil
}

func (r *Repository) parseKeep(name string, data []byte, k *Keep) error {
	text, err := r.keys.Open(seal.TypeKeep, name, data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, k); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// keeps checks both objects of every pin and hold. It mends none: what looks
// half lost may be on its way out.
func (c *checker) keeps(ctx context.Context) error {
	for _, prefix := range []string{pinPrefix, holdPrefix} {
		names, err := c.r.listKeeps(ctx, prefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !isKeepObject(name) {
				continue
			}
			open := func(data []byte) error { return c.r.parseKeep(name, data, new(Keep)) }
			first, second := readOnce(ctx, c.r.be, name, maxKeepSize, open), readOnce(ctx, c.r.be, copyOf(name), maxKeepSize, open)
			if first != nil && second == nil {
				first = fmt.Errorf("%w; %w", gone(first), ErrServed)
			}
			if second != nil && first == nil {
				second = fmt.Errorf("%w; %w", gone(second), ErrServed)
			}
			for i, err := range []error{first, second} {
				if err == nil {
					continue
				}
				if err := c.trouble(ctx, []string{name, copyOf(name)}[i], ObjectKeep, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
