package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// CreateOptions says what a new repository is like. The zero value is the
// recommended one.
type CreateOptions struct {
	Hash      Hash      // default SHA256
	Chunker   Chunker   // default DefaultChunker
	Padding   string    // "64th" (default) hides exact sizes of blobs, "none" does not
	Parity    Parity    // default none, for storage that is redundant itself; else StandardParity
	CacheDir  string    // as in OpenOptions
	Reserve   bool      // as in OpenOptions
	Retention Retention // as in OpenOptions
	Cold      bool      // as in OpenOptions
	Clock     clock.Clock
}

// OpenOptions says how a repository is opened.
type OpenOptions struct {
	// CacheDir keeps decrypted index fragments between runs; it holds ids and
	// sizes, no content. "" uses a private temporary directory for this run.
	CacheDir string
	// Reserve says that the storage can run out of room: sessions and collectors
	// keep some in reserve there, for making room when it has. See KeepReserve.
	Reserve bool
	// Retention keeps what is stored from being deleted, where the storage can.
	Retention Retention
	// Cold puts packs of data into the storage's cold class: see Repository.Cold.
	Cold bool
	// OnCorrection is told of each object that is read right although it is not
	// stored right, once. It is called from any goroutine and must not block.
	OnCorrection func(Correction)
	// OnUnlisted is told of each directory of the storage that cannot be listed,
	// once. It is called from any goroutine and must not block. Reading goes on
	// without; whatever stores or deletes is refused.
	OnUnlisted func(*UnlistedError)
}

// Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	be        storage.Backend // room
	room      *roomy
	retention *retaining // nil without
	cold      bool
	cfg       Config
	keys      *seal.Keys
	ids       *hasher
	comp      *compress.Decoder
	index     *indexSet
	trees     *TreeReader // nil where single reads are quick

	scratch scratch
	reach   reach
	renewal renewal
	correct corrector

	ledgerCache ledgerCache

	doubts    atomic.Pointer[doubts]
	doubtTurn turn           // held while notes of doubts are read or stored; guards notes
	notes     []string       // objects that hold those that could be read
	doubtMu   sync.Mutex     // guards changes of doubts and what follows
	fresh     []ledger.Doubt // doubts that are not stored yet

	sight   sight
	current atomic.Bool // the key ring opens what is newest

	rescueTurn  turn // held while packs without an index are looked into; guards what follows
	rescued     bool // they were
	rescueFound bool
	rescueLeft  error // why not all of them were
}

// Create makes a repository in the storage, which must hold none, and opens it.
// A creation that died half-way is completed.
func Create(ctx context.Context, be storage.Backend, ring *keyring.Ring, o CreateOptions) (*Repository, error) {
	const op = "create repository"
	cfg := newConfig(o)
	cfg.Created = clock.Or(o.Clock).Now().UTC().Truncate(time.Second)
	cfg.KeyCheck = keyCheck(seal.NewKeys(ring, cfg.rawID()))
	if err := cfg.validate(); err != nil {
		return nil, fault.New(op, be.Location(), err, "")
	}
	if err := writeConfig(ctx, withRetention(be, o.Retention), cfg); err != nil {
		return nil, err
	}
	return Open(ctx, be, ring, OpenOptions{CacheDir: o.CacheDir, Reserve: o.Reserve, Retention: o.Retention, Cold: o.Cold})
}

// writeConfig writes the copy first: of creations that race, the one whose copy
// is there decides what the repository is, and the other completes it.
func writeConfig(ctx context.Context, be storage.Backend, cfg Config) error {
	const op = "create repository"
	exists := fault.New(op, be.Location(), ErrExists, "use it, or choose an empty place")
	if _, err := be.Stat(ctx, configName); err == nil {
		return exists
	}
	data, err := encodeConfig(cfg)
	if err != nil {
		return fault.New(op, be.Location(), err, "")
	}
	put := storage.PutOptions{IfAbsent: true, Sync: true}
	err = be.Put(ctx, configCopy, data, put)
	if errors.Is(err, storage.ErrExists) {
		data, err = storage.ReadAll(ctx, be, configCopy, maxConfigSize, nil)
		if err == nil {
			_, err = decodeConfig(data)
		}
	}
	if errors.Is(err, storage.ErrNotFound) {
		return fault.New(op, be.Location(), fmt.Errorf("%w: the storage refuses a new object of that name and shows none: it was deleted, and a version of it is kept", err),
			"a repository was here; bring it back: mahavishnu verify --repair, with the same --repository or configuration")
	}
	if err != nil {
		return fault.New(op, be.Location(), err, "")
	}
	err = be.Put(ctx, configName, data, put)
	if errors.Is(err, storage.ErrExists) {
		return exists
	}
	if err != nil {
		return fault.New(op, be.Location(), err, "")
	}
	return nil
}

// finishCreation writes what a creation that died half-way did not come to: before
// anything is stored, so that what is missing later was lost and not left out.
func (r *Repository) finishCreation(ctx context.Context) error {
	if len(r.index.fragments()) > 0 {
		return nil
	}
	if _, err := r.be.Stat(ctx, configName); !errors.Is(err, storage.ErrNotFound) {
		return nil // what cannot be looked at is told by whoever needs it
	}
	data, err := storage.ReadAll(ctx, r.be, configCopy, maxConfigSize, nil)
	if err == nil {
		_, err = decodeConfig(data)
	}
	if err == nil {
		err = r.be.Put(ctx, configName, data, storage.PutOptions{IfAbsent: true, Sync: true})
	}
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return fault.New("finish creating the repository", r.be.Location(), err, "")
	}
	return nil
}

// Open opens the repository in the storage. The backend stays the caller's: it
// is closed after the repository.
func Open(ctx context.Context, be storage.Backend, ring *keyring.Ring, o OpenOptions) (*Repository, error) {
	const op = "open repository"
	cfg, err := readConfig(ctx, be)
	if errors.Is(err, ErrUnknownFeature) {
		return nil, fault.New(op, be.Location(), err, "use a newer version of this program")
	}
	if err != nil {
		return nil, err
	}
	keys := seal.NewKeys(ring, cfg.rawID())
	if err := checkKey(cfg, keys); err != nil {
		return nil, fault.New(op, be.Location(), err,
			"this is "+ring.Fingerprint()+": set encryption.key_path to the key ring the repository was created with")
	}
	comp, err := compress.NewDecoder(blob.MaxSize)
	if err != nil {
		return nil, fault.New(op, be.Location(), err, "")
	}
	index, err := newIndexSet(be, keys, cfg.ID, o.CacheDir)
	if err != nil {
		return nil, fault.New(op, be.Location(), err, "")
	}
	kept := withRetention(be, o.Retention)
	room := &roomy{Backend: kept, keep: o.Reserve}
	retention, _ := kept.(*retaining)
	r := &Repository{
		be: room, retention: retention, cold: o.Cold, room: room, cfg: cfg, keys: keys, ids: newHasher(keys, cfg.Hash), comp: comp, index: index,
		doubtTurn: newTurn(), rescueTurn: newTurn(),
	}
	if storage.Far(be.Location()) {
		r.trees = newTreeReader(r, farTreeWindow, farTreeWindows)
	}
	r.correct.turn, r.correct.told = newTurn(), o.OnCorrection
	r.sight.told, index.sight = o.OnUnlisted, &r.sight
	index.served = func(name string, why error) {
		if !r.sight.covers(name, why) {
			r.correct.corrected(name, ByCopy)
		}
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// ID returns the repository's random identity.
func (r *Repository) ID() string { return r.cfg.ID }

// Config returns what the repository says of itself.
func (r *Repository) Config() Config { return r.cfg }

// ChunkerSecret returns the 32-byte key of the chunker's gear table. It never
// changes.
func (r *Repository) ChunkerSecret() []byte { return r.keys.Secret("chunker", 32) }

// Backend returns the storage.
func (r *Repository) Backend() storage.Backend { return r.room.Backend }

// Refresh learns what other sessions have added to the index since it was read.
// A damaged fragment is no error here: reading makes up for it from the packs
// themselves, and CheckObjects names it. Neither is a place that cannot be listed:
// OnUnlisted hears of it.
func (r *Repository) Refresh(ctx context.Context) error {
	if err := r.rescueTurn.take(ctx); err != nil {
		return err
	}
	r.rescued, r.rescueFound, r.rescueLeft = false, false, nil
	r.rescueTurn.give()
	r.correct.forget()
	r.current.Store(false)
	if err := r.loadDoubts(ctx); err != nil {
		return err
	}
	return r.index.refresh(ctx)
}

// Close lets go of the index. Sessions must have ended and nothing may be
// reading.
func (r *Repository) Close() error {
	r.comp.Close()
	r.closeCorrector()
	return errors.Join(r.index.close(), r.scratch.close())
}
