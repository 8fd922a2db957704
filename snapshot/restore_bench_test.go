package snapshot

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// benchmarkRestore restores a source again and again, each time into an empty
// target.
func benchmarkRestore(b *testing.B, files map[string]string) {
	s := newStore(b)
	src := b.TempDir()
	fill(b, src, files)
	snap := s.backup(src).Snapshot
	b.SetBytes(snap.Totals.Bytes)
	b.ResetTimer()
	for range b.N {
		dst := b.TempDir()
		s.restore(snap, RestoreOptions{Target: dst})
		b.StopTimer()
		s.must(os.RemoveAll(dst))
		b.StartTimer()
	}
	b.ReportMetric(float64(len(files)*b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkRestoreLargeFiles(b *testing.B) {
	files := map[string]string{}
	for i := range 8 {
		files[fmt.Sprintf("noise-%d", i)] = noise(byte(i), 16<<20)
		files[fmt.Sprintf("text-%d", i)] = strings.Repeat(fmt.Sprintf("a line of text that says %d and a little more\n", i), 1<<18)
	}
	benchmarkRestore(b, files)
}

func BenchmarkRestoreSmallFiles(b *testing.B) {
	files := map[string]string{}
	for i := range 5000 {
		files[fmt.Sprintf("dir-%d/file-%d", i/100, i)] = noise(byte(i), 1000+i)
	}
	benchmarkRestore(b, files)
}

// BenchmarkRestoreNothingToDo compares a restored tree with its snapshot, which
// reads and hashes all of it.
func BenchmarkRestoreNothingToDo(b *testing.B) {
	s := newStore(b)
	src, dst := b.TempDir(), b.TempDir()
	files := map[string]string{"large": noise(1, 64<<20)}
	for i := range 2000 {
		files[fmt.Sprintf("dir-%d/file-%d", i/100, i)] = noise(byte(i), 1000)
	}
	fill(b, src, files)
	snap := s.backup(src).Snapshot
	s.restore(snap, RestoreOptions{Target: dst})
	b.SetBytes(snap.Totals.Bytes)
	for b.Loop() {
		if r := s.restore(snap, RestoreOptions{Target: dst}); r.WrittenBytes > 0 {
			b.Fatalf("%+v", r)
		}
	}
}
