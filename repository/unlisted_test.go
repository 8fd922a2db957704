package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// closing is a storage in which some places cannot be listed.
type closing struct {
	storage.Backend
	closed atomic.Pointer[[]string]
}

func (c *closing) close(places ...string) { c.closed.Store(&places) }

func (c *closing) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	for _, place := range *c.closed.Load() {
		if strings.HasPrefix(prefix, place) {
			return &storage.Error{Op: "list", Object: prefix, Err: syscall.EIO}
		}
	}
	return c.Backend.List(ctx, prefix, fn)
}

// openClosing opens a repository of which places cannot be listed, and returns what
// is told of that.
func openClosing(t *testing.T, dir string, ring *keyring.Ring, o OpenOptions, places ...string) (*Repository, *closing, *[]string) {
	t.Helper()
	be := &closing{Backend: openDir(t, dir)}
	be.close(places...)
	told := new([]string)
	o.OnUnlisted = func(e *UnlistedError) { *told = append(*told, e.Place) }
	r, err := Open(t.Context(), be, ring, o)
	if err != nil {
		t.Fatalf("open without %q: %v", places, err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r, be, told
}

// refused lists what stores or deletes and is not refused.
func refused(t *testing.T, r *Repository, snap Snapshot) {
	t.Helper()
	for what, do := range map[string]func() error{
		"a session": func() error {
			s, err := r.Session(t.Context(), SessionOptions{})
			if err == nil {
				_, err = s.Abort(t.Context())
				t.Error("a session began")
			}
			return err
		},
		"forgetting": func() error { return r.Forget(t.Context(), snap) },
		"a collector": func() error {
			c, err := r.Collect(t.Context(), lease.Options{})
			if err == nil {
				err = errors.Join(errors.New("a collector began"), c.End(t.Context()))
			}
			return err
		},
		"repair":          func() error { _, err := r.Repair(t.Context(), RepairOptions{}); return err },
		"merging ledgers": func() error { return r.CompactLedger(t.Context(), testTime) },
		"a pin":           func() error { return r.Pin(t.Context(), snap, Keep{Time: testTime}) },
	} {
		if err := do(); !errors.Is(err, ErrUnlisted) {
			t.Errorf("%s: %v, want ErrUnlisted", what, err)
		}
	}
}

// Whoever reads goes on without a list of what helps reading, and tells of it once;
// whoever stores or deletes does nothing until the list is there again.
func TestReadersGoOnWithoutAListing(t *testing.T) {
	d := buildForDamage(t)
	for _, places := range [][]string{
		{ledgerPrefix},
		{copyPrefix},
		{"gc/"},
		{indexPrefix},
		{snapshotPrefix},
		{copyOf(ledgerPrefix)},
		{copyOf(indexPrefix)},
		{copyOf(snapshotPrefix)},
		{indexPrefix, copyOf(indexPrefix)},
	} {
		t.Run(strings.Join(places, " "), func(t *testing.T) {
			r, be, told := openClosing(t, d.dir, d.ring, OpenOptions{}, places...)
			snaps, bad, err := r.Snapshots(t.Context(), "")
			if err != nil || len(snaps) != len(d.work) {
				t.Fatalf("%d snapshots, %v, want %d", len(snaps), err, len(d.work))
			}
			for _, err := range bad {
				if !errors.Is(err, ErrUnlisted) {
					t.Errorf("a snapshot is called bad: %v", err)
				}
			}
			snap, err := r.FindSnapshot(t.Context(), "latest")
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range d.work {
				w.check(t, r)
			}
			if err := r.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			roots := map[string]int{}
			for _, place := range *told {
				roots[(&UnlistedError{Place: place}).root()]++
			}
			if len(*told) == 0 || len(roots) != len(*told) {
				t.Errorf("told of %q, want each directory once", *told)
			}
			refused(t, r, snap)

			be.close()
			s, err := r.Session(t.Context(), SessionOptions{PackSize: testPack})
			if err != nil {
				t.Fatalf("when it can be listed again: %v", err)
			}
			if _, err := s.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Writers that saw everything when they opened the repository find out later.
func TestWritersFindOutLater(t *testing.T) {
	d := buildForDamage(t)
	for _, place := range []string{ledgerPrefix, copyPrefix, indexPrefix, snapshotPrefix, packPrefix, forgottenPrefix} {
		t.Run(place, func(t *testing.T) {
			r, be, _ := openClosing(t, d.dir, d.ring, OpenOptions{})
			c, err := r.Collect(t.Context(), lease.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.End(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			be.close(place)
			if s, err := r.Session(t.Context(), SessionOptions{}); err == nil {
				t.Errorf("a session began")
				_, _ = s.Abort(t.Context())
			}
			s, err := r.Survey(t.Context())
			if err == nil && len(s.Unread) == 0 {
				t.Error("a survey saw everything")
			}
			be.close()
		})
	}
}

// What was loaded once stays in use, and what lies in the cache is used, when the
// index cannot be listed.
func TestTheIndexOutlivesItsListing(t *testing.T) {
	d := buildForDamage(t)
	cache := t.TempDir()
	r, be, _ := openClosing(t, d.dir, d.ring, OpenOptions{CacheDir: cache})
	want := r.index.names()
	be.close(indexPrefix, copyOf(indexPrefix))
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.index.names(); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("in use: %q, want %q", got, want)
	}
	again, _, _ := openClosing(t, d.dir, d.ring, OpenOptions{CacheDir: cache}, indexPrefix, copyOf(indexPrefix))
	if got := again.index.names(); !slices.Equal(got, want) {
		t.Errorf("from the cache: %q, want %q", got, want)
	}
}

// Doubts that were known count on when they cannot be listed any more.
func TestDoubtsOutliveTheirListing(t *testing.T) {
	d := buildForDamage(t)
	r, be, _ := openClosing(t, d.dir, d.ring, OpenOptions{})
	id, _ := parsePackObject(d.objects(t, d.dir, packPrefix)[0])
	r.Distrust(ledger.Doubt{Pack: id, Why: ledger.Stored, Blobs: r.blobsIn(id)})
	if err := r.RecordDoubts(t.Context(), testTime, nil); err != nil {
		t.Fatal(err)
	}
	be.close(ledgerPrefix)
	if err := r.Refresh(t.Context()); err != nil || r.Doubts() != 1 {
		t.Errorf("%d packs are doubted (%v), want 1", r.Doubts(), err)
	}
	if err := r.RecordDoubts(t.Context(), testTime, []PackID{id}); !errors.Is(err, ErrUnlisted) || r.Doubts() != 1 {
		t.Errorf("settling = %v, %d packs are doubted", err, r.Doubts())
	}
}

// A snapshot that is not found is not called missing when it may be there unseen.
func TestASnapshotThatMayBeThere(t *testing.T) {
	d := buildForDamage(t)
	r, _, _ := openClosing(t, d.dir, d.ring, OpenOptions{}, snapshotPrefix, copyOf(snapshotPrefix))
	for _, ref := range []string{"latest", "latest:home", "0123456789abcdef"} {
		if _, err := r.FindSnapshot(t.Context(), ref); !errors.Is(err, ErrUnlisted) || errors.Is(err, ErrNoSnapshot) {
			t.Errorf("FindSnapshot(%s) = %v", ref, err)
		}
	}
}

// A check names each place that it cannot list, once, and goes on with the rest: it
// calls nothing missing that it cannot see.
func TestACheckNamesWhatItCannotList(t *testing.T) {
	d := buildForDamage(t)
	r := reopen(t, openDir(t, d.dir), d.ring)
	snaps, _, err := r.Snapshots(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Record(t.Context(), ledger.New(nil, Seen(testTime, snaps))); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{
		ledgerPrefix, copyOf(ledgerPrefix), indexPrefix, copyOf(indexPrefix), snapshotPrefix, copyOf(snapshotPrefix),
		packPrefix, pinPrefix, holdPrefix, "gc/forgotten/", "gc/condemned/", "parity/",
	} {
		t.Run(place, func(t *testing.T) {
			r, _, _ := openClosing(t, d.dir, d.ring, OpenOptions{}, place)
			var found []string
			learned, err := r.Check(t.Context(), testTime, func(p Problem) error {
				found = append(found, p.Object)
				if !errors.Is(p.Err, ErrUnreadable) || p.Harmless || p.Kind == ObjectUnknown {
					t.Errorf("found %v, harmless: %v", p, p.Harmless)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{place}
			if place == "parity/" { // which this repository has none of
				want = nil
			}
			if !slices.Equal(found, want) {
				t.Errorf("found %q, want %q", found, want)
			}
			if learned.PacksUnlisted != (place == packPrefix) || len(learned.Snapshots) != len(snaps) {
				t.Errorf("learned %+v", learned)
			}
		})
	}
}

// A blob that no index knows may be in a pack that cannot be looked into: then it is
// not missing.
func TestABlobThatMayBeInAPackUnseen(t *testing.T) {
	d := buildForDamage(t)
	r, _, _ := openClosing(t, d.dir, d.ring, OpenOptions{}, packPrefix)
	_, err := r.Load(t.Context(), ID{1}, KindData, nil)
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrBlobMissing) || !strings.Contains(fmt.Sprint(err), "list packs/") {
		t.Errorf("Load = %v", err)
	}
	for _, w := range d.work {
		w.check(t, r) // by the index
	}

	// One pack whose table cannot be read hides what is in it, and nothing else.
	for _, name := range append(d.objects(t, d.dir, indexPrefix), d.objects(t, d.dir, copyOf(indexPrefix))...) {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	be := faults.Wrap(openDir(t, d.dir))
	be.On(faults.Get).Under(d.objects(t, d.dir, packPrefix)[0]).Times(-1).Fail(syscall.EIO)
	r = reopen(t, be, d.ring)
	if _, err = r.Load(t.Context(), ID{1}, KindData, nil); !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrBlobMissing) {
		t.Errorf("Load = %v", err)
	}
	if len(r.index.names()) == 0 {
		t.Error("what the other packs say is not in use")
	}
}
