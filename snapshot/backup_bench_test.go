package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// benchBackup measures backups of a directory, each into the repository that
// prepare returns.
func benchBackup(b *testing.B, files, size int, prepare func() *store) {
	b.Helper()
	dir := b.TempDir()
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("%03d", i/200), fmt.Sprintf("file-%05d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(noise(byte(i), size)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s := prepare()
	if s != nil {
		s.backup(dir)
	}
	b.SetBytes(int64(files * size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		one := s
		if one == nil {
			b.StopTimer()
			one = newStore(b)
			b.StartTimer()
		}
		one.backup(dir)
	}
	b.ReportMetric(float64(files*b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkFirstSmallFiles(b *testing.B) {
	benchBackup(b, 5000, 4<<10, func() *store { return nil })
}

func BenchmarkFirstLargeFiles(b *testing.B) {
	benchBackup(b, 4, 64<<20, func() *store { return nil })
}

func BenchmarkNothingChanged(b *testing.B) {
	benchBackup(b, 20000, 100, func() *store { return newStore(b) })
}
