package repository

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// TestKeyUses rotates the key between two sessions and counts by the headers of
// all objects, read by the test itself.
func TestKeyUses(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), memoryDir(t)
	be := openDir(t, dir)
	ring := keyring.Generate(time.Unix(0, 0))
	r, err := Create(ctx, be, ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := someWork(1).run(ctx, startSession(t, r, SessionOptions{}), "job1")
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, r)
	if r, err = Open(ctx, be, ring.Rotated(time.Unix(1, 0)), OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	if _, err := someWork(2).run(ctx, startSession(t, r, SessionOptions{}), "job2"); err != nil {
		t.Fatal(err)
	}
	if err := r.Pin(ctx, first, Keep{Reason: "sealed with the new version"}); err != nil {
		t.Fatal(err)
	}
	want := map[uint32]KeyUse{}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) < 12 {
			return err
		}
		use := want[binary.LittleEndian.Uint32(data[8:])]
		switch string(data[:4]) {
		case "MHVp":
			use.Packs++
			use.PackBytes += int64(len(data))
		case "MHVs":
			use.Objects++
		default:
			return nil
		}
		want[binary.LittleEndian.Uint32(data[8:])] = use
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.KeyUses(ctx)
	if err != nil || len(got.Unknown) > 0 {
		t.Fatalf("unknown %v, %v", got.Unknown, err)
	}
	if len(got.Versions) != 2 || len(want) != 2 || got.Versions[1] != want[1] || got.Versions[2] != want[2] || want[1].Packs == 0 || want[2].Packs == 0 {
		t.Errorf("uses %+v, the headers say %+v", got.Versions, want)
	}

	// What does not tell is named.
	object := snapshotObject(first.Source, first.Time, first.ID)
	if err := errors.Join(be.Delete(ctx, object), be.Put(ctx, object, []byte("rubbish, and long enough"), storage.PutOptions{})); err != nil {
		t.Fatal(err)
	}
	if got, err = r.KeyUses(ctx); err != nil || len(got.Unknown) != 1 || !strings.HasPrefix(got.Unknown[0], "snapshots/") {
		t.Errorf("unknown %v, %v", got.Unknown, err)
	}
}
