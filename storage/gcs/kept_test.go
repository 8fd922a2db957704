package gcs_test

import (
	"errors"
	"testing"
	"time"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
)

// What is asked of retention arrives at a real server, is told again, and stays with what is
// brought back. The server at hand keeps nobody from deleting: this program goes by what it
// says.
func TestRetentionOnAServer(t *testing.T) {
	s := servers.GCS(t, servers.Versions())
	c := configure(s, "p")
	c.Retention = "unlocked"
	be := open(t, c)
	until := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	want := func(name string, until time.Time) {
		t.Helper()
		if got, err := be.Retained(t.Context(), name); err != nil || !got.Equal(until) {
			t.Errorf("%s is kept until %v, %v; want %v", name, got, err, until)
		}
	}
	put(t, be, "packs/a", "packs/a", backend.PutOptions{RetainUntil: until})
	put(t, be, "packs/free", "packs/free", backend.PutOptions{})
	want("packs/a", until)
	want("packs/free", time.Time{})
	if err := be.Retain(t.Context(), "packs/a", until.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	want("packs/a", until)
	until = until.Add(24 * time.Hour)
	for _, name := range []string{"packs/a", "packs/free"} {
		if err := be.Retain(t.Context(), name, until); err != nil {
			t.Fatal(err)
		}
		want(name, until)
		if err := be.Delete(t.Context(), name); !errors.Is(err, backend.ErrRetained) {
			t.Errorf("delete %s: %v, want ErrRetained", name, err)
		}
		wantText(t, be, name, name)
	}
	s.Delete("p/packs/a")
	back := 0
	err := be.Undelete(t.Context(), backend.UndeleteOptions{
		Want: func(string) bool { return true }, Whole: matches, Tell: func(backend.Undeleted) { back++ },
	})
	if err != nil || back != 1 {
		t.Fatalf("%d brought back, %v", back, err)
	}
	wantText(t, be, "packs/a", "packs/a")
	want("packs/a", until)
}
