package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/worker/handlers"
)

// knownFile, in node.data_dir, holds the repository's id and then where it was
// seen last, a line each.
const knownFile = "repository.known"

// mustBeNew refuses to make a repository where this machine has seen one
// before: its disk is most likely not mounted, and a new one in its place would
// take the backups while the old ones seem to be gone.
func (a Access) mustBeNew(location string) error {
	if err := a.Gone(location); err != nil {
		return handlers.Away(err)
	}
	return nil
}

// ErrGone means that this machine has seen a repository where there is none now.
var ErrGone = errors.New("and there was one")

// Gone returns what to do when there is no repository at a location where this
// machine has seen one, as an error that wraps ErrGone; nil when it has seen none.
func (a Access) Gone(location string) error {
	if a.DataDir == "" {
		return nil
	}
	path := filepath.Join(a.DataDir, knownFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.New("look for a repository in", location, err, "")
	}
	id, place, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\n")
	if place != location {
		return nil // such as one the configuration named before
	}
	hint := "mount the disk or share it is on"
	if !strings.HasPrefix(location, "file:") {
		hint = "look into the storage who deleted it; with lock=, what is still retained comes back by: mahavishnu verify --repair"
	}
	if len(a.Peers) > 0 {
		hint += "; another region has a copy: read it with --replica REGION, or make it the primary with mahavishnu replication promote REGION"
	}
	return fault.New("open repository", location, fmt.Errorf("%w, %w: %s", repository.ErrNotRepository, ErrGone, id),
		hint+"; only if it is meant to be gone for good, remove "+path+" and the next backup makes a new one")
}

// remember notes which repository the location holds.
func (a Access) remember(id, location string) error {
	path := filepath.Join(a.DataDir, knownFile)
	text := id + "\n" + location + "\n"
	if now, err := os.ReadFile(path); err == nil && string(now) == text {
		return nil
	}
	if err := os.MkdirAll(a.DataDir, 0o700); err != nil {
		return fault.New("create data directory", a.DataDir, err, "make it writable for this user, or set another node.data_dir")
	}
	// Several jobs may do this at once: each writes the whole file.
	fresh, err := os.CreateTemp(a.DataDir, knownFile+"-")
	if err != nil {
		return fault.New("remember the repository in", path, err, "")
	}
	_, err = fresh.WriteString(text)
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return fault.New("remember the repository in", path, errors.Join(err, os.Remove(fresh.Name())), "")
	}
	return nil
}
