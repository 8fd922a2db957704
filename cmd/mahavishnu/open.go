package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// places are where a configuration is looked for when none is named.
func places() []string {
	return []string{"mahavishnu.yaml", "/etc/mahavishnu/mahavishnu.yaml"}
}

// configFile returns the configuration file in force: the one named, else the
// first that is there, else "" for the defaults.
func (e *env) configFile() string {
	if e.ConfigPath != "" {
		return e.ConfigPath
	}
	for _, path := range places() {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// config loads the configuration, once. Where the command line already says
// all that a command on one repository needs, a bad file that nobody asked for
// does not stand in the way: it is told and left aside.
func (e *env) config() (*config.Config, error) {
	if e.loaded != nil {
		return e.loaded, nil
	}
	path := e.configFile()
	cfg, err := config.Load(path)
	if err != nil && e.ConfigPath == "" && e.Repository != "" && e.KeyPath != "" {
		e.term.Warnf("%s is left aside, because --repository and --key say all that is needed; it has errors, see: mahavishnu config check --config %s", path, path)
		cfg, err = config.Load("")
	}
	if err != nil {
		return nil, err
	}
	e.loaded = cfg
	return cfg, nil
}

// keyPath returns where the key ring is.
func (e *env) keyPath() (string, error) {
	if e.KeyPath != "" {
		path, err := filepath.Abs(e.KeyPath)
		if err != nil {
			return "", fault.New("find key ring", e.KeyPath, err, "")
		}
		return path, nil
	}
	cfg, err := e.config()
	if err != nil {
		return "", err
	}
	return cfg.Backup.Encryption.KeyPath, nil
}

// ring loads the key ring and returns it with its path.
func (e *env) ring() (*keyring.Ring, string, error) {
	path, err := e.keyPath()
	if err != nil {
		return nil, "", err
	}
	ring, err := keyring.Load(path)
	return ring, path, err
}

// checkPlace refuses a --repository that names no storage, before any command shows it:
// there may be a secret in it.
func (e *env) checkPlace() error {
	if e.Repository == "" {
		return nil
	}
	if err := storage.CheckPlace(e.Repository); err != nil {
		return &app.PlaceError{Err: err}
	}
	return nil
}

// access returns which repository to open: what the configuration says, with
// the command line's word above it.
func (e *env) access() (app.Access, error) {
	cfg, err := e.config()
	if err != nil {
		return app.Access{}, err
	}
	a := app.AccessTo(cfg)
	a.Clock = e.clock
	if e.retries == nil {
		e.retries = &retries{clock: e.clock, warnf: e.term.Warnf, since: e.clock.Now()}
	}
	if e.members == nil {
		e.members = &members{warnf: e.term.Warnf}
	}
	a.Storage = a.Storage.Waiting(e.retries.tell).Members(e.members.tell)
	if cfg.File() == "" {
		a.CacheDir, a.DataDir = "", "" // the defaults' directories were nobody's choice
	}
	switch {
	case e.Repository != "" && e.Replica != "":
		return app.Access{}, usagef("mahavishnu", "give --repository or --replica, not both")
	case e.Repository != "":
		a.Location, a.Peers = e.Repository, nil
	case e.Replica != "":
		pair, place, err := cfg.Replica(e.Replica)
		if err != nil {
			return app.Access{}, &usageError{"mahavishnu replication status", err}
		}
		a.Location, a.DataDir, a.Peers, a.Immutable = place.URL, "", nil, app.CopyRetention(cfg, pair).For
	}
	if e.KeyPath != "" {
		a.KeyPath = e.KeyPath
	}
	if e.CacheDir != "" {
		a.CacheDir = e.CacheDir
	}
	return a, nil
}

// open opens the repository that the command line or the configuration names, to
// be read.
func (e *env) open(ctx context.Context) (*app.Opened, error) { return e.openTo(ctx, false) }

// openToWrite is open for commands that store or delete: it refuses a copy, and a
// primary in whose place a copy was promoted.
func (e *env) openToWrite(ctx context.Context) (*app.Opened, error) { return e.openTo(ctx, true) }

func (e *env) openTo(ctx context.Context, write bool) (*app.Opened, error) {
	a, err := e.access()
	if err != nil {
		return nil, err
	}
	a.Write = write
	a.OnUnlisted = e.tellUnlisted
	a.OnForeign = e.tellForeign
	if err := e.copyRetention(ctx, &a); err != nil {
		return nil, err
	}
	repo, err := a.Open(ctx)
	switch {
	case errors.Is(err, app.ErrGone):
		return nil, err
	case errors.Is(err, repository.ErrNotRepository):
		hint := "check the path, and that the disk is mounted; the first backup makes the repository:\nmahavishnu backup PATH --repository " + a.Location
		switch there := a.Elsewhere(); {
		case e.Replica != "":
			hint = "check that the disk of the copy is mounted; what is there now: mahavishnu replication status " + e.Replica
		case there != "":
			hint = "check the path, and that the disk is mounted; " + there
		}
		return nil, fault.New("open repository", a.Location, repository.ErrNotRepository, hint)
	case errors.Is(err, repository.ErrWrongKey):
		return nil, fault.New("open repository", a.Location, err,
			"the key ring used was "+a.KeyPath+"; name the one made for this repository with --key FILE")
	}
	return repo, err
}

// copyRetention decides how what is stored in a copy is kept from being deleted, should it
// have been promoted. What is only read there is asked about: see tellCopyProtection.
func (e *env) copyRetention(ctx context.Context, a *app.Access) error {
	if e.Replica == "" {
		return nil
	}
	if !a.Write {
		a.Immutable = 0
		return nil
	}
	unable, err := a.RetainIfAble(ctx)
	if unable != nil {
		e.term.Warnf("what is stored there is not kept from being deleted: %v", unable)
	}
	return err
}

// tellForeign tells that another repository is read than this machine knows there.
func (e *env) tellForeign(err error) {
	e.term.Warnf("%s", strings.Join(append([]string{err.Error()}, fault.Hints(err)...), "; "))
}

// tellUnlisted tells of a place of the storage that reading does without.
func (e *env) tellUnlisted(blind *repository.UnlistedError) {
	e.term.Warnf("%s", strings.Join(append([]string{blind.Error(), blind.Without()}, fault.Hints(blind)...), "; "))
}

// openOrCreate is open for a backup: where nothing at all is stored yet, it
// makes a repository and says so. It refuses to add to backups that lie beside
// their key; reading them is never refused.
func (e *env) openOrCreate(ctx context.Context) (*app.Opened, error) {
	a, err := e.access()
	if err != nil {
		return nil, err
	}
	if dir, ok := directoryOf(a.Location); ok && inside(dir, a.KeyPath) {
		return nil, &usageError{"mahavishnu doctor", fault.New("back up to", a.Location, errors.New("the key ring "+a.KeyPath+" lies inside it: who has the backups would have the key"),
			"move the key ring out of the storage")}
	}
	repo, err := e.openToWrite(ctx)
	if err == nil {
		if err := a.Remember(repo); err != nil {
			e.term.Warnf("%v", err)
		}
	}
	if !errors.Is(err, repository.ErrNotRepository) {
		return repo, err
	}
	a.Create, a.Write = true, true
	repo, err = a.Open(ctx)
	if err == nil && repo.Created {
		e.term.Warnf("made a new repository in %s; if you expected backups to be there, check that the right disk is mounted", repo.Backend().Location())
	}
	return repo, err
}
