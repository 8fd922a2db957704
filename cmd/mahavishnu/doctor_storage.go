package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// skewLimit is how far this machine's clock may be from another's.
const skewLimit = 30 * time.Second

// directoryOf returns the directory that a repository's URL or path names.
func directoryOf(location string) (string, bool) {
	if !strings.Contains(location, "://") {
		if location != "" {
			location = absolute(location)
		}
		return location, true
	}
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return filepath.FromSlash(u.Path), true
}

// checkStorage returns the storage's location, or "" when nothing can be read
// there. That its directory can be written was checked before.
func (x *examination) checkStorage(ctx context.Context) string {
	if x.cfg == nil && x.e.Repository == "" {
		return ""
	}
	access, err := x.e.access()
	if err != nil {
		return "" // told as a finding of the configuration
	}
	location := access.Location
	if dir, ok := directoryOf(location); ok {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return ""
		}
	}
	be, err := storage.Open(ctx, location)
	if err != nil {
		x.add("backend", bad, hintOr(err, "correct backup.storage or --repository"), "%v", err)
		return ""
	}
	defer func() { _ = be.Close() }() // it was only looked at
	if x.failed("storage") {
		return location // it cannot be written, but perhaps read
	}
	took, skew, err := x.probe(ctx, be)
	switch {
	case errors.Is(err, storage.ErrFull):
		x.add("backend", bad, "make room: mahavishnu forget --dry-run shows what the retention policy lets go; df -h shows the disk", "%s is full", be.Location())
	case err != nil:
		x.add("backend", bad, hintOr(err, "check the disk and its mount"), "%v", err)
	default:
		x.add("backend", good, "", "writing and reading back took %s", terminal.Duration(took))
	}
	if skew.Abs() > skewLimit {
		x.clockOff("the storage", skew)
	}
	return location
}

// probe writes, reads and removes an object. It returns how long that took and
// how far the storage's clock is ahead of ours.
func (x *examination) probe(ctx context.Context, be storage.Backend) (took, skew time.Duration, err error) {
	name := "doctor-" + strings.ToLower(rand.Text())
	began := x.e.clock.Now()
	if err := be.Put(ctx, name, []byte(name), storage.PutOptions{IfAbsent: true, Sync: true}); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, be.Delete(ctx, name)) }()
	got, err := storage.ReadAll(ctx, be, name, 1<<10, nil)
	if err != nil {
		return 0, 0, err
	}
	if string(got) != name {
		return 0, 0, errors.New("what was read back is not what was written")
	}
	ended := x.e.clock.Now()
	info, err := be.Stat(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	if !info.ModTime.IsZero() {
		skew = info.ModTime.Sub(began)
	}
	return ended.Sub(began), skew, nil
}

func (x *examination) clockOff(against string, skew time.Duration) {
	direction := "behind"
	if skew < 0 {
		direction = "ahead of"
	}
	x.add("clock", bad, "timedatectl set-ntp true, then: timedatectl timesync-status",
		"this machine's clock is %s %s %s: schedules, leases and retention go wrong", terminal.Duration(skew.Abs().Round(time.Second)), direction, against)
}

// checkRepository opens the repository.
func (x *examination) checkRepository(ctx context.Context, ring *keyring.Ring, location string) {
	const check = "repository"
	if ring == nil || location == "" {
		x.add(check, skipped, "", "not looked into: that takes the key ring and the storage")
		return
	}
	be, err := storage.Open(ctx, location)
	if err != nil {
		return // told as a finding of the storage
	}
	defer func() { _ = be.Close() }() // it was only looked at
	repo, err := repository.Open(ctx, be, ring, repository.OpenOptions{})
	switch {
	case errors.Is(err, repository.ErrNotRepository):
		x.add(check, note, "mahavishnu backup PATH|SOURCE", "there is none yet; the first backup makes it")
		return
	case errors.Is(err, repository.ErrWrongKey):
		x.add(check, bad, "name the right key ring with --key FILE or backup.encryption.key_path; if it is lost: mahavishnu key recover --key NEWFILE",
			"the key ring (fingerprint %s) is not the one this repository was made with", ring.Fingerprint())
		return
	case errors.Is(err, repository.ErrUnknownFeature):
		x.add(check, bad, "install a newer mahavishnu", "%v", err)
		return
	case err != nil:
		x.add(check, bad, hintOr(err, "mahavishnu verify"), "%v", err)
		return
	}
	defer func() { _ = repo.Close() }() // it was only read
	snapshots, damaged, err := repo.Snapshots(ctx, "")
	if err != nil {
		x.add(check, bad, hintOr(err, "mahavishnu verify"), "%v", err)
		return
	}
	for _, one := range damaged {
		x.add(check, bad, "mahavishnu verify", "%v", one)
	}
	x.add(check, good, "", "%s, %s", repo.ID(), terminal.Plural(len(snapshots), "snapshot"))
	x.checkFuture(snapshots)
}

// checkFuture finds a clock that went back: snapshots cannot be from tomorrow.
func (x *examination) checkFuture(snapshots []repository.Snapshot) {
	var newest time.Time
	for _, s := range snapshots {
		if s.Time.After(newest) {
			newest = s.Time
		}
	}
	if ahead := newest.Sub(x.e.clock.Now()); ahead > skewLimit {
		x.clockOff("the newest snapshot", ahead)
	}
}
