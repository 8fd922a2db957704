package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/usertest"
)

// TestDoctor breaks one thing at a time and asks that the finding names the
// cause and a way out.
func TestDoctor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not how Windows keeps people out")
	}
	for name, c := range map[string]struct {
		breakIt    func(t *testing.T, dir string)
		check      string
		cause, fix string
		needsUser  bool // root may write anywhere
	}{
		"nothing": {breakIt: func(*testing.T, string) {}},
		"no key": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/key") },
			check:   "key ring", cause: "there is no key ring at", fix: "mahavishnu key create --key /",
		},
		"open key": {
			breakIt: func(t *testing.T, dir string) { chmod(t, dir+"/key", 0o640) },
			check:   "key ring", cause: "has mode 0640", fix: "chmod 600",
		},
		"key is a directory": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/key"); mkdir(t, dir+"/key") },
			check:   "key ring", cause: "is not a file", fix: "backup.encryption.key_path",
		},
		"storage is a file": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/backups"); write(t, dir+"/backups") },
			check:   "storage", cause: "is not a directory", fix: "backup.storage.local.path",
		},
		"storage not writable": {
			breakIt: func(t *testing.T, dir string) { chmod(t, dir+"/backups", 0o500) },
			check:   "storage", cause: "permission denied", fix: "chown -R", needsUser: true,
		},
		"no source": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/home") },
			check:   "source home", cause: "does not exist", fix: "sources.home.path",
		},
		"source is a file": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/home"); write(t, dir+"/home") },
			check:   "source home", cause: "is not a directory", fix: "sources.home.path",
		},
		"source not readable": {
			breakIt: func(t *testing.T, dir string) { chmod(t, dir+"/home", 0o000) },
			check:   "source home", cause: "cannot be read by this user", fix: "CAP_DAC_READ_SEARCH", needsUser: true,
		},
		"bad configuration": {
			breakIt: func(t *testing.T, dir string) { write(t, dir+"/mahavishnu.yaml") },
			check:   "configuration", cause: "holds no settings", fix: "mahavishnu config check",
		},
		"no configuration": {
			breakIt: func(t *testing.T, dir string) { remove(t, dir+"/mahavishnu.yaml") },
			check:   "configuration", cause: "no such file", fix: "--config",
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := func(t *testing.T) {
				dir := t.TempDir()
				path := dir + "/mahavishnu.yaml"
				text := "{backup: {encryption: {key_path: ./key}}, sources: {home: {path: ./home}, far: {path: /nowhere, region: b}},\n" +
					"regions: [a, b], node: {region: a}}"
				text = strings.Replace(text, "path: ./home}", "path: ./home, region: a}", 1)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				write(t, dir+"/key")
				mkdir(t, dir+"/backups")
				mkdir(t, dir+"/home")
				c.breakIt(t, dir)
				cfg, findings := Diagnose(path, none)
				if (cfg == nil) != (c.check == "configuration") {
					t.Errorf("configuration %v", cfg)
				}
				for _, f := range findings {
					if f.OK != (f.Check != c.check) || f.OK != (f.Fix == "") || f.Cause == "" {
						t.Errorf("finding %+v", f)
					}
					if !f.OK && (!strings.Contains(f.Cause, c.cause) || !strings.Contains(f.Fix, c.fix)) {
						t.Errorf("finding %+v, want cause %q and fix %q", f, c.cause, c.fix)
					}
				}
				if left, _ := filepath.Glob(dir + "/*/.mahavishnu-probe-*"); len(left) > 0 {
					t.Errorf("the probe left %v", left)
				}
			}
			if c.needsUser {
				usertest.Run(t, body)
			} else {
				body(t)
			}
		})
	}
}

func TestTheFixFitsTheCause(t *testing.T) {
	for _, c := range []struct {
		err   error
		found bool
		want  string
	}{
		{syscall.EROFS, true, "remount,rw"},
		{syscall.EPERM, true, "lsattr -d /repo"},
		{syscall.EACCES, true, "chown -R $USER /repo"},
		{syscall.EACCES, false, "install -d -o $USER /repo"},
		{syscall.ENOENT, false, "set key to another directory"},
	} {
		if got := mendDirectory("/repo", c.found, "key", &fs.PathError{Op: "open", Path: "/repo", Err: c.err}); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q in it", c.err, got, c.want)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
}
