package repository

import (
	"testing"

	"mahavishnu/repository/lease"
)

// A reader whose index is from before a prune finds what was copied since.
func TestReadersFollowARepack(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "job"); err != nil {
		t.Fatal(err)
	}
	reader := reopen(t, r.Backend(), ring)
	repackAll(t, reopen(t, r.Backend(), ring))
	gone := 0
	reader.EachBlob(func(_ ID, loc Location) bool {
		if _, err := r.Backend().Stat(t.Context(), loc.Pack.Object()); err != nil {
			gone++
		}
		return true
	})
	if gone == 0 {
		t.Fatal("every pack is still there")
	}
	w.check(t, reader)
}

// repackAll copies everything to new packs and removes the old ones.
func repackAll(t *testing.T, r *Repository) {
	t.Helper()
	c, err := r.Collect(t.Context(), lease.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, all := surveyAll(t, r)
	var ids []PackID
	for _, use := range all {
		ids = append(ids, use.ID)
	}
	copied, err := c.Repack(t.Context(), s, func(PackID) bool { return true }, nil)
	if err != nil || len(copied.Failed) > 0 {
		t.Fatalf("Repack = %+v, %v", copied, err)
	}
	if _, err := c.Condemn(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	lists, damaged, err := c.Condemned(t.Context())
	if err != nil || len(lists) != 1 || len(damaged) != 0 || len(lists[0].Waiting) != 0 {
		t.Fatalf("condemned %+v, damaged %v, %v", lists, damaged, err)
	}
	s, _ = surveyAll(t, r)
	if s.Rescues() != 0 {
		t.Fatalf("%d blobs are in condemned packs only", s.Rescues())
	}
	if _, err := c.Sweep(t.Context(), s, lists, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// surveyAll needs every blob there is.
func surveyAll(t *testing.T, r *Repository) (*Survey, []PackUse) {
	t.Helper()
	s, err := r.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.EachBlob(func(id ID, _ Location) bool {
		if _, err := s.Need(id, false); err != nil {
			t.Fatal(err)
		}
		return true
	})
	uses, err := s.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, uses
}
