package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
)

// TestFilesOfEverySizeComeBack goes through sizes around blocks, runs and the
// size from which files pass by the page cache.
func TestFilesOfEverySizeComeBack(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	files := map[string]string{}
	for i, size := range []int{
		0, 1, fsmeta.Block - 1, fsmeta.Block, fsmeta.Block + 1, directFrom - 1, directFrom, directFrom + 1,
		runWrite - 1, runWrite, runWrite + fsmeta.Block + 7, 3*runWrite + 5, runSpace + 3,
	} {
		files[fmt.Sprintf("noise-%d", size)] = noise(byte(i), size)
		files[fmt.Sprintf("text-%d", size)] = strings.Repeat(fmt.Sprintf("%d bytes of text\n", size), size/10+1)[:size]
	}
	again := noise(99, 3<<20) // met twice in one file and once in another
	files["twice"] = again + noise(98, 77) + again
	files["once"] = again
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	for _, verify := range []bool{false, true} {
		dst := t.TempDir()
		report := s.restore(snap, RestoreOptions{Target: dst, Verify: verify})
		wantContents(t, dst, files)
		if want := map[bool]int64{true: report.WrittenBytes}[verify]; report.ReadBackBytes != want || report.WrittenBytes == 0 {
			t.Errorf("verify %v: %d of %d bytes read back", verify, report.ReadBackBytes, report.WrittenBytes)
		}
	}
}

func TestWhatReadsBackDifferentlyIsNoticed(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []byte(noise(1, 3*backSpace+17))
	if _, err := f.WriteAt(want, 5); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, backSpace)
	if err := sameBytes(f, want, 5, back); err != nil {
		t.Error(err)
	}
	for _, at := range []int{0, backSpace, len(want) - 1} {
		other := bytes.Clone(want)
		other[at] ^= 1
		if err := sameBytes(f, other, 5, back); !errors.Is(err, repository.ErrDamaged) {
			t.Errorf("byte %d differs: %v", at, err)
		}
	}
	if err := f.Truncate(backSpace); err != nil {
		t.Fatal(err)
	}
	if err := sameBytes(f, want, 5, back); err == nil {
		t.Error("what was cut off is not missed")
	}
}

// TestManyBatches restores with batches so small that many are planned
// while others are carried out.
func TestManyBatches(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	files := map[string]string{"large": noise(7, 20<<20)}
	for i := range 300 {
		files[fmt.Sprintf("dir-%d/file-%d", i%7, i)] = noise(byte(i), 1000+i)
	}
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	r, err := newRestorer(s.repo, snap, RestoreOptions{Target: dst, Verify: true})
	s.must(err)
	r.batch = 3
	s.must(r.run(t.Context()))
	if got := s.compare(t, snap, dst); got != nil {
		t.Error(got)
	}
}

func TestIncludeThatFitsNothingIsAnError(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, sample())
	snap := s.backup(src).Snapshot
	if _, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: t.TempDir(), Include: []string{"/nothing"}}); !errors.Is(err, ErrNothingFits) {
		t.Errorf("Restore = %v", err)
	}
	// What fits but is kept was found all the same.
	dst := t.TempDir()
	fill(t, dst, map[string]string{"a": "mine"})
	report, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: dst, Include: []string{"/a"}, Overwrite: OverwriteNever})
	if err != nil || report.Kept != 1 || report.Files != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestResumedRestoreFetchesWhatIsMissing stops a restore at half of its bytes, in
// the middle of large files, and counts what the next one reads from the storage.
func TestResumedRestoreFetchesWhatIsMissing(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	files := map[string]string{}
	for i := range 2 {
		files[fmt.Sprintf("large-%d", i)] = noise(byte(i), 48<<20)
	}
	for i := range 400 {
		files[fmt.Sprintf("dir-%d/small-%d", i%5, i)] = noise(byte(i), 10<<10)
	}
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	whole := s.restore(snap, RestoreOptions{Target: t.TempDir()})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("stopped by the test")
	first, err := Restore(ctx, s.repo, snap, RestoreOptions{
		Target: dst, Progress: &interruptAfter{bytes: snap.Totals.Bytes / 2, cancel: cancel, cause: stop},
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	second := s.restore(snap, RestoreOptions{Target: dst})
	if got := s.compare(t, snap, dst); got != nil {
		t.Error(got)
	}
	again := float64(first.FetchedBytes+second.FetchedBytes-whole.FetchedBytes) / float64(whole.FetchedBytes)
	t.Logf("fetched %d and %d bytes, in one go %d: %.2f %% were fetched again", first.FetchedBytes, second.FetchedBytes, whole.FetchedBytes, 100*again)
	if again > 0.05 || first.FetchedBytes > whole.FetchedBytes*3/4 {
		t.Errorf("fetched %d and %d bytes, in one go %d", first.FetchedBytes, second.FetchedBytes, whole.FetchedBytes)
	}
}

// TestInPlaceOnlyDifferingBlobsAreFetched counts what a restore over a tree that
// differs in a few places reads from the storage.
func TestInPlaceOnlyDifferingBlobsAreFetched(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	fill(t, src, map[string]string{"large": noise(1, 64<<20), "same": noise(2, 30<<20), "small": noise(3, 5000)})
	snap := s.backup(src).Snapshot
	whole := s.restore(snap, RestoreOptions{Target: dst})
	spoil(t, dst+"/large", 20<<20)
	report := s.restore(snap, RestoreOptions{Target: dst})
	if got := s.compare(t, snap, dst); got != nil {
		t.Error(got)
	}
	if report.WrittenBytes == 0 || report.WrittenBytes > maxBlob || report.FetchedBytes > maxBlob || report.Unchanged == 0 {
		t.Errorf("wrote %d and fetched %d bytes for one byte, of %d", report.WrittenBytes, report.FetchedBytes, whole.FetchedBytes)
	}
}
