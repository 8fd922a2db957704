package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/usertest"
)

// A file that cannot be read is named, the rest is in the snapshot, and the
// exit code tells.
func TestUnreadableFilesAreNamed(t *testing.T) { usertest.Run(t, unreadableFilesAreNamed) }

func unreadableFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	tree, ring := filepath.Join(dir, "tree"), filepath.Join(dir, "ring")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"open.txt": 0o644, "closed.txt": 0} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		args = append(args, "--repository", filepath.Join(dir, "repository"), "--key", ring)
		if code := execute(t.Context(), args, strings.NewReader(""), &out, &errs); code != want {
			t.Fatalf("mahavishnu %q: exit code %d, want %d\n%s%s", args, code, want, &out, &errs)
		}
		return out.String() + errs.String()
	}
	run(exitDone, "key", "create")
	said := run(exitUnreadable, "backup", tree)
	for _, part := range []string{"not read: closed.txt", "1 entry could not be read and is not in it"} {
		if !strings.Contains(said, part) {
			t.Errorf("the backup does not say %q:\n%s", part, said)
		}
	}
	target := filepath.Join(dir, "back")
	run(exitDone, "restore", "latest", "--target", target)
	if text, err := os.ReadFile(filepath.Join(target, "open.txt")); err != nil || string(text) != "open.txt" {
		t.Errorf("what could be read was not restored: %q, %v", text, err)
	}
}
