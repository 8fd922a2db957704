package gcs_test

import (
	"errors"
	"slices"
	"testing"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
)

// matches judges objects that hold their own name.
func matches(name string, data []byte) error {
	if string(data) != name {
		return errors.New("not what was stored")
	}
	return nil
}

// In a bucket with versions what somebody else deleted comes back, as the newest version
// that is whole; what this program deleted, is not wanted or lies outside the prefix
// does not.
func TestUndelete(t *testing.T) {
	s := servers.GCS(t, servers.Versions())
	be, beside := open(t, configure(s, "p")), open(t, configure(s, "other"))
	for _, name := range []string{"packs/a", "packs/b", "packs/bb", "packs/there", "gc/x", "packs/pruned"} {
		put(t, be, name, name, backend.PutOptions{})
	}
	put(t, beside, "packs/a", "packs/a", backend.PutOptions{})
	if err := be.Delete(t.Context(), "packs/pruned"); err != nil {
		t.Fatal(err)
	}
	put(t, be, "packs/b", "garbage", backend.PutOptions{})
	put(t, be, "packs/none", "garbage", backend.PutOptions{})
	put(t, be, "packs/there", "packs/there", backend.PutOptions{}) // a past version, and a live one
	for _, name := range []string{"p/packs/a", "p/packs/b", "p/packs/bb", "p/packs/none", "p/gc/x", "other/packs/a"} {
		s.Delete(name)
	}
	for _, want := range [][]string{{"packs/a", "packs/b", "packs/bb", "packs/none"}, nil} {
		var back []string
		err := be.Undelete(t.Context(), backend.UndeleteOptions{
			Want: func(name string) bool { return name != "gc/x" }, Whole: matches,
			Tell: func(u backend.Undeleted) {
				back = append(back, u.Name)
				if passed := map[string]int{"packs/b": 1}[u.Name]; u.Passed != passed || (u.Damaged != nil) != (u.Name == "packs/none") {
					t.Errorf("%+v, want %d versions passed over", u, passed)
				}
			},
		})
		slices.Sort(back)
		if err != nil || !slices.Equal(back, want) {
			t.Errorf("Undelete brings back %q, %v; want %q", back, err, want)
		}
	}
	for _, name := range []string{"packs/a", "packs/b", "packs/bb", "packs/there"} {
		wantText(t, be, name, name)
	}
	for _, name := range []string{"gc/x", "packs/pruned"} {
		if _, err := be.Stat(t.Context(), name); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s is back: %v", name, err)
		}
	}
}

// Without versions there is nothing to look for, which takes a look at the bucket.
func TestUndeleteWithoutVersions(t *testing.T) {
	s := servers.GCS(t, servers.InMemory())
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	be := open(t, c)
	err := be.Undelete(t.Context(), backend.UndeleteOptions{
		Want: func(string) bool { return true }, Tell: func(u backend.Undeleted) { t.Errorf("%+v", u) },
	})
	if asked := seen.Take().Asked; err != nil || len(asked) != 1 {
		t.Errorf("%v, %q, want one request", err, asked)
	}
}
