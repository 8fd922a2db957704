package s3_test

import (
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
		err := be.Undelete(t.Context(), func(name string) bool { return !strings.HasPrefix(name, "gc/") }, func(name string) { back = append(back, name) })
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
