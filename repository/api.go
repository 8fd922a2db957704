package repository

import (
	"context"
	"errors"
	"time"

	"mahavishnu/storage"
)

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
