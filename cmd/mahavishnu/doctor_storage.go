package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// skewLimit is how far this machine's clock may be from another's.
const skewLimit = 30 * time.Second

// directoryOf returns the directory that a repository's URL or path names.
func directoryOf(location string) (string, bool) {
	switch {
	case location == "":
		return "", true
	case strings.HasPrefix(location, "disperse:"):
		return "", false
	case !strings.Contains(location, "://"):
		return absolute(location), true
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
	dir, directory := directoryOf(location)
	if directory {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return ""
		}
	}
	be, err := x.open(ctx, location)
	if err != nil {
		x.add("backend", bad, hintOr(err, "correct backup.storage or --repository"), "%v", err)
		return ""
	}
	defer func() { _ = be.Close() }() // it was only looked at
	x.checkMembers(ctx, "backend", be)
	switch {
	case directory && x.failed("storage"): // it cannot be written, but perhaps read
	case x.e.Replica != "":
		x.checkReadable(ctx, "backend", be)
	default:
		x.checkRights(ctx, "backend", location, be)
	}
	return location
}

// open opens a storage with the patience of somebody who is watching.
func (x *examination) open(ctx context.Context, location string) (storage.Backend, error) {
	access, err := x.e.access()
	if err != nil {
		return nil, err
	}
	return access.Storage.Hasty(remotePatience).Members(nil).Open(ctx, location)
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
	be, err := x.open(ctx, location)
	if err != nil {
		return // told as a finding of the storage
	}
	defer func() { _ = be.Close() }() // it was only looked at
	repo, err := repository.Open(ctx, be, ring, repository.OpenOptions{OnUnlisted: func(blind *repository.UnlistedError) {
		x.add(check, bad, hintOr(blind, "mahavishnu verify"), "%v", blind)
	}})
	switch {
	case errors.Is(err, repository.ErrNotRepository):
		if access, err := x.e.access(); err == nil {
			if gone := access.Gone(be.Location()); gone != nil {
				x.add(check, bad, hintOr(gone, "mahavishnu doctor"), "%v", gone)
				return
			}
		}
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
		if !errors.Is(one, repository.ErrUnlisted) { // which is told
			x.add(check, bad, "mahavishnu verify", "%v", one)
		}
	}
	if access, err := x.e.access(); err == nil {
		if foreign := access.Foreign(repo.ID(), be.Location()); foreign != nil {
			x.add(check, bad, hintOr(foreign, "mahavishnu snapshots"), "%v", foreign)
			return
		}
	}
	if err := x.mayStore(ctx, be); err != nil {
		x.add(check, bad, hintOr(err, "mahavishnu replication status"), "%s, %s; nothing can be stored: %v", repo.ID(), terminal.Plural(len(snapshots), "snapshot"), err)
	} else {
		x.add(check, good, "", "%s, %s", repo.ID(), terminal.Plural(len(snapshots), "snapshot"))
	}
	x.checkFuture(snapshots)
}

// mayStore tells whether the repository is there to be read only: it is a copy, or was
// replaced by a promoted one, as far as those answer. It changes nothing.
func (x *examination) mayStore(ctx context.Context, be storage.Backend) error {
	own, err := replication.RoleOf(ctx, be)
	if err != nil {
		return err
	}
	if own.Role != replication.Primary {
		return replication.CheckPrimary(ctx, be)
	}
	access, err := x.e.access()
	if err != nil {
		return err
	}
	for _, peer := range access.Peers {
		other, err := x.open(ctx, peer.URL)
		if err != nil {
			continue // the check of the copies tells
		}
		role, err := replication.RoleOf(ctx, other)
		_ = other.Close() // it was only looked at
		if err == nil && role.Role == replication.Primary && role.Epoch > own.Epoch {
			return fault.New("store to", be.Location(), replication.ErrReplaced, "mahavishnu replication status")
		}
	}
	return nil
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
