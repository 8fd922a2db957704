package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const indexPrefix = "index/"

// fragment is one index fragment in use.
type fragment struct {
	*index.Fragment
	name  string // of the object; "" for one made from packs in this process
	close func() error
	// shrink keeps it out of this process's memory; see index.File.
	shrink func()
}

// indexSet is all index fragments known. Look-ups read an immutable list;
// refresh replaces it. Fragments stay mapped until close, because a reader may
// be inside one.
type indexSet struct {
	be    storage.Backend
	keys  *seal.Keys
	cache string // directory of decrypted fragments
	own   bool   // the cache is this process's own and goes at close
	// served is told of a fragment that was read from its copy.
	served func(name string, why error)
	sight  *sight

	turn    turn       // held by refresh while it reads
	mu      sync.Mutex // guards what follows
	bad     map[string]error
	stood   map[string]bool // fragments that others stand for, there or not
	left    []string        // those of them that are there
	retired []*fragment     // gone from the storage, but somebody may be reading
	current atomic.Pointer[[]*fragment]
}

func newIndexSet(be storage.Backend, keys *seal.Keys, repo, cacheDir string) (*indexSet, error) {
	s := &indexSet{be: be, keys: keys, turn: newTurn(), bad: map[string]error{}}
	s.current.Store(&[]*fragment{})
	if cacheDir == "" {
		dir, err := os.MkdirTemp("", "mahavishnu-index-")
		if err != nil {
			return nil, fault.New("create cache", os.TempDir(), err, "set TMPDIR to a directory with room, or configure a cache directory")
		}
		s.cache, s.own = dir, true
		return s, nil
	}
	s.cache = filepath.Join(cacheDir, repo)
	if err := os.MkdirAll(s.cache, 0o700); err != nil {
		return nil, fault.New("create cache", s.cache, err, "configure a cache directory this user may write")
	}
	return s, nil
}

// fragments returns the fragments, for reading.
func (s *indexSet) fragments() []*fragment { return *s.current.Load() }

// refresh loads fragments that are new in the storage and forgets those that
// are gone. Where the storage cannot list them, it makes do with those that are
// known already or lie in the cache: what they do not tell, packs do.
func (s *indexSet) refresh(ctx context.Context) error {
	if err := s.turn.take(ctx); err != nil {
		return err
	}
	defer s.turn.give()
	before := s.fragments()
	listed := map[string]bool{}
	err := listTwice(ctx, s.be, indexPrefix, func(name string, _, _ bool) { listed[name] = true })
	whole, err := s.sight.tolerate(err, indexPrefix, copyOf(indexPrefix))
	if err != nil {
		return err
	}
	if !whole {
		s.addCached(listed)
	}
	var next, gone []*fragment
	for _, f := range before {
		if f.name == "" || listed[f.name] || !whole {
			next = append(next, f)
			delete(listed, f.name)
			continue
		}
		gone = append(gone, f)
	}
	loaded, bad, err := s.loadAll(ctx, slices.Sorted(maps.Keys(listed)))
	if errors.Is(err, ErrUnreachable) { // as good as not listed
		_, err = s.sight.tolerate(&UnlistedError{Place: indexPrefix, Err: err}, indexPrefix)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.retired = append(s.retired, loaded...)
		return err
	}
	for _, f := range s.fragments()[len(before):] { // added since
		if !listed[f.name] {
			next = append(next, f)
		} else {
			gone = append(gone, f)
		}
	}
	s.bad, s.retired = bad, append(s.retired, gone...)
	s.bring(s.withoutReplaced(append(next, loaded...)))
	return nil
}

// loadAll loads fragments, and returns those that cannot be read, also because the
// key ring is older: see mayChange.
func (s *indexSet) loadAll(ctx context.Context, names []string) (loaded []*fragment, bad map[string]error, err error) {
	bad = map[string]error{}
	unreadable := 0
	for _, name := range names {
		f, err := s.load(ctx, name)
		switch {
		case err == nil:
			loaded = append(loaded, f)
		case isDamage(err), errors.Is(err, keyring.ErrNoVersion):
			bad[name] = err
		case errors.Is(err, storage.ErrNotFound): // compacted since it was listed
		case errors.Is(err, ErrUnreadable) && unreadable < patience:
			unreadable++ // a bad sector; many of them are a storage that is out of reach
			bad[name] = err
		case errors.Is(err, ErrUnreadable):
			return loaded, bad, fmt.Errorf("%w: %d parts of the index could not be read: %w", ErrUnreachable, unreadable, err)
		default:
			return loaded, nil, err
		}
	}
	return loaded, bad, nil
}

// addCached adds the fragments that lie in the cache to those that are listed. Some
// may be gone from the storage: then the packs that they tell of may be gone too, which
// who reads finds out.
func (s *indexSet) addCached(listed map[string]bool) {
	entries, err := os.ReadDir(s.cache)
	if err != nil {
		return // it is only a cache
	}
	for _, e := range entries {
		if name := indexPrefix + e.Name(); isIndexObject(name) {
			listed[name] = true
		}
	}
}

// mappedEntries is up to how many blobs the index is read where it is mapped,
// which is fastest. A larger one would become resident, 47 bytes a blob, by being
// asked for every blob once.
const mappedEntries = 512 << 10

// bring puts fragments into use.
func (s *indexSet) bring(next []*fragment) {
	total := 0
	for _, f := range next {
		total += f.Len()
	}
	if total > mappedEntries {
		for _, f := range next {
			f.shrink()
		}
	}
	s.current.Store(&next)
}

// withoutReplaced leaves out the fragments that others stand for: who compacted
// them died before deleting them, or is about to.
func (s *indexSet) withoutReplaced(all []*fragment) []*fragment {
	s.stood, s.left = map[string]bool{}, nil
	for _, f := range all {
		for _, name := range f.Replaces() {
			s.stood[indexPrefix+hex.EncodeToString(name[:])] = true
		}
	}
	next := all[:0]
	for _, f := range all {
		if s.stood[f.name] {
			s.left = append(s.left, f.name)
			s.retired = append(s.retired, f)
			continue
		}
		next = append(next, f)
	}
	for name := range s.bad {
		if s.stood[name] {
			s.left = append(s.left, name)
			delete(s.bad, name)
		}
	}
	return next
}

// standsIn tells whether another fragment stands for the one of that name.
func (s *indexSet) standsIn(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stood[name]
}

// replacedThere returns the fragments that are there although others stand for
// them.
func (s *indexSet) replacedThere() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.left...)
}

// damaged tells how many fragments could not be read.
func (s *indexSet) damaged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bad)
}

// load opens a fragment from the cache, or from the storage into the cache.
func (s *indexSet) load(ctx context.Context, name string) (*fragment, error) {
	path := filepath.Join(s.cache, strings.TrimPrefix(name, indexPrefix))
	if f, err := index.OpenFile(path); err == nil {
		return &fragment{Fragment: f.Fragment, name: name, close: f.Close, shrink: f.Shrink}, nil
	}
	// Not cached, or the cache is damaged: it is only a cache.
	var text []byte
	served, err := readTwice(ctx, s.be, name, index.MaxSize, func(data []byte) error {
		stored, err := s.keys.Open(seal.TypeIndex, name, data)
		if err != nil {
			return err
		}
		b, err := index.Decode(stored)
		if err != nil {
			return err
		}
		text, err = b.Build()
		return err
	})
	if err != nil {
		return nil, err
	}
	if served != nil {
		s.served(name, served)
	}
	return s.use(name, text)
}

// use puts the text of a fragment into the cache and maps it.
func (s *indexSet) use(name string, text []byte) (*fragment, error) {
	base := strings.TrimPrefix(name, indexPrefix)
	if base == "" {
		base = "packs-" + randomHex(8)
	}
	path := filepath.Join(s.cache, base)
	if err := writeCache(path, text); err != nil {
		return nil, fault.New("write cache", path, err, "free space there, or configure another cache directory")
	}
	f, err := index.OpenFile(path)
	if err != nil {
		return nil, fault.New("read cache", path, err, "")
	}
	return &fragment{Fragment: f.Fragment, name: name, close: f.Close, shrink: f.Shrink}, nil
}

// writeCache puts a file in place whole, so that another process sharing the
// cache sees all of it or nothing. It need not be durable.
func writeCache(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// add brings a fragment made in this process into use.
func (s *indexSet) add(name string, text []byte) (*fragment, error) {
	f, err := s.use(name, text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bring(append(append([]*fragment(nil), s.fragments()...), f))
	return f, nil
}

func (s *indexSet) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range append(s.retired, s.fragments()...) {
		errs = append(errs, f.close())
	}
	s.retired = nil
	s.current.Store(&[]*fragment{})
	if s.own {
		if err := os.RemoveAll(s.cache); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// pack finds a pack in the index.
func (s *indexSet) pack(id PackID) (index.Pack, bool) {
	for _, f := range s.fragments() {
		if n, ok := f.FindPack(id); ok {
			return f.Pack(n)
		}
	}
	return index.Pack{}, false
}

// locations calls fn for every place of a blob until it returns false.
func (s *indexSet) locations(id ID, fn func(index.Pack, index.Entry) bool) {
	for _, f := range s.fragments() {
		e, ok := f.Lookup(id)
		if !ok {
			continue
		}
		if p, ok := f.Pack(e.Pack); ok && !fn(p, e) {
			return
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}
