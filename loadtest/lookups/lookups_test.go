package lookups

import (
	"path/filepath"
	"runtime"
	"testing"

	"mahavishnu/clock"
)

func TestAnIndexOfManyBlobs(t *testing.T) {
	const blobs, asks = 20_000, 5_000
	dir := filepath.Join(t.TempDir(), "work")
	made, err := Fill(t.Context(), clock.System(), dir, blobs)
	if err != nil {
		t.Fatal(err)
	}
	if made.Blobs != blobs || made.Packs < 1 || made.Fragments < 1 {
		t.Errorf("made %+v, want %d blobs", made, blobs)
	}
	// An id alone has 32 bytes.
	if each := made.Index / blobs; each < 32 || each > 64 {
		t.Errorf("the index takes %d bytes a blob", each)
	}
	steps, err := Ask(t.Context(), clock.System(), dir, blobs, asks)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 4 || steps[2].Asked != asks || steps[3].Asked != asks {
		t.Fatalf("steps: %+v", steps)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if last := steps[3].Grown; last.Mapped < made.Index/2 {
		t.Errorf("after asking for a quarter of all blobs %d bytes of an index of %d are in memory; every page was touched", last.Mapped, made.Index)
	}
}

func TestAnswersAreChecked(t *testing.T) {
	const blobs = 1000
	dir := filepath.Join(t.TempDir(), "work")
	if _, err := Fill(t.Context(), clock.System(), dir, blobs); err != nil {
		t.Fatal(err)
	}
	// Half of what is asked for as absent is there.
	if _, err := Ask(t.Context(), clock.System(), dir, blobs/2, 1000); err == nil {
		t.Error("blobs that are there were taken for absent")
	}
	if _, err := Fill(t.Context(), clock.System(), dir, 1); err == nil {
		t.Error("a directory that is there was filled")
	}
}
