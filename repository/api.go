package repository

import (
	"context"
	"errors"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// CreateOptions says what a new repository is like. The zero value is the
// recommended one.
type CreateOptions struct {
	Hash     Hash    // default SHA256
	Chunker  Chunker // default DefaultChunker
	Padding  string  // default "64th"
	CacheDir string  // as in OpenOptions
	Clock    clock.Clock
}

// OpenOptions says how a repository is opened.
type OpenOptions struct {
	// CacheDir keeps decrypted index fragments between runs; it holds ids and
	// sizes, no content. "" uses a private temporary directory for this run.
	CacheDir string
}

// Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	be   storage.Backend
	ring *keyring.Ring
	cfg  Config
}

// Create makes a repository in the storage, which must hold none, and opens it.
func Create(ctx context.Context, be storage.Backend, ring *keyring.Ring, o CreateOptions) (*Repository, error) {
	return nil, errors.ErrUnsupported
}

// Open opens the repository in the storage. The backend stays the caller's: it
// is closed after the repository.
func Open(ctx context.Context, be storage.Backend, ring *keyring.Ring, o OpenOptions) (*Repository, error) {
	return nil, errors.ErrUnsupported
}

// ID returns the repository's random identity.
func (r *Repository) ID() string { return r.cfg.ID }

// Config returns what the repository says of itself.
func (r *Repository) Config() Config { return r.cfg }

// ChunkerSecret returns the 32-byte key of the chunker's gear table. It never
// changes.
func (r *Repository) ChunkerSecret() []byte { return nil }

// Backend returns the storage.
func (r *Repository) Backend() storage.Backend { return r.be }

// Close lets go of the index. Sessions must have ended.
func (r *Repository) Close() error { return nil }

// Refresh learns what other sessions have added to the index since it was read.
func (r *Repository) Refresh(ctx context.Context) error { return nil }

// Location is where a blob is.
type Location struct {
	Pack   PackID
	Kind   Kind
	Offset uint32 // of the blob's record in the pack
	Stored uint32 // size of the record in the pack
	Raw    uint32 // size of the blob
}

// Locate tells where a blob is, by the index alone. A blob stored more than
// once has any of its places.
func (r *Repository) Locate(id ID) (Location, bool) { return Location{}, false }

// Load returns the bytes of a blob, in buf's space when it is large enough. The
// error is a *BlobError.
func (r *Repository) Load(ctx context.Context, id ID, kind Kind, buf []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// Wanted is a blob to be read from a pack, as Locate gave it.
type Wanted struct {
	ID     ID
	Offset uint32
	Stored uint32
	Raw    uint32
}

// LoadPack reads the wanted blobs of one pack with few, large reads, and calls
// fn for each of them once, in the order of their offsets, from one goroutine:
// with the bytes, which are valid until fn returns, or with a *BlobError. A blob
// that is damaged here but stored elsewhere too is read from there. An error
// from fn ends the reading and is returned as it is. To use more cores and
// connections, call it for several packs at once.
func (r *Repository) LoadPack(ctx context.Context, pack PackID, wanted []Wanted, fn func(Wanted, []byte, error) error) error {
	return errors.ErrUnsupported
}

// SessionOptions says how a session stores. The zero value is the recommended
// one.
type SessionOptions struct {
	// Compression of new blobs. The zero value is zstd, fastest.
	Compression compress.Setting
	// Type of the backup. "archival" sessions reuse only what archival packs
	// hold, because those are kept under rules of their own.
	Type string
	// Budget bounds the memory of pack buffers in bytes. Default: 128 MiB on
	// two cores, and 32 MiB for each further core.
	Budget int64
	// PackSize is the target size of packs in bytes. Default 32 MiB.
	PackSize int
	// VerifyEvery decodes every n-th new blob right after it was sealed and
	// compares it. Default 64; 1 verifies all; negative none.
	VerifyEvery int
	// Fence is called last before the snapshot becomes visible: an error stops
	// the commit. Whoever runs under a lease asks here whether it still holds.
	Fence func(ctx context.Context) error
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
}

// Stats counts what a session did. Raw bytes are before compression.
type Stats struct {
	NewBlobs     int64 // stored by this session
	NewBytes     int64 // raw
	StoredBytes  int64 // what the new blobs take in packs
	ReusedBlobs  int64 // found stored already, by any session
	ReusedBytes  int64 // raw
	AdoptedPacks int64 // left by a session that died, and taken over
	AdoptedBlobs int64
	AdoptedBytes int64 // raw bytes in adopted packs
	Packs        int64 // written by this session
	PackBytes    int64 // their size
	RefusedPacks int64 // found unfinished or damaged, and left alone
}

// Saved says what Save did with a blob.
type Saved struct {
	New    bool // false: it was stored already
	Stored int  // bytes it takes in its pack, when new
}

// Session stores blobs and commits one snapshot. Its methods are safe for
// concurrent use; Commit or Abort ends it.
type Session struct{}

// Session starts one. It reads the list of packs, so that it reuses only blobs
// whose pack is there, and takes over packs that no index knows: what a session
// that died had stored.
func (r *Repository) Session(ctx context.Context, o SessionOptions) (*Session, error) {
	return nil, errors.ErrUnsupported
}

// ID returns the content id of data.
func (s *Session) ID(kind Kind, data []byte) ID { return ID{} }

// Has tells whether the blob needs no storing: it is in this session, or
// indexed in a pack that is there.
func (s *Session) Has(id ID) bool { return false }

// Save stores data unless it is stored already. Call it from as many goroutines
// as there are cores: each carries its blob from hash to pack by itself. Save
// does not keep data. An error is final for the session: it can only abort.
func (s *Session) Save(ctx context.Context, kind Kind, data []byte) (ID, Saved, error) {
	return ID{}, Saved{}, errors.ErrUnsupported
}

// Commit makes everything durable and then the snapshot visible: packs, index,
// fence, snapshot. ID, Totals.NewBytes, StoredBytes and ReusedBytes are filled in, Time
// is cut to seconds. When the job has a snapshot already (another attempt was
// faster), that one is returned instead. After an error call Abort.
func (s *Session) Commit(ctx context.Context, snap Snapshot) (Snapshot, error) {
	return Snapshot{}, errors.ErrUnsupported
}

// Abort ends the session without a snapshot, but keeps what it stored: open
// packs and the index are written, so that the next session finds every byte.
// Give it a context that is not ended. After Commit it does nothing, so it may
// be deferred.
func (s *Session) Abort(ctx context.Context) (Stats, error) { return Stats{}, nil }

// Stats returns the counts so far.
func (s *Session) Stats() Stats { return Stats{} }

// Snapshots returns the snapshots of a source, or all for "", ordered by source
// and time. Damaged ones are returned as errors that name them and never hide
// the others; the last error is about the listing itself.
func (r *Repository) Snapshots(ctx context.Context, source string) ([]Snapshot, []error, error) {
	return nil, nil, errors.ErrUnsupported
}

// FindSnapshot returns the snapshot that ref names: an id, a unique beginning of
// one (4 digits or more), "latest", or "latest:SOURCE".
func (r *Repository) FindSnapshot(ctx context.Context, ref string) (Snapshot, error) {
	return Snapshot{}, errors.ErrUnsupported
}

// DeleteSnapshot removes a snapshot. Its blobs stay until they are collected.
func (r *Repository) DeleteSnapshot(ctx context.Context, snap Snapshot) error {
	return errors.ErrUnsupported
}

// Problem is something wrong with an object.
type Problem struct {
	// Object is its name in the storage.
	Object string
	// Kind of the object: "config", "index", "snapshot", "pack" or "unknown".
	Kind string
	// Err says what is wrong.
	Err error
	// Blobs that cannot be read because of it, when that is known.
	Blobs []ID
	// Harmless is true when no snapshot can need what is wrong: a pack that a
	// dying session left unfinished.
	Harmless bool
}

// CheckObjects checks the structure: both configs, every index fragment, every
// snapshot object, and that every pack is there with its size, header and
// footer whole. It reads little of the data. fn is called for each problem, from
// one goroutine.
func (r *Repository) CheckObjects(ctx context.Context, fn func(Problem) error) error {
	return errors.ErrUnsupported
}

// CheckPack reads a whole pack, opens every blob and compares it with its
// content id and the index. A nil problem means that every byte is right. The
// error is about the check itself (context ended, storage unreachable).
func (r *Repository) CheckPack(ctx context.Context, pack PackID) (*Problem, error) {
	return nil, errors.ErrUnsupported
}

// ScrubPack reads a whole pack and compares the stored checksums. It needs no
// key, and finds whatever happened to the bytes since they were stored.
func ScrubPack(ctx context.Context, be storage.Backend, pack PackID) (*Problem, error) {
	return nil, errors.ErrUnsupported
}

// PackInfo describes a pack.
type PackInfo struct {
	ID      PackID
	Size    int64
	ModTime time.Time
	Indexed bool // false: no index knows it
	Kind    Kind // when indexed
	Blobs   int  // when indexed
}

// Packs lists the packs in the storage.
func (r *Repository) Packs(ctx context.Context, fn func(PackInfo) error) error {
	return errors.ErrUnsupported
}

// EachBlob calls fn for every blob in the index, those stored more than once as
// often, until fn returns false.
func (r *Repository) EachBlob(fn func(ID, Location) bool) {}
