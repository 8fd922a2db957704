package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mahavishnu/usertest"
)

// A directory of the storage that this user may not open stands in the way of
// what stores, deletes or judges, and not of reading.
func TestAClosedDirectoryOfTheStorage(t *testing.T) { usertest.Run(t, aClosedDirectory) }

func aClosedDirectory(t *testing.T) {
	dir := t.TempDir()
	tree, storage := filepath.Join(dir, "tree"), filepath.Join(dir, "repository")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte(strings.Repeat("content ", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	var errs string
	run := func(want int, args ...string) string {
		t.Helper()
		var out, warnings strings.Builder
		args = append(args, "--repository", storage, "--key", filepath.Join(dir, "ring"))
		if code := execute(t.Context(), args, strings.NewReader(""), &out, &warnings); code != want {
			t.Errorf("mahavishnu %q: exit code %d, want %d\n%s%s", args, code, want, &out, &warnings)
		}
		errs = warnings.String()
		return out.String() + errs
	}
	run(exitDone, "key", "create")
	run(exitDone, "backup", tree)
	run(exitDone, "verify", "--read-data", "100")

	with := func(place string, mode os.FileMode, check func()) {
		t.Helper()
		path := filepath.Join(storage, place)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		check()
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range []string{"ledger", "copies", "gc", "gc/forgotten", "index", "snapshots", "copies/index", "copies/pins", "parity", "parity/stripes"} {
		with(place, 0, func() {
			path := filepath.Join(storage, place)
			told := place != "copies/pins" && !strings.HasPrefix(place, "parity") // which restoring does not look for
			warned := func() {
				t.Helper()
				n := strings.Count(errs, "warning: list "+place)
				if told && (n != 1 || !strings.Contains(errs, "access to "+path+",")) || !told && n > 0 {
					t.Errorf("%s is closed, and that is told %d times:\n%s", place, n, errs)
				}
			}
			back := filepath.Join(dir, "back-"+filepath.Base(place))
			run(exitDone, "restore", "latest", "--target", back)
			warned()
			if text, err := os.ReadFile(filepath.Join(back, "file")); err != nil || len(text) != 8000 {
				t.Errorf("%s is closed: restored %d bytes, %v", place, len(text), err)
			}
			if said := run(exitDone, "ls", "latest"); !strings.Contains(said, "file") {
				t.Errorf("ls says %s", said)
			}
			warned()
			run(exitDone, "dump", "latest", "file")
			warned()
			run(exitDone, "snapshots")
			run(exitIntegrity, "verify")
			run(exitIntegrity, "verify", "--read-data", "100")
			said := run(exitIntegrity, "verify", "--scrub")
			if strings.HasPrefix(place, "gc") { // of which a scrub reads nothing
				return
			}
			if !strings.Contains(said, "UNREADABLE "+place+"/") || strings.Contains(said, "bad sectors") || strings.Contains(said, "DAMAGED") {
				t.Errorf("%s is closed; the scrub says\n%s", place, said)
			}
			if said := run(exitDone, "status"); !strings.Contains(said, tree) {
				t.Errorf("%s is closed; status says\n%s", place, said)
			}
			if told {
				if said := run(exitFailed, "doctor"); !strings.Contains(said, "list "+place) {
					t.Errorf("%s is closed; doctor says\n%s", place, said)
				}
				run(exitFailed, "backup", tree)
				run(exitFailed, "prune")
				run(exitIntegrity, "verify", "--repair")
			}
		})
	}
	// What the index names can be read where it cannot be listed, and a pack alone in
	// its stripe where it cannot be read.
	for i, mode := range []os.FileMode{0o300, 0} {
		with("packs", mode, func() {
			back := filepath.Join(dir, "by-name", strconv.Itoa(i))
			run(exitDone, "restore", "latest", "--target", back)
			if text, err := os.ReadFile(filepath.Join(back, "file")); err != nil || len(text) != 8000 {
				t.Errorf("packs has mode %v: restored %d bytes, %v", mode, len(text), err)
			}
			if said := run(exitIntegrity, "verify"); !strings.Contains(said, "UNREADABLE packs/:") {
				t.Errorf("packs has mode %v; verify says\n%s", mode, said)
			}
		})
	}
	if err := os.RemoveAll(filepath.Join(storage, "parity")); err != nil {
		t.Fatal(err)
	}
	with("packs", 0, func() {
		for _, args := range [][]string{{"restore", "latest", "--target", filepath.Join(dir, "none")}, {"ls", "latest"}, {"dump", "latest", "file"}} {
			said := run(exitFailed, args...)
			if !strings.Contains(said, "list packs/") || !strings.Contains(said, "permission denied") || strings.Contains(said, "missing") {
				t.Errorf("packs is closed; %q says\n%s", args, said)
			}
		}
	})
	run(exitDone, "verify", "--repair")
	run(exitDone, "restore", "latest", "--target", filepath.Join(dir, "last"))
}
