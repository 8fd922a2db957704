package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/worker/handlers"
)

// knownFile, in node.data_dir, holds which repositories this machine has seen: of each
// its id and then where, a line each, the last one first.
const knownFile = "repository.known"

// maxKnown is how many of them are remembered.
const maxKnown = 16

// Errors about what this machine has seen before.
var (
	// ErrGone means that this machine has seen a repository where there is none now.
	ErrGone = errors.New("and there was one")
	// ErrForeign means that another repository is where this machine has seen one.
	ErrForeign = errors.New("another repository is there than this machine knows")
)

// sighting is a repository and where it was seen.
type sighting struct{ id, place string }

func parseSightings(text string) (all []sighting) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		all = append(all, sighting{lines[i], lines[i+1]})
	}
	return all
}

func (a Access) knownPath() string { return filepath.Join(a.DataDir, knownFile) }

// sightings are those this machine remembers, the last one first.
func (a Access) sightings() ([]sighting, error) {
	if a.DataDir == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.knownPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseSightings(string(text)), err
}

// seen returns the id of the repository that this machine has seen at a location, "" for
// none.
func (a Access) seen(location string) (id string, err error) {
	all, err := a.sightings()
	if i := slices.IndexFunc(all, func(s sighting) bool { return s.place == location }); i >= 0 {
		id = all[i].id
	}
	if err != nil {
		err = fault.New("look for a repository in", location, err, "")
	}
	return id, err
}

// mustBeNew refuses to make a repository where this machine has seen one
// before: its disk is most likely not mounted, and a new one in its place would
// take the backups while the old ones seem to be gone.
func (a Access) mustBeNew(location string) error {
	if err := a.Gone(location); err != nil {
		return handlers.Away(err)
	}
	return nil
}

// Gone returns what to do when there is no repository at a location where this
// machine has seen one, as an error that wraps ErrGone; nil when it has seen none.
func (a Access) Gone(location string) error {
	id, err := a.seen(location)
	if err != nil || id == "" {
		return err
	}
	hint := "mount the disk or share it is on"
	if !strings.HasPrefix(location, "file:") {
		hint = "look into the storage who deleted it; with lock=, what is still retained comes back by: mahavishnu verify --repair"
	}
	if there := a.Elsewhere(); there != "" {
		hint += "; " + there
	}
	return fault.New("open repository", location, fmt.Errorf("%w, %w: %s", repository.ErrNotRepository, ErrGone, id),
		hint+"; only if it is meant to be gone for good, remove "+a.knownPath()+" and the next backup makes a new one")
}

// Elsewhere says what to do with the copies that other regions keep, when the repository
// itself is lost; "" when there are none.
func (a Access) Elsewhere() string {
	if len(a.Peers) == 0 {
		return ""
	}
	return fmt.Sprintf("another region keeps a copy: restore from it with `mahavishnu restore latest --replica %s --target DIR`, or make it the primary with `mahavishnu replication promote %[1]s`; "+
		"if only the config objects are lost here, `mahavishnu verify --repair` brings them back from it", a.Peers[0].Name)
}

// known fails when something is to be stored in another repository than the one that this
// machine has seen at the location, and tells those who only read.
func (a Access) known(id, location string) error {
	seen, err := a.seen(location)
	switch {
	case err != nil && !a.Write && !a.Create:
		return nil // what may not be read here keeps nobody from reading there
	case err != nil || seen == "" || seen == id:
		return err
	}
	err = a.foreign(id, seen, location, "remove "+a.knownPath()+", and the next backup remembers this one")
	if a.Write || a.Create {
		return handlers.Away(err)
	}
	if a.OnForeign != nil {
		a.OnForeign(err)
	}
	return nil
}

// Foreign returns an error that wraps ErrForeign when this machine has seen another
// repository at the location than the one with that id.
func (a Access) Foreign(id, location string) error {
	a.Write = true
	return a.known(id, location)
}

// foreign is the error for another repository in the place of one.
func (a Access) foreign(id, seen, location, accept string) error {
	hint := "mount the disk that holds the right one, or correct the storage in the configuration"
	if there := a.Elsewhere(); there != "" {
		hint += "; if that one is lost, " + there
	}
	return fault.New("open repository", location, fmt.Errorf("%w: it is %s, and was %s", ErrForeign, id, seen),
		hint+"; only if this one is meant to take its place, "+accept)
}

// Remember notes which repository is at the location, where this machine has seen none.
func (a Access) Remember(o *Opened) error {
	location := o.storage.Location()
	if seen, err := a.seen(location); a.DataDir == "" || err != nil || seen != "" {
		return err
	}
	return a.remember(o.ID(), location)
}

// remember notes which repository the location holds.
func (a Access) remember(id, location string) error {
	path := a.knownPath()
	before, _ := a.sightings() // one that cannot be read is written anew
	all := append([]sighting{{id, location}}, slices.DeleteFunc(slices.Clone(before), func(s sighting) bool { return s.place == location })...)
	if slices.Equal(all, before) {
		return nil
	}
	var text strings.Builder
	for _, s := range all[:min(len(all), maxKnown)] {
		text.WriteString(s.id + "\n" + s.place + "\n")
	}
	if err := os.MkdirAll(a.DataDir, 0o700); err != nil {
		return fault.New("create data directory", a.DataDir, err, "make it writable for this user, or set another node.data_dir")
	}
	// Several jobs may do this at once: each writes the whole file.
	fresh, err := os.CreateTemp(a.DataDir, knownFile+"-")
	if err != nil {
		return fault.New("remember the repository in", path, err, "")
	}
	_, err = fresh.WriteString(text.String())
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return fault.New("remember the repository in", path, errors.Join(err, os.Remove(fresh.Name())), "")
	}
	return nil
}
