package corpus

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompareNamesWhatDiffers(t *testing.T) {
	spec := Spec{Kind: Small, Files: 8, FileSize: 5000}
	want, got := filepath.Join(t.TempDir(), "want"), filepath.Join(t.TempDir(), "got")
	for _, dir := range []string{want, got} {
		if _, err := Write(context.Background(), dir, spec); err != nil {
			t.Fatal(err)
		}
		stamp(t, dir)
	}
	if n, differ, err := Compare(context.Background(), want, got); err != nil || len(differ) > 0 || n.Files != 8 {
		t.Fatalf("equal trees: %+v, differ %q, %v", n, differ, err)
	}

	file := func(n int) string { return filepath.Join(got, spec.path(n)) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Remove(file(0)))
	check(os.Chmod(file(1), 0o600))
	check(os.Chtimes(file(2), time.Time{}, time.Unix(7, 8)))
	flip(t, file(3))
	check(os.WriteFile(file(4)+".more", nil, 0o600))
	stamp(t, got, file(2))
	_, differ, err := Compare(context.Background(), want, got)
	check(err)
	wanted := []string{
		spec.path(0) + ": is missing",
		spec.path(1) + ": has mode -rw------- instead of -rw-r--r--",
		spec.path(2) + ": has another modification time",
		spec.path(3) + ": has other content",
		spec.path(4) + ".more: is not in the source",
	}
	if diff := cmp.Diff(wanted, differ); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// stamp gives everything below dir the same time, but for some paths.
func stamp(t *testing.T, dir string, but ...string) {
	t.Helper()
	skip := map[string]bool{}
	for _, path := range but {
		skip[path] = true
	}
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil || skip[path] {
			return err
		}
		return os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000, 123))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
