package s3_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
)

// What somebody hid behind delete markers comes back; what was deleted for good, is
// not wanted or lies outside the prefix does not.
func TestUndelete(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	client := owner(t, s)
	be := locked(t, s, "compliance")
	for _, name := range []string{"packs/a", "packs/b", "packs/there", "gc/x"} {
		put(t, be, name, name, backend.PutOptions{RetainUntil: in(time.Hour)})
	}
	put(t, be, "packs/pruned", "pruned", backend.PutOptions{})
	if err := be.Delete(t.Context(), "packs/pruned"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"p/packs/a", "p/packs/a", "p/packs/b", "p/gc/x", "p/packs/pruned"} {
		if _, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &s.Bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := be.Stat(t.Context(), "packs/a"); err == nil {
		t.Fatal("the marker hides nothing")
	}
	for _, want := range [][]string{{"packs/a", "packs/b"}, nil} {
		var back []string
		err := be.Undelete(t.Context(), backend.UndeleteOptions{
			Want: func(name string) bool { return !strings.HasPrefix(name, "gc/") },
			Tell: func(u backend.Undeleted) { back = append(back, u.Name) },
		})
		slices.Sort(back)
		if err != nil || !slices.Equal(back, want) {
			t.Errorf("Undelete brings back %q, %v; want %q", back, err, want)
		}
	}
	for _, name := range []string{"packs/a", "packs/b", "packs/there"} {
		wantText(t, be, name, name)
	}
	for _, name := range []string{"gc/x", "packs/pruned"} {
		if _, err := be.Stat(t.Context(), name); err == nil {
			t.Errorf("%s is back", name)
		}
	}
}

// Whoever deletes may have overwritten before: the newest version that is whole comes
// back, retained as long as it was, and the newest of all where none is.
func TestUndeletePassesOverWhatIsNotWhole(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	client := owner(t, s)
	be := locked(t, s, "compliance")
	until := in(time.Hour)
	for _, name := range []string{"packs/a", "packs/b", "packs/c"} {
		put(t, be, name, name, backend.PutOptions{RetainUntil: until})
	}
	for _, over := range []struct{ key, data string }{{"p/packs/a", "garbage"}, {"p/packs/a", "more garbage"}, {"p/packs/c", "packs/c"}, {"p/packs/none", "garbage"}} {
		if _, err := client.PutObject(t.Context(), putInput(s.Bucket, over.key, over.data)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"p/packs/a", "p/packs/b", "p/packs/c", "p/packs/none"} {
		if _, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &s.Bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	back := map[string]backend.Undeleted{}
	err := be.Undelete(t.Context(), backend.UndeleteOptions{
		Want: func(string) bool { return true },
		Whole: func(name string, data []byte) error {
			if string(data) != name {
				return errors.New("not what was stored")
			}
			return nil
		},
		Tell: func(u backend.Undeleted) { back[u.Name] = u },
	})
	if err != nil || len(back) != 4 {
		t.Fatalf("back are %v, %v", back, err)
	}
	for name, passed := range map[string]int{"packs/a": 2, "packs/b": 0, "packs/c": 0} {
		if u := back[name]; u.Passed != passed || u.Damaged != nil {
			t.Errorf("%s: %+v, want %d versions passed over", name, u, passed)
		}
		wantText(t, be, name, name)
	}
	if kept, err := be.Retained(t.Context(), "packs/a"); err != nil || kept.Before(until.Truncate(time.Second)) {
		t.Errorf("what came back is kept until %v, %v; want %v", kept, err, until)
	}
	if u := back["packs/none"]; u.Damaged == nil {
		t.Errorf("an object without a version that is whole: %+v", u)
	}
	wantText(t, be, "packs/none", "garbage")
	if kept, markers := versions(t, client, s.Bucket, "p/packs/b"); kept != 1 || markers != 0 {
		t.Errorf("bringing back the newest made %d versions, %d markers of it; want 1 and 0", kept, markers)
	}
}
