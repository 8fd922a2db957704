package repository

import (
	"context"
	"errors"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage"
)

const (
	// gonePrefix is where forgetting leaves a note that takes no key to see, by its name
	// alone: the day, and the snapshot's name. Who copies a repository without keys
	// tells by it that a snapshot was forgotten, and did not get lost.
	gonePrefix = "gc/gone/"
	goneDay    = "20060102"
	// goneFor is how long such a note stays. A replica that was not brought up to date
	// for longer takes the snapshot for lost, and keeps it.
	goneFor = 400 * 24 * time.Hour
	// goneText is what it says, for people.
	goneText = "forgotten\n"
)

// NoteGone leaves a note that a snapshot was forgotten, durably. It takes no key:
// whoever deletes snapshots from a replica calls it as well, before, so that a
// replica of that one knows. object is the snapshot's name in the storage.
func NoteGone(ctx context.Context, be storage.Backend, object string, now time.Time) error {
	return be.Put(ctx, gonePrefix+now.UTC().Format(goneDay)+"/"+object, []byte(goneText), storage.PutOptions{Sync: true})
}

// EachGone calls fn with every snapshot of which such a note, or a mark of one that is
// being forgotten, is in the storage, and with the note's name. It takes no key.
func EachGone(ctx context.Context, be storage.Backend, fn func(snapshot, note string)) error {
	for _, prefix := range []string{gonePrefix, forgottenPrefix} {
		err := be.List(ctx, prefix, func(info storage.Info) error {
			name := strings.TrimPrefix(info.Name, prefix)
			if prefix == gonePrefix {
				_, name, _ = strings.Cut(name, "/")
			}
			fn(name, info.Name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tidyGone deletes notes that are old enough.
func (r *Repository) tidyGone(ctx context.Context) error {
	before := clock.System().Now().Add(-goneFor).UTC().Format(goneDay)
	var old []string
	err := listBelow(ctx, r.be, gonePrefix, func(info storage.Info) error {
		if day, _, _ := strings.Cut(strings.TrimPrefix(info.Name, gonePrefix), "/"); len(day) == len(goneDay) && day < before {
			old = append(old, info.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := r.be.Delete(ctx, name); err != nil && !errors.Is(err, storage.ErrRetained) {
			return err
		}
	}
	return nil
}
