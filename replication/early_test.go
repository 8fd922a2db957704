package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// keyed is a Knower with the world's key.
type keyed struct {
	w       *world
	primary *repository.Repository
	all     []repository.Snapshot
}

func (w *world) know(ctx context.Context) (Knower, error) {
	repo, err := repository.Open(ctx, w.from, w.ring, repository.OpenOptions{})
	if err != nil {
		return nil, err
	}
	all, _, err := repo.Snapshots(ctx, "")
	return &keyed{w, repo, all}, err
}

func (k *keyed) Packs(context.Context) (map[string][]string, error) {
	return k.primary.IndexPacks(), nil
}

func (k *keyed) Whole(ctx context.Context, name string) (bool, error) {
	for _, s := range k.all {
		if !strings.HasSuffix(name, s.ID) {
			continue
		}
		repo, err := repository.Open(ctx, &place{k.w.to.Clone(), "looked at"}, k.w.ring, repository.OpenOptions{})
		if err != nil {
			return false, err
		}
		return repo.HasIndexOf(s) && snapshot.Whole(ctx, repo, s) == nil, repo.Close()
	}
	return false, nil
}

func (k *keyed) Close() error { return k.primary.Close() }

// stamped is a place that tells when objects were put: in the order of their stamps.
type stamped struct {
	*place
	stamps map[string]time.Time
}

func (s *stamped) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	return s.place.List(ctx, prefix, func(info storage.Info) error {
		info.ModTime = s.stamps[info.Name]
		return fn(info)
	})
}

// stamp gives what has come since the last time a later stamp than all before.
func (s *stamped) stamp() {
	at := time.Unix(1_700_000_000+int64(len(s.stamps)), 0)
	for name := range s.Objects() {
		if _, known := s.stamps[name]; !known {
			s.stamps[name] = at
		}
	}
}

// A target that has no room for everything shows the older snapshots that fit, each of which
// restores; without the key none shows before all that is there has arrived.
func TestOlderSnapshotsShowWhereNotAllFit(t *testing.T) {
	w := newWorld(t)
	from := &stamped{w.from, map[string]time.Time{}}
	var ids []string
	for _, file := range []string{"a", "b", "c", "d"} {
		w.write(file, 100_000)
		ids = append(ids, w.backup(w.from))
		from.stamp()
	}
	w.forget(ids[0])
	packs := w.from.has(packPrefix)
	full := func(room int, know bool) int {
		t.Helper()
		w.to = newPlace("replica")
		to := faults.Wrap(w.to)
		to.On(faults.Put).Under(packPrefix).After(room).Times(-1).Fail(storage.ErrFull)
		o := w.options()
		o.From, o.To, o.Parallel = from, to, 1
		if know {
			o.Know = w.know
		}
		r, err := Run(t.Context(), o)
		if !errors.Is(err, storage.ErrFull) {
			t.Fatalf("%+v, %v", r, err)
		}
		n := w.restores(w.to)
		if r.Snapshots != n || r.Finished {
			t.Errorf("%+v, and %d restore", r, n)
		}
		w.within(&place{w.to.Clone(), "checked"}, func(repo *repository.Repository) error {
			report, err := snapshot.Verify(t.Context(), repo, snapshot.VerifyOptions{ReadData: 100})
			if err != nil || report.ProblemsTotal > report.HarmlessTotal {
				t.Errorf("what the copy says of itself: %+v, %v", report, err)
			}
			return nil
		})
		w.within(w.from, func(repo *repository.Repository) error {
			for part, named := range repo.IndexPacks() {
				for _, pack := range named {
					if w.to.Objects()[part] != nil && w.to.Objects()[pack] == nil {
						t.Errorf("%s came before %s, which it names", part, pack)
					}
				}
			}
			return nil
		})
		return n
	}
	// Whatever the times say, which decide on nothing but the order: here it is the worst.
	honest := from.stamps
	from.stamps = map[string]time.Time{}
	for name, at := range honest {
		from.stamps[name] = time.Unix(2_000_000_000-at.Unix(), 0)
	}
	for room := range packs {
		full(room, true)
	}
	from.stamps = honest
	shown := 0
	for room := range packs {
		n := full(room, true)
		if n < shown {
			t.Errorf("with room for %d packs %d snapshots show, with less %d", room, n, shown)
		}
		shown = n
	}
	if shown != 2 { // all but the last, and the one that was forgotten
		t.Errorf("with room for all packs but one %d snapshots show, want 2", shown)
	}
	if n := full(packs-1, false); n != 0 {
		t.Errorf("without the key %d snapshots show", n)
	}
	w.replicate(func(o *Options) { o.From = from })
	w.equal()
}
