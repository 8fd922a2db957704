package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// twicePrefixes are the places of small objects that are kept twice.
var twicePrefixes = []string{snapshotPrefix, indexPrefix, pinPrefix, holdPrefix, ledgerPrefix, condemn.Prefix}

// maxSmallSize bounds small objects in bytes.
const maxSmallSize = max(index.MaxSize, maxSnapshotSize)

// kindOf tells the kind of a small object by its name, and whether it is the name
// of one at all.
func kindOf(name string) (string, bool) {
	_, isSnapshot := parseSnapshotObject(name)
	switch {
	case isSnapshot:
		return ObjectSnapshot, true
	case isIndexObject(name):
		return ObjectIndex, true
	case isKeepObject(name):
		return ObjectKeep, true
	case isLedgerObject(name):
		return ObjectLedger, true
	case strings.HasPrefix(name, condemn.Prefix):
		return ObjectCondemned, isHex(strings.TrimPrefix(name, condemn.Prefix), 32)
	}
	return ObjectUnknown, false
}

// small mends everything that is kept twice, either object by the other.
func (x *repairer) small(ctx context.Context) error {
	for _, prefix := range twicePrefixes {
		var names []string
		err := listTwice(ctx, x.r.be, prefix, func(name string, _, _ bool) { names = append(names, name) })
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			if kind, ok := kindOf(name); ok {
				if err := x.twice(ctx, name, kind); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// one is one of the two objects of something small.
type one struct {
	data []byte
	err  error
}

func (o one) missing() bool { return errors.Is(o.err, storage.ErrNotFound) }

// lost tells what will not be read another time either.
func (o one) lost() bool { return o.missing() || isDamage(o.err) }

func (x *repairer) readOne(ctx context.Context, object, name string) one {
	data, err := storage.ReadAll(ctx, x.r.be, object, maxSmallSize, nil)
	if err != nil {
		return one{err: readCause(ctx, err)}
	}
	// What is sealed under a name was sealed by this program for that place.
	_, err = x.r.keys.Open(seal.TypeOf(data), name, slices.Clone(data))
	return one{data, damage(err)}
}

// twice mends one small object. The object is read before its copy: if it was
// deleted, the copy went before it.
func (x *repairer) twice(ctx context.Context, name, kind string) error {
	first := x.readOne(ctx, name, name)
	second := x.readOne(ctx, copyOf(name), name)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, o := range []one{first, second} {
		if errors.Is(o.err, keyring.ErrNoVersion) || errors.Is(o.err, seal.ErrFormat) {
			return fault.New("repair", name, o.err, "it is newer than the key ring or the program at hand: use the newest of both")
		}
	}
	second.err = sameCopy(name, first, second)
	switch {
	case first.missing() && second.missing(), first.err == nil && second.err == nil:
		return nil
	case first.err == nil && second.missing():
		return x.addCopy(ctx, name, kind, first.data)
	case first.err == nil:
		return x.mend(ctx, Action{Object: copyOf(name), Kind: kind, Found: second.err, By: ByCopy}, first.data)
	case second.err == nil:
		return x.restore(ctx, Action{Object: name, Kind: kind, Found: gone(first.err), By: ByCopy}, second.data)
	}
	a := Action{Object: name, Kind: kind, Found: gone(first.err), Harmless: kind == ObjectLedger}
	if mended, err := x.twiceFromReplicas(ctx, a, first, second); mended || err != nil {
		return err
	}
	if kind == ObjectIndex && first.lost() && second.lost() {
		x.fragments = append(x.fragments, name)
		return nil
	}
	a.Left = fmt.Errorf("its second copy: %w", gone(second.err))
	x.did(a)
	return nil
}

// sameCopy tells what is wrong with a copy: if both objects can be read and
// differ, the copy is held to be wrong, unless they are being sealed anew.
func sameCopy(name string, first, second one) error {
	if first.err == nil && second.err == nil && !bytes.Equal(first.data, second.data) && sameKey(first.data, second.data) {
		return fmt.Errorf("%w: it differs from %s", ErrDamaged, name)
	}
	return second.err
}

// addCopy stores a copy that is missing, unless the object goes meanwhile.
func (x *repairer) addCopy(ctx context.Context, name, kind string, data []byte) error {
	a := Action{Object: copyOf(name), Kind: kind, Found: ErrMissing, By: ByCopy}
	if err := x.r.putCopy(ctx, name, data); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.By, a.Left = "", err
	}
	x.did(a)
	return nil
}

// restore stores an object from its copy, unless that is deleted meanwhile: then
// somebody lets go of the object.
func (x *repairer) restore(ctx context.Context, a Action, data []byte) error {
	if err := x.mend(ctx, a, data); err != nil {
		return err
	}
	_, err := x.r.be.Stat(ctx, copyOf(a.Object))
	if errors.Is(err, storage.ErrNotFound) {
		return x.r.be.Delete(ctx, a.Object)
	}
	return err
}

// index writes the fragments anew both objects of which are lost. A session takes
// over the packs that only they named, as it does with those of a session that
// died; the fragments themselves come back empty, because snapshots name them.
func (x *repairer) index(ctx context.Context) error {
	lost, err := x.lostFragments(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	for _, typ := range []string{"", TypeArchival} {
		s, err := x.r.Session(ctx, SessionOptions{Type: typ})
		if err != nil {
			return err
		}
		if _, err := s.Abort(ctx); err != nil {
			return err
		}
	}
	for _, name := range lost {
		a := Action{Object: name, Kind: ObjectIndex, Found: fmt.Errorf("%w, and so is its second copy", ErrMissing), By: ByPacks}
		sealed, err := x.r.keys.Seal(seal.TypeIndex, name, new(index.Builder).Stored())
		if err != nil {
			return fault.New("write", name, err, "")
		}
		if err := x.write(ctx, copyOf(name), sealed); err != nil {
			a.By, a.Left = "", err
			x.did(a)
			continue
		}
		if err := x.mend(ctx, a, sealed); err != nil {
			return err
		}
	}
	return x.look(ctx)
}

// lostFragments are those that are damaged beyond their copies, and those that a
// snapshot names and that are not there at all.
func (x *repairer) lostFragments(ctx context.Context) ([]string, error) {
	// Snapshots first: the fragments that they name were there before them, or are
	// replaced by others that the index knows after it is read again.
	snaps, _, err := x.r.Snapshots(ctx, "")
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	if err := listTwice(ctx, x.r.be, indexPrefix, func(name string, _, _ bool) { there[name] = true }); err != nil {
		return nil, err
	}
	if err := x.look(ctx); err != nil {
		return nil, err
	}
	lost := slices.DeleteFunc(slices.Clone(x.fragments), x.r.index.standsIn)
	for _, name := range x.fragments {
		there[name] = true
	}
	for _, snap := range snaps {
		for _, name := range snap.Index {
			if !there[name] && isIndexObject(name) && !x.r.index.standsIn(name) {
				there[name] = true
				lost = append(lost, name)
			}
		}
	}
	return lost, nil
}
