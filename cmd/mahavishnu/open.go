package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// places are where a configuration is looked for when none is named.
func places() []string {
	return []string{"mahavishnu.yml", "/etc/mahavishnu/mahavishnu.yml"}
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

// config loads the configuration. Where the command line already says all that
// a command on one repository needs, a bad file that nobody asked for does not
// stand in the way: it is told and left aside.
func (e *env) config() (*config.Config, error) {
	path := e.configFile()
	cfg, err := config.Load(path)
	if err != nil && e.ConfigPath == "" && e.Repository != "" && e.KeyPath != "" {
		e.term.Warnf("%s is left aside, because --repository and --key say all that is needed; it has errors, see: mahavishnu config check --config %s", path, path)
		return config.Load("")
	}
	return cfg, err
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

// place returns the repository's URL.
func (e *env) place() (string, error) {
	if e.Repository != "" {
		return e.Repository, nil
	}
	cfg, err := e.config()
	if err != nil {
		return "", err
	}
	return cfg.Place(), nil
}

// opened is a repository with what must be closed after it.
type opened struct {
	*repository.Repository
	storage storage.Backend
	url     string
	created bool
}

func (o *opened) Close() error {
	return errors.Join(o.Repository.Close(), o.storage.Close())
}

// open opens the repository that the command line or the configuration names.
func (e *env) open(ctx context.Context) (*opened, error) {
	return e.openOr(ctx, nil)
}

// openOrCreate is open for a first backup: where nothing is stored yet, it
// makes a repository and says so.
func (e *env) openOrCreate(ctx context.Context, cfg *config.Config) (*opened, error) {
	return e.openOr(ctx, func(be storage.Backend, ring *keyring.Ring) (*repository.Repository, error) {
		if err := mustBeEmpty(ctx, be); err != nil {
			return nil, err
		}
		repo, err := repository.Create(ctx, be, ring, repository.CreateOptions{
			Hash: repository.Hash(cfg.Backup.Validation.ChecksumAlgorithm), CacheDir: e.CacheDir, Clock: e.clock,
		})
		if err == nil {
			e.term.Warnf("made a new repository in %s; if you expected backups to be there, check that the right disk is mounted", be.Location())
		}
		return repo, err
	})
}

func (e *env) openOr(ctx context.Context, create func(storage.Backend, *keyring.Ring) (*repository.Repository, error)) (*opened, error) {
	url, err := e.place()
	if err != nil {
		return nil, err
	}
	ring, keyPath, err := e.ring()
	if err != nil {
		return nil, err
	}
	be, err := storage.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	repo, err := repository.Open(ctx, be, ring, repository.OpenOptions{CacheDir: e.CacheDir})
	created := false
	switch {
	case errors.Is(err, repository.ErrNotRepository) && create != nil:
		repo, err = create(be, ring)
		created = err == nil
	case errors.Is(err, repository.ErrNotRepository):
		err = fault.New("open repository", be.Location(), repository.ErrNotRepository,
			"check the path and that the disk is mounted; the first backup makes the repository: mahavishnu backup PATH --repository "+url)
	case errors.Is(err, repository.ErrWrongKey):
		err = fault.New("open repository", be.Location(), err,
			"this key ring is "+keyPath+" ("+ring.Fingerprint()+"); give the one made for this repository with --key FILE")
	}
	if err != nil {
		return nil, errors.Join(err, be.Close())
	}
	return &opened{Repository: repo, storage: be, url: url, created: created}, nil
}

// mustBeEmpty refuses to make a repository among somebody else's files, or
// where one was and lost its head.
func mustBeEmpty(ctx context.Context, be storage.Backend) error {
	errFound := errors.New("found")
	var name string
	err := be.List(ctx, "", func(info storage.Info) error {
		name = info.Name
		return errFound
	})
	if errors.Is(err, errFound) {
		return fault.New("make a repository in", be.Location(), errors.New("it is not empty: it holds "+name+" but no readable config"),
			"if this was a repository, its config objects are lost: restore both from a copy of the storage; if not, choose an empty directory")
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
