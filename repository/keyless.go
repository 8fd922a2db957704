package repository

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Identify reads what a repository says of itself, which takes no key. The error
// wraps ErrNotRepository when there is none.
func Identify(ctx context.Context, be storage.Backend) (Config, error) { return readConfig(ctx, be) }

// KnowsAll tells whether this program knows every optional feature of the
// repository. One that does not must delete nothing.
func (c Config) KnowsAll() bool {
	return !slices.ContainsFunc(c.Optional, func(f string) bool { return !slices.Contains(knownOptional, f) })
}

// KindOf tells by an object's name what it holds: one of the Object constants,
// ObjectUnknown when it is none that is checked without a key. A second copy is
// of the kind of its object.
func KindOf(object string) string {
	bare := strings.TrimPrefix(object, copyPrefix)
	if _, ok := parseSnapshotObject(bare); ok {
		return ObjectSnapshot
	}
	switch kind := objectKind(object); kind {
	case ObjectSnapshot: // only by its place
		return ObjectUnknown
	default:
		return kind
	}
}

// ScrubBytes is Scrub for an object that was read already: nil means that data is
// what was stored under that name. It takes no key. The error wraps ErrDamaged, or
// ErrUnknownFeature when a newer program wrote it.
func ScrubBytes(object string, data []byte) error {
	var err error
	switch KindOf(object) {
	case ObjectConfig:
		_, err = decodeConfig(data)
	case ObjectPack:
		id, _ := parsePackObject(object)
		_, err = pack.Scrub(data, id)
	case ObjectParity:
		err = checkParity(object, data)
	case ObjectIndex, ObjectSnapshot, ObjectLedger, ObjectKeep:
		err = seal.Scrub(data)
	default:
		err = fmt.Errorf("%w: not an object of a repository", ErrDamaged)
	}
	return damage(err)
}

// Damaged tells whether an error from reading an object, or from ScrubBytes, means
// that stored bytes are not what was written, and not trouble that may pass.
func Damaged(err error) bool { return err != nil && isDamage(err) }

// SnapshotTime returns the time that the name of a snapshot's object tells; false
// when it is no such name.
func SnapshotTime(object string) (time.Time, bool) {
	ref, ok := parseSnapshotObject(strings.TrimPrefix(object, copyPrefix))
	return ref.time, ok
}
