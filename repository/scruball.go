package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// Scrubbed is what a scrub of a whole repository looked at.
type Scrubbed struct {
	Objects int
	Bytes   int64
	// Archived objects were not read: they have to be thawed first.
	Archived int
	// Packs that are as they were written.
	Packs []PackID
}

// ScrubAll reads every object below a storage and compares its stored checksum,
// as Scrub does, as many at once as there are cores; it compares small objects
// with their second copies, and names what is missing as far as other objects tell
// without a key: a pack by its parity, the configuration by its copy. What is
// missing together with all that tells of it is left to CheckObjects. A place that cannot be
// listed is a problem, too. fn hears of each problem, and done of
// the bytes of each object that was read; both one at a time. The error is about
// the scrub itself, ErrUnreachable when many objects in a row could not be read.
func ScrubAll(ctx context.Context, be storage.Backend, fn func(Problem), done func(bytes int64)) (Scrubbed, error) {
	s := &scrubber{be: be, fn: fn, done: done, sizes: map[string]int64{}}
	err := listBelow(ctx, be, "", func(info storage.Info) error {
		// What is there comes and goes, and tells nothing of data.
		if !strings.HasPrefix(strings.TrimPrefix(info.Name, copyPrefix), "gc/") && !strings.HasPrefix(info.Name, rolesPrefix) {
			s.names = append(s.names, info.Name)
			s.sizes[info.Name] = info.Size
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrUnlisted) {
		return s.out, err
	}
	for _, place := range unlistedIn(err) {
		p := place.Problem()
		p.Harmless = place.foreign()
		if !p.Harmless {
			s.hidden = append(s.hidden, place.Place)
		}
		s.report(p)
	}
	if s.sizes[configName] == 0 && s.sizes[configCopy] == 0 {
		return s.out, fault.New("scrub", be.Location(), ErrNotRepository, "check the path, and that the disk is mounted")
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, name := range s.names {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return s.object(groupCtx, name) })
	}
	if err := cmpError(group.Wait(), context.Cause(ctx)); err != nil {
		return s.out, err
	}
	if err := s.pairs(ctx); err != nil {
		return s.out, err
	}
	return s.out, s.missing(ctx)
}

// scrubber is one ScrubAll.
type scrubber struct {
	be    storage.Backend
	fn    func(Problem)
	done  func(int64)
	names []string
	sizes map[string]int64

	hidden []string // places that cannot be listed

	mu      sync.Mutex // guards what follows, fn and done
	out     Scrubbed
	failing int // objects in a row that could not be read
	bad     map[string]bool
}

func (s *scrubber) object(ctx context.Context, name string) error {
	problem, err := Scrub(ctx, s.be, name)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, storage.ErrArchived) {
		s.out.Archived++
		return nil
	}
	if err != nil {
		if s.failing++; s.failing >= patience {
			return fault.New("scrub", name, fmt.Errorf("%w: %d objects in a row could not be read: %w", ErrUnreachable, s.failing, err),
				"see that the storage can be read, then scrub again")
		}
		problem = &Problem{Object: name, Kind: objectKind(name), Err: fmt.Errorf("%w: %w", ErrUnreadable, err)}
	} else {
		s.failing = 0
	}
	s.out.Objects++
	s.out.Bytes += s.sizes[name]
	s.done(s.sizes[name])
	if problem == nil {
		if id, ok := parsePackObject(name); ok {
			s.out.Packs = append(s.out.Packs, id)
		}
		return nil
	}
	if errors.Is(problem.Err, ErrMissing) {
		return nil // deleted since it was listed
	}
	s.report(*problem)
	return nil
}

func (s *scrubber) report(p Problem) {
	if s.bad == nil {
		s.bad = map[string]bool{}
	}
	s.bad[p.Object] = true
	s.fn(p)
}

// objectKind tells what an object holds, by its name.
func objectKind(name string) string {
	_, isPack := parsePackObject(name)
	bare := strings.TrimPrefix(name, copyPrefix)
	switch {
	case isPack:
		return ObjectPack
	case name == configName || name == configCopy:
		return ObjectConfig
	case isParityObject(name):
		return ObjectParity
	case isIndexObject(bare):
		return ObjectIndex
	case isLedgerObject(bare):
		return ObjectLedger
	case isKeepObject(name):
		return ObjectKeep
	case strings.HasPrefix(bare, snapshotPrefix):
		return ObjectSnapshot
	}
	return ObjectUnknown
}

// pairs compares small objects with their copies. What has no copy yet gets one
// from the next session; a copy without its object means that it was lost.
func (s *scrubber) pairs(ctx context.Context) error {
	for _, name := range s.names {
		object, isCopy := strings.CutPrefix(name, copyPrefix)
		if !isCopy || s.bad[name] || s.bad[object] {
			continue
		}
		first, err := s.read(ctx, object)
		if err == nil {
			var second []byte
			if second, err = s.read(ctx, name); err == nil && !bytes.Equal(first, second) {
				err = fmt.Errorf("%w: it differs from %s", ErrDamaged, object)
			}
			object = name
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			continue
		case errors.Is(err, storage.ErrNotFound) && object == name:
			continue // deleted since it was listed
		case errors.Is(err, storage.ErrNotFound):
			if _, err := s.be.Stat(ctx, name); errors.Is(err, storage.ErrNotFound) {
				continue // both were
			}
			err = fmt.Errorf("%w; %w", ErrMissing, ErrServed)
		default:
			err = readCause(ctx, err)
		}
		if !errors.Is(err, ErrUnreadable) || !s.hides(object) {
			s.report(Problem{Object: object, Kind: objectKind(object), Err: err})
		}
	}
	return nil
}

// hides tells whether an object is in a place that cannot be listed, which is told.
func (s *scrubber) hides(object string) bool {
	return slices.ContainsFunc(s.hidden, func(place string) bool { return strings.HasPrefix(object, place) })
}

func (s *scrubber) read(ctx context.Context, name string) ([]byte, error) {
	return storage.ReadAll(ctx, s.be, name, maxSnapshotSize+s.sizes[name], nil)
}

// missing names what was not listed although what comes with it was. A pack is
// stored before its parity and deleted after it.
func (s *scrubber) missing(ctx context.Context) error {
	want := func(object, sign string) error {
		if _, listed := s.sizes[object]; listed {
			return nil
		}
		for _, name := range []string{object, sign} { // in this order: it may have come, or both may have gone, meanwhile
			_, err := s.be.Stat(ctx, name)
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case (err == nil) == (name == object):
				return nil
			case err != nil && !errors.Is(err, storage.ErrNotFound) && s.hides(name):
				return nil // that is told
			case err != nil && !errors.Is(err, storage.ErrNotFound):
				return err
			}
		}
		s.report(Problem{Object: object, Kind: objectKind(object), Err: fmt.Errorf("%w, and %s is there", ErrMissing, sign)})
		return nil
	}
	for _, name := range s.names {
		object := map[string]string{configName: configCopy, configCopy: configName}[name]
		if id, ok := parityOf(name); ok {
			object = id.Object()
		}
		if object == "" {
			continue
		}
		if err := want(object, name); err != nil {
			return err
		}
	}
	return nil
}
