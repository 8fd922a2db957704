package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// Access says which repository to open, with which key. [AccessTo] takes it
// from a configuration; commands override its fields by flags.
type Access struct {
	// Location is the storage's URL, or a plain path.
	Location string
	// Storage opens it; nil does with the usual settings.
	Storage *Storages
	// KeyPath is the key ring's file.
	KeyPath string
	// CacheDir keeps indexes between runs; "" keeps none.
	CacheDir string
	// Create makes the repository when the storage holds none.
	Create bool
	// Write says that something is to be stored or deleted: the storage must be the
	// primary, and none of Peers, its copies, may have been promoted in its place.
	// Without it a replica can be read, and nothing else.
	Write bool
	Peers []Peer
	// Hash makes content ids in a repository that is created, and Parity is what
	// it keeps to mend damage.
	Hash   repository.Hash
	Parity repository.Parity
	// Immutable is how long the storage keeps what is stored from being deleted; 0 is
	// not at all.
	Immutable time.Duration
	// DataDir is where this machine remembers that the location holds a
	// repository, so that none is made in place of one that is only not mounted;
	// "" remembers nothing.
	DataDir string
	// OnCorrection is told of objects that are read right although they are not
	// stored right; it may be nil.
	OnCorrection func(repository.Correction)
	// OnUnlisted is told of places of the storage that cannot be listed, without
	// which reading goes on; it may be nil.
	OnUnlisted func(*repository.UnlistedError)
	// OnForeign is told when something is read where this machine has seen another
	// repository; it may be nil. To store there is an error.
	OnForeign func(error)
	// Clock is asked for the time of creation; nil is the machine's.
	Clock clock.Clock
}

// AccessTo returns how the configuration reaches its repository.
func AccessTo(cfg *config.Config) Access {
	return Access{
		Location: cfg.Place(),
		Storage:  StoragesOf(cfg, nil, nil),
		KeyPath:  cfg.Backup.Encryption.KeyPath,
		CacheDir: cfg.Node.CacheDir,
		DataDir:  cfg.Node.DataDir,
		Hash:     repository.Hash(cfg.Backup.Validation.ChecksumAlgorithm),
		Parity:   parityFor(cfg),
		Peers:    peersOf(cfg),

		Immutable: time.Duration(cfg.Backup.Storage.ImmutableDays) * 24 * time.Hour,
	}
}

// parityFor returns the parity of a repository that is made where the
// configuration says.
func parityFor(cfg *config.Config) repository.Parity {
	if cfg.Own().Parity {
		return repository.StandardParity()
	}
	return repository.Parity{}
}

// Opened is a repository with the storage below it; Close lets go of both.
type Opened struct {
	*repository.Repository
	// Created reports that the repository was made just now.
	Created bool

	storage  storage.Backend
	storages *Storages
}

// Close closes the repository, then its storage.
func (o *Opened) Close() error {
	return errors.Join(o.Repository.Close(), o.storages.close(o.storage))
}

// Open opens the repository, and makes it first where there is none and Create
// is set.
func (a Access) Open(ctx context.Context) (*Opened, error) {
	ring, err := keyring.Load(a.KeyPath)
	if err != nil {
		return nil, err
	}
	be, err := a.Storage.Open(ctx, a.Location)
	if err != nil {
		return nil, err
	}
	var repo *repository.Repository
	created := false
	in, err := a.stand(ctx, be)
	if err == nil {
		repo, created, err = a.open(ctx, in, ring)
	}
	if err == nil && !created {
		if err = a.known(repo.ID(), be.Location()); err != nil {
			err = errors.Join(err, repo.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, be.Close())
	}
	if a.Create && a.DataDir != "" {
		if err := a.remember(repo.ID(), be.Location()); err != nil {
			return nil, errors.Join(err, repo.Close(), be.Close())
		}
	}
	return &Opened{Repository: repo, Created: created, storage: be, storages: a.Storage}, nil
}

func (a Access) open(ctx context.Context, be storage.Backend, ring *keyring.Ring) (*repository.Repository, bool, error) {
	directory := strings.HasPrefix(be.Location(), "file:")
	options := repository.OpenOptions{
		CacheDir: a.CacheDir, Reserve: directory, OnCorrection: a.OnCorrection, OnUnlisted: a.OnUnlisted,
		Cold: archives(a.Location), Retention: repository.Retention{For: a.Immutable, Clock: a.Clock},
	}
	repo, err := repository.Open(ctx, be, ring, options)
	if !errors.Is(err, repository.ErrNotRepository) {
		return repo, false, err
	}
	if !a.Create {
		if gone := a.Gone(be.Location()); gone != nil {
			return nil, false, gone
		}
		hint := "name the right place with --repository or backup.storage; the first backup creates it"
		if there := a.Elsewhere(); there != "" {
			hint += "; " + there
		}
		return nil, false, fault.New("open repository", be.Location(), err, hint)
	}
	if err := a.mustBeNew(be.Location()); err != nil {
		return nil, false, err
	}
	if err := mustBeEmpty(ctx, be); err != nil {
		// Unless what is there now is a repository: another process was faster.
		if repo, again := repository.Open(ctx, be, ring, options); again == nil {
			return repo, false, nil
		}
		return nil, false, err
	}
	parity := a.Parity
	if !directory {
		parity = repository.Parity{} // such storage mends itself
	}
	repo, err = repository.Create(ctx, be, ring, repository.CreateOptions{
		Hash: a.Hash, Parity: parity, CacheDir: a.CacheDir, Reserve: directory, Clock: clock.Or(a.Clock),
		Cold: options.Cold, Retention: options.Retention,
	})
	if errors.Is(err, repository.ErrExists) {
		// Another process was first; its repository is as good as ours.
		repo, err = repository.Open(ctx, be, ring, options)
		return repo, false, err
	}
	return repo, err == nil, err
}

// archives tells by a storage's URL whether packs of data go to a cold class, out of
// which they may have to be thawed.
func archives(location string) bool {
	u, err := url.Parse(location)
	return err == nil && (u.Query().Get("cold_class") != "" || u.Query().Get("cold_tier") != "")
}

// copyPatience is how long a repair tries to fetch one object from another region.
const copyPatience = time.Minute

// Copies opens what other regions keep of the repository, as far as it can be
// reached now: what nothing in the repository mends is fetched from there. The caller
// calls done.
func (a Access) Copies(ctx context.Context) (copies []repository.Replica, done func() error) {
	var open []storage.Backend
	for _, peer := range a.Peers {
		be, err := a.Storage.Hasty(copyPatience).Open(ctx, peer.URL)
		if err != nil {
			continue // a repair says that something is left, and where it looked
		}
		open = append(open, be)
		copies = append(copies, repository.Replica{Name: be.Location(), Backend: be})
	}
	return copies, func() error { return closeAll(open) }
}

// DoctorFolder is where doctor tries what a storage allows.
const DoctorFolder = "doctor/"

// mustBeEmpty refuses to make a repository among somebody else's files, or
// where one was and lost its head. Copies of other regions' repositories, and what
// doctor could not remove, are no repository's.
func mustBeEmpty(ctx context.Context, be storage.Backend) error {
	errFound := errors.New("found")
	var name string
	err := be.List(ctx, "", func(info storage.Info) error {
		if strings.HasPrefix(info.Name, DoctorFolder) || strings.HasPrefix(info.Name, config.ReplicasFolder+"/") {
			return nil
		}
		name = info.Name
		return errFound
	})
	switch {
	case errors.Is(err, errFound):
		return fault.New("make a repository in", be.Location(), fmt.Errorf("it is not empty: it holds %s but no config of a repository", name),
			"if a repository was here: mahavishnu verify --repair brings its config objects back, from a configured copy or, with lock=, from versions that are kept; if not, choose an empty directory")
	case errors.Is(err, storage.ErrNotFound):
		return nil
	}
	return err
}
