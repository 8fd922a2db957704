package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mahavishnu/clock"
	"mahavishnu/terminal"
)

// shifted is a clock that is wrong.
type shifted struct {
	clock.Clock
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Clock.Now().Add(s.by) }

// examine runs doctor on a directory with a key ring and a repository.
func examine(t *testing.T, dir string, c clock.Clock) (string, error) {
	t.Helper()
	var out bytes.Buffer
	e := &env{
		Repository: filepath.Join(dir, "repo"), KeyPath: filepath.Join(dir, "ring"),
		in: strings.NewReader(""), out: &out, errs: &out, clock: c, getenv: func(string) string { return "" },
		term: terminal.New(&out, &out, terminal.Options{}),
	}
	err := runDoctor(t.Context(), e)
	return out.String(), err
}

// setUp makes a key ring beside a repository with one snapshot in it.
func setUp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"key", "create", "--key", filepath.Join(dir, "ring")},
		{"backup", source, "--key", filepath.Join(dir, "ring"), "--repository", filepath.Join(dir, "repo")},
	} {
		var said bytes.Buffer
		if code := execute(context.Background(), args, strings.NewReader(""), &said, &said); code != 0 {
			t.Fatalf("%v ended with %d: %s", args, code, said.String())
		}
	}
	return dir
}

func TestDoctorFindsAClockThatIsWrong(t *testing.T) {
	dir := setUp(t)
	if out, err := examine(t, dir, clock.System()); err != nil || strings.Contains(out, "clock") {
		t.Errorf("with the right time: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		by   time.Duration
		want string
	}{
		"fast": {time.Hour, "1 h 00 min ahead of the storage"},
		"slow": {-48 * time.Hour, "2 d 0 h behind the storage"},
	} {
		out, err := examine(t, dir, shifted{clock.System(), c.by})
		if err == nil || !strings.Contains(out, c.want) || !strings.Contains(out, "timedatectl set-ntp true") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestDoctorFindsAFullDisk(t *testing.T) {
	dir := setUp(t)
	small := filepath.Join(dir, "repo")
	if err := os.RemoveAll(small); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(small, "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the small disk took it all: %v", err)
	}
	out, err := examine(t, dir, clock.System())
	if err == nil || !strings.Contains(out, "FAIL") || !strings.Contains(out, "storage") || !strings.Contains(out, "make room") {
		t.Errorf("%v\n%s", err, out)
	}
}
