package peers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mahavishnu/loadtest/process"
)

// script makes a program that answers questions about itself as told.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFasterSettingsAreThoseTheVersionHas(t *testing.T) {
	const version = `if [ "$1" = version ]; then echo "restic 9"; exit; fi; `
	for _, test := range []struct {
		help     string
		programs int
		flags    string // of the faster one
		note     string
	}{
		{"--compression mode  one of (auto|off|max)", 1, "", "this version has none"},
		{"--no-scan  do not scan", 2, "--no-scan", "does not have --read-concurrency=4, --no-extra-verify, --compression=fastest"},
		{"--no-scan  x --read-concurrency n --no-extra-verify x (auto|off|fastest|max)", 2, "--compression=fastest --no-scan --read-concurrency=4 --no-extra-verify", ""},
	} {
		path := script(t, "restic", version+"echo '"+test.help+"'")
		found, notes, err := findRestic(t.Context(), process.Runner{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != test.programs {
			t.Errorf("%q: %d programs, want %d", test.help, len(found), test.programs)
			continue
		}
		if said := strings.Join(notes, " "); !strings.Contains(said, test.note) || test.note == "" && said != "" {
			t.Errorf("%q: notes %q, want %q", test.help, said, test.note)
		}
		if found[0].Version != "restic 9" {
			t.Errorf("version %q", found[0].Version)
		}
		last := found[len(found)-1]
		args := last.Plan(Place{Tree: "/tree", Repository: "/repo", State: "/state", Restored: "/back"}).Backup(0).Args
		if got := strings.Join(args[3:len(args)-1], " "); got != test.flags {
			t.Errorf("%q: runs with %q, want %q", test.help, got, test.flags)
		}
	}
}

func TestOurSettingsAreThoseTheVersionHas(t *testing.T) {
	for _, test := range []struct {
		says string
		want []string
	}{
		{"nothing", []string{OwnName}},
		{"--verify-inline", []string{OwnName, "mahavishnu, verifying inline"}},
		{"parity: true", []string{OwnName, "mahavishnu, no parity", "mahavishnu, no parity, zstd 3"}},
	} {
		path := script(t, "mahavishnu", "echo '"+test.says+"'")
		found, _, err := ours(t.Context(), process.Runner{}, path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range found {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, test.want) {
			t.Errorf("of a program that says %q: %q, want %q", test.says, names, test.want)
		}
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	own := script(t, "mahavishnu", "echo")
	for _, o := range []Options{{Families: []string{"tar"}, Program: own}, {Only: []string{"tar"}, Program: own}, {Program: "/nonexistent/program"}} {
		if _, _, err := Find(t.Context(), process.Runner{}, o); err == nil {
			t.Errorf("%+v found something", o)
		}
	}
	found, _, err := Find(t.Context(), process.Runner{}, Options{Only: []string{"bare pipeline"}, Program: own, Self: "self"})
	if err != nil || len(found) != 1 || found[0].Name != "bare pipeline" {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestWhatIsMissingIsNoted(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, notes, err := Find(t.Context(), process.Runner{}, Options{Families: Families(), Program: script(t, "mahavishnu", "echo"), Self: "self"})
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range Families() {
		if !slices.Contains(notes, family+" is not on PATH and was left out") {
			t.Errorf("%s is missing and not noted: %q", family, notes)
		}
	}
}
