package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/terminal"
)

// checkConfiguration checks the file and what it names on this machine, and
// reports whether it can be used. The command line counts as part of it.
func (x *examination) checkConfiguration() bool {
	path := x.e.configFile()
	cfg, found := config.Diagnose(path, x.overrides()...)
	for _, f := range found {
		if f.OK {
			x.add(f.Check, good, "", "%s", f.Cause)
		} else {
			x.add(f.Check, bad, f.Fix, "%s", f.Cause)
		}
	}
	if cfg == nil {
		return false
	}
	x.cfg, x.e.loaded = cfg, cfg
	for _, notice := range cfg.Notices() {
		x.add("notice", note, "", "%s", notice)
	}
	return true
}

// overrides are the command line's settings.
func (x *examination) overrides() []config.Option {
	var all []config.Option
	if dir, ok := directoryOf(x.e.Repository); ok && dir != "" && x.directory() {
		all = append(all, config.Set("backup.directory", dir), config.Set("backup.storage.local.path", dir))
	}
	if x.e.KeyPath != "" {
		all = append(all, config.Set("backup.encryption.key_path", absolute(x.e.KeyPath)))
	}
	return all
}

// directory reports whether the configuration keeps the repository in a directory, as
// far as it can be read.
func (x *examination) directory() bool {
	cfg, err := config.Load(x.e.configFile())
	if err != nil {
		return true
	}
	_, ok := directoryOf(cfg.Place())
	return ok
}

// checkKey returns the key ring, or nil when there is none to go on with. That
// its file can be read was checked before.
func (x *examination) checkKey() *keyring.Ring {
	path, err := x.e.keyPath()
	if err != nil {
		return nil // told as a finding of the configuration
	}
	ring, err := keyring.Load(path)
	switch {
	case err == nil:
		x.add("key", good, "", "%s, fingerprint %s", terminal.Plural(len(ring.Versions()), "version"), ring.Fingerprint())
	case errors.Is(err, keyring.ErrDamaged):
		x.add("key", bad, "put the file back from a copy, or move it away and run: mahavishnu key recover --key "+path, "%v", err)
	case !x.failed("key ring"):
		x.add("key", bad, hintOr(err, "mahavishnu key recover --key "+path), "%v", err)
	}
	return ring
}

// failed reports whether a check failed already.
func (x *examination) failed(check string) bool {
	for _, f := range x.findings {
		if f.Check == check && f.Verdict == bad {
			return true
		}
	}
	return false
}

// hintOr returns the error's own hint, or another.
func hintOr(err error, other string) string {
	if hints := fault.Hints(err); len(hints) > 0 {
		return strings.Join(hints, "\n")
	}
	return other
}

// absolute is filepath.Abs where there is a working directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// inside reports whether path lies in root, symbolic links followed.
func inside(root, path string) bool {
	relative, err := filepath.Rel(resolved(root), resolved(path))
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// resolved follows symbolic links as far as the path exists.
func resolved(path string) string {
	path = absolute(path)
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(real, rest)
		} else if !errors.Is(err, os.ErrNotExist) {
			return filepath.Join(path, rest)
		}
		up := filepath.Dir(path)
		if up == path {
			return filepath.Join(path, rest)
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = up
	}
}
