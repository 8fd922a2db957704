// Package lookups measures the index of a repository with very many blobs: what
// it takes on the disk, what of it is in memory once it is open, and after very
// many look-ups that find nothing and that find something.
//
// The index is made by the repository itself, by saving blobs of a few bytes, each
// of them different: an entry of the index has the same size whatever the size
// of its blob. Only the table of packs is shorter than that of real data, because
// more such blobs fit into a pack; [Made] says how many packs there are.
//
// Filling and asking are done by processes of their own, so that nothing that
// filling leaves in memory is counted.
package lookups

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage/local"
)

// Made is what an index takes on the disk.
type Made struct {
	Blobs int64 `json:"blobs"`
	Packs int64 `json:"packs"`
	// Index is the bytes of all index objects, Copies those of their second
	// copies and of other small objects kept twice.
	Index  int64 `json:"index_bytes"`
	Copies int64 `json:"copies_bytes"`
	// Fragments is how many index objects there are.
	Fragments int64         `json:"fragments"`
	Took      time.Duration `json:"took_ns"`
}

// Resident is what is in memory, in bytes.
type Resident struct {
	// Held is memory that only the program can give back.
	Held int64 `json:"held"`
	// Mapped are pages of index fragments that were touched; the kernel takes
	// them back when it needs the room.
	Mapped int64 `json:"mapped"`
}

// Step is a state of the program that asks.
type Step struct {
	Name string `json:"name"`
	// Grown is what is resident more than before the repository was opened.
	Grown Resident      `json:"grown"`
	Took  time.Duration `json:"took_ns"`
	// Asked is the number of look-ups in this step.
	Asked int64 `json:"asked"`
}

// Fill makes a repository with that many blobs in dir, which must not exist.
func Fill(ctx context.Context, c clock.Clock, dir string, blobs int64) (made Made, err error) {
	began := c.Now()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return made, fault.New("make a repository", dir, err, "name a new directory")
	}
	ring, err := keyring.Create(filepath.Join(dir, "key"), began)
	if err != nil {
		return made, err
	}
	storage, err := local.Open(filepath.Join(dir, "repository"))
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	repo, err := repository.Create(ctx, storage, ring, repository.CreateOptions{Padding: "none"})
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	session, err := repo.Session(ctx, repository.SessionOptions{VerifyEvery: -1})
	if err != nil {
		return made, err
	}
	if err := fill(ctx, session, blobs); err != nil {
		_, abortErr := session.Abort(context.WithoutCancel(ctx))
		return made, errors.Join(err, abortErr)
	}
	// No snapshot is needed: an aborted session leaves its packs and its index.
	stats, err := session.Abort(ctx)
	if err != nil {
		return made, err
	}
	made = Made{Blobs: stats.NewBlobs, Packs: stats.Packs, Took: c.Now().Sub(began)}
	return made, made.measure(filepath.Join(dir, "repository"))
}

// fill saves all blobs on all cores.
func fill(ctx context.Context, session *repository.Session, blobs int64) error {
	group, ctx := errgroup.WithContext(ctx)
	workers := int64(runtime.GOMAXPROCS(0))
	for w := range workers {
		group.Go(func() error {
			var text [contentSize]byte
			for n := w; n < blobs; n += workers {
				if _, _, err := session.Save(ctx, repository.KindData, content(&text, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

const contentSize = 12

// content of blob n: few bytes, unlike those of any other.
func content(text *[contentSize]byte, n int64) []byte {
	binary.LittleEndian.PutUint64(text[:], uint64(n))
	return text[:]
}

// measure finds what the index takes.
func (m *Made) measure(dir string) error {
	index, err := sizeOf(filepath.Join(dir, "index"))
	if err != nil {
		return err
	}
	m.Index, m.Fragments = index.Bytes, index.Files
	copies, err := sizeOf(filepath.Join(dir, "copies"))
	m.Copies = copies.Bytes
	return err
}

// sizeOf is what a directory holds; one that is not there holds nothing.
func sizeOf(dir string) (corpus.Size, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return corpus.Size{}, nil
	}
	return corpus.Measure(dir)
}

// Ask opens the repository that [Fill] made and asks it for blobs: as many that
// it does not have, and as many that it has, drawn at random.
func Ask(ctx context.Context, c clock.Clock, dir string, blobs, asks int64) (steps []Step, err error) {
	ring, err := keyring.Load(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	storage, err := local.Open(filepath.Join(dir, "repository"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	cache := filepath.Join(dir, "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, err
	}
	a := asker{clock: c, cache: cache, before: resident(cache)}
	at := c.Now()
	repo, err := repository.Open(ctx, storage, ring, repository.OpenOptions{CacheDir: cache})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	a.note("opened", at, 0)
	at = c.Now()
	session, err := repo.Session(ctx, repository.SessionOptions{})
	if err != nil {
		return nil, err
	}
	defer func() {
		_, abortErr := session.Abort(context.WithoutCancel(ctx))
		err = errors.Join(err, abortErr)
	}()
	a.note("session began", at, 0)
	for _, round := range []struct {
		name  string
		first int64
		found bool
	}{{"look-ups that find nothing", blobs, false}, {"look-ups that find something", 0, true}} {
		at := c.Now()
		if err := ask(ctx, session, round.first, blobs, asks, round.found); err != nil {
			return a.steps, err
		}
		a.note(round.name, at, asks)
	}
	return a.steps, nil
}

// asker notes what is resident.
type asker struct {
	clock  clock.Clock
	cache  string
	before Resident
	steps  []Step
}

func (a *asker) note(name string, began time.Time, asked int64) {
	took := a.clock.Now().Sub(began)
	debug.FreeOSMemory() // what is garbage would go sooner or later, and the peak tells of it
	now := resident(a.cache)
	a.steps = append(a.steps, Step{
		Name: name, Took: took, Asked: asked,
		Grown: Resident{Held: now.Held - a.before.Held, Mapped: now.Mapped - a.before.Mapped},
	})
}

// ask asks for blobs first..first+blobs in an order without order.
func ask(ctx context.Context, session *repository.Session, first, blobs, asks int64, want bool) error {
	const op = "look up"
	var text [contentSize]byte
	state := uint64(1)
	for range asks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		state = state*6364136223846793005 + 1442695040888963407
		n := first + int64((state>>11)%uint64(blobs))
		id := session.ID(repository.KindData, content(&text, n))
		if session.Has(id) != want {
			answer := "was not found"
			if !want {
				answer = "was found, and never stored"
			}
			return fault.New(op, "blob "+id.String(), errors.New(answer), "")
		}
	}
	return nil
}

// below tells whether a path is a file below dir.
func below(path, dir string) bool { return strings.HasPrefix(path, dir+string(filepath.Separator)) }
