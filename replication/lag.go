package replication

import (
	"context"
	"errors"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// Lag is how far a replica is behind.
type Lag struct {
	// Objects of the primary are not in the replica, and take Bytes.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Snapshots among them; Oldest is the time of the oldest, zero for none.
	Snapshots int64     `json:"snapshots"`
	Oldest    time.Time `json:"oldest,omitzero"`
	// Newest is the time of the newest snapshot that the replica has.
	Newest time.Time `json:"newest,omitzero"`
	// Pending objects are gone from the primary and wait for their deletion from the
	// replica. Lost ones are gone from the primary though nobody deleted them.
	Pending int64 `json:"pending"`
	Lost    int64 `json:"lost,omitempty"`
}

// Age is the age of the oldest snapshot that is not in the replica; 0 when all are.
func (l Lag) Age(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(now.Sub(l.Oldest), 0)
}

// Measure tells how far the replica in to is behind from, by listing both. A place that
// holds nothing yet lacks everything.
func Measure(ctx context.Context, from, to storage.Backend) (Lag, error) {
	var lag Lag
	config, err := repository.Identify(ctx, from)
	if err != nil {
		return lag, err
	}
	there, err := repository.Identify(ctx, to)
	if err != nil && !errors.Is(err, repository.ErrNotRepository) {
		return lag, err
	}
	if err == nil && there.ID != config.ID {
		return lag, fault.New("measure the lag of", to.Location(), ErrOtherRepository, "see whether both storages are the right ones")
	}
	notes, err := readNotes(ctx, to, repoID(config.ID))
	if err != nil {
		return lag, err
	}
	src, err := take(ctx, from)
	if err != nil {
		return lag, err
	}
	dst, err := takeAll(ctx, to)
	if err != nil {
		return lag, err
	}
	for _, lists := range [][2][]item{{src.packs, dst.packs}, {src.parity, dst.parity}} {
		all, size := lacks(lists[0], lists[1], func(key) bool { return true })
		lag.Objects += int64(len(all))
		lag.Bytes += size
	}
	for _, sides := range [][2]pairs{{src.keeps, dst.keeps}, {src.index, dst.index}, {src.snapshots, dst.snapshots}} {
		lag.addPairs(sides[0], sides[1])
	}
	for name := range src.snapshots {
		t, ok := repository.SnapshotTime(name)
		_, has := dst.snapshots[name]
		switch {
		case !ok:
		case has && t.After(lag.Newest):
			lag.Newest = t
		case !has:
			lag.Snapshots++
			if lag.Oldest.IsZero() || t.Before(lag.Oldest) {
				lag.Oldest = t
			}
		}
	}
	for _, g := range notes.gone {
		if g.lost {
			lag.Lost++
		} else {
			lag.Pending++
		}
	}
	return lag, nil
}

// addPairs counts the small objects that the replica lacks. Each is to be there twice.
func (l *Lag) addPairs(want, have pairs) {
	for name, p := range want {
		size := max(p.size, p.copySize)
		h, known := have[name]
		if !known {
			h = pair{size: -1, copySize: -1}
		}
		for _, there := range []int64{h.size, h.copySize} {
			if there < 0 {
				l.Objects++
				l.Bytes += size
			}
		}
	}
}
