package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/snapshot"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/terminal"
)

// Owners that this user may not give are one line, however many; --json and
// --verbose name each, and so does any other loss.
func TestOwnersNotGivenAreOneLine(t *testing.T) {
	owner := func(path string) snapshot.Issue {
		return snapshot.Issue{Kind: snapshot.IssueLost, Path: path, Err: errors.Join(fsmeta.Loss{What: "owner 0:0", Err: syscall.EPERM})}
	}
	tell := func(o terminal.Options, issues ...snapshot.Issue) []string {
		var out, errs strings.Builder
		teller := issueTeller{e: &env{term: terminal.New(&out, &errs, o)}}
		for _, i := range issues {
			teller.tell(i)
		}
		teller.end()
		return strings.Split(strings.TrimSuffix(out.String()+errs.String(), "\n"), "\n")
	}
	var many []snapshot.Issue
	for i := range 353 {
		many = append(many, owner(fmt.Sprintf("dir/%d", i)))
	}
	for name, test := range map[string]struct {
		o      terminal.Options
		issues []snapshot.Issue
		lines  int
		first  string
	}{
		"many":        {issues: many, lines: 1, first: "353 entries, the first: dir/0: owner 0:0: operation not permitted"},
		"one":         {issues: many[:1], lines: 1, first: "metadata lost: dir/0: owner 0:0: operation not permitted"},
		"none":        {lines: 1},
		"JSON":        {o: terminal.Options{JSON: true}, issues: many, lines: 353, first: `"path":"dir/0"`},
		"verbose":     {o: terminal.Options{Verbose: true}, issues: many, lines: 353, first: "dir/0"},
		"other kinds": {issues: []snapshot.Issue{{Kind: snapshot.IssueFailed, Path: "x", Err: syscall.EPERM}, many[0], many[1]}, lines: 2, first: "failed: x"},
		"other causes": {
			issues: []snapshot.Issue{{Kind: snapshot.IssueLost, Path: "x", Err: errors.Join(fsmeta.Loss{What: "owner", Err: syscall.EPERM}, fsmeta.Loss{What: "times", Err: syscall.EIO})}},
			lines:  1, first: "input/output error",
		},
	} {
		got := tell(test.o, test.issues...)
		if len(got) != test.lines || !strings.Contains(strings.Join(got[:1], ""), test.first) {
			t.Errorf("%s: %d lines, the first %q; want %d with %q", name, len(got), got[0], test.lines, test.first)
		}
	}
}

// Rates and totals count what was written; the size of files with holes is told apart.
func TestHolesAreNotRestoredBytes(t *testing.T) {
	var out strings.Builder
	e := &env{term: terminal.New(&out, &out, terminal.Options{})}
	e.tellRestore(snapshot.RestoreReport{Files: 1, Bytes: 1 << 30, WrittenBytes: 4096, Duration: 2 * time.Second})
	for _, part := range []string{"restored 1 file, 0 directories, 0 other entries: " + terminal.Bytes(4096) + " written", "files of " + terminal.Bytes(1<<30) + " in all", terminal.Bytes(2048) + "/s"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("it does not say %q:\n%s", part, &out)
		}
	}
}

// With --quiet a new key ring is made without a word.
func TestQuietKeyCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring")
	var out, errs strings.Builder
	if code := execute(t.Context(), []string{"key", "create", "--quiet", "--key", path}, strings.NewReader(""), &out, &errs); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	if out.Len()+errs.Len() > 0 {
		t.Errorf("it says %s%s", &out, &errs)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
