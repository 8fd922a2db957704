package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// ErrUnlisted means that a place of the storage cannot be listed, so that it is not
// known what is there. Who reads goes on with what can be known in other ways;
// nothing is stored, deleted or called lost meanwhile.
var ErrUnlisted = errors.New("a place of the storage cannot be listed")

// UnlistedError is a place that cannot be listed, or not whole. It is ErrUnlisted.
type UnlistedError struct {
	// Place is the beginning of the names there, like "copies/ledger/".
	Place string
	Err   error
}

// Error tells what failed.
func (e *UnlistedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnlistedError) Unwrap() error { return e.Err }

// Is makes it ErrUnlisted.
func (e *UnlistedError) Is(target error) bool { return target == ErrUnlisted }

// Without says for people what reading does without.
func (e *UnlistedError) Without() string {
	switch e.root() {
	case copyPrefix:
		return "second copies are read as far as the first ones tell of them; what has lost its first copy does not show"
	case ledgerPrefix:
		return "it is not known what verifications found, so that a blob which they doubt may be read"
	case indexPrefix:
		return "the index is read from its second copies, the cache, or the packs themselves"
	case snapshotPrefix:
		return "snapshots are read from their second copies; the newest one may not have one yet"
	case packPrefix:
		return "what no index knows cannot be found"
	case "gc/":
		return "a snapshot that is being forgotten may show"
	}
	return "what is there is left out"
}

// root is the directory of the storage that the place is in.
func (e *UnlistedError) root() string {
	name, _, _ := strings.Cut(e.Place, "/")
	return name + "/"
}

// kind is one of the Object constants: what lies there.
func (e *UnlistedError) kind() string {
	for prefix, kind := range map[string]string{
		packPrefix: ObjectPack, indexPrefix: ObjectIndex, snapshotPrefix: ObjectSnapshot, ledgerPrefix: ObjectLedger,
		pinPrefix: ObjectKeep, holdPrefix: ObjectKeep, parity.Prefix: ObjectParity,
		forgottenPrefix: ObjectSnapshot, condemn.Prefix: ObjectCondemned,
	} {
		if strings.HasPrefix(strings.TrimPrefix(e.Place, copyPrefix), prefix) {
			return kind
		}
	}
	return ObjectUnknown
}

// Problem is what a check finds: nothing is known of what is there.
func (e *UnlistedError) Problem() Problem {
	return Problem{Object: e.Place, Kind: e.kind(), Err: fmt.Errorf("%w: %w", ErrUnreadable, e)}
}

// foreign tells whether the place is none of a repository.
func (e *UnlistedError) foreign() bool {
	roots := []string{packPrefix, indexPrefix, snapshotPrefix, ledgerPrefix, pinPrefix, holdPrefix, parity.Prefix, "gc/", copyPrefix}
	return e.Place != "" && !slices.Contains(roots, e.root())
}

// unlistedIn returns the places inside of a listing that failed, as far as the storage
// names them.
func unlistedIn(err error) []*UnlistedError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*UnlistedError
		for _, one := range many.Unwrap() {
			all = append(all, unlistedIn(one)...)
		}
		return all
	}
	switch e := err.(type) { //nolint:errorlint // what it wraps is come to below
	case nil:
		return nil
	case *storage.Error:
		return []*UnlistedError{{Place: e.Object, Err: e}}
	}
	return unlistedIn(errors.Unwrap(err))
}

// listBelow lists what is below a prefix. A failure is an *UnlistedError, unless it is
// fn's own, the end of ctx, or one that may be gone when it is tried again.
func listBelow(ctx context.Context, be storage.Backend, prefix string, fn func(storage.Info) error) error {
	var own error
	err := be.List(ctx, prefix, func(info storage.Info) error {
		own = fn(info)
		return own
	})
	switch temporary := (*storage.TemporaryError)(nil); {
	case err == nil, own != nil, ctx.Err() != nil, errors.As(err, &temporary):
		return err
	}
	return &UnlistedError{Place: prefix, Err: err}
}

// unlisted returns the places that err is about, if it is about nothing else.
func unlisted(err error) []*UnlistedError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*UnlistedError
		for _, one := range many.Unwrap() {
			places := unlisted(one)
			if places == nil {
				return nil
			}
			all = append(all, places...)
		}
		return all
	}
	if one := (*UnlistedError)(nil); errors.As(err, &one) {
		return []*UnlistedError{one}
	}
	return nil
}

// sight is what could not be listed when it was last tried.
type sight struct {
	told func(*UnlistedError) // may be nil

	mu    sync.Mutex
	blind map[string]*UnlistedError // by place
	said  map[string]bool           // by directory of the storage
}

// tolerate notes how listing places went, and tells of each directory that cannot
// be listed once. It reports whether all was listed, and returns the error of a listing
// that ended for another reason.
func (s *sight) tolerate(err error, places ...string) (whole bool, other error) {
	failed := unlisted(err)
	if err != nil && failed == nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, place := range places {
		delete(s.blind, place)
	}
	for _, one := range failed {
		if s.blind == nil {
			s.blind, s.said = map[string]*UnlistedError{}, map[string]bool{}
		}
		s.blind[one.Place] = one
		if s.told != nil && !s.said[one.root()] {
			s.told(one)
		}
		s.said[one.root()] = true
	}
	return len(failed) == 0, nil
}

// lacks returns what could not be listed, if anything of what is below a prefix, or
// of its copies, could not.
func (s *sight) lacks(prefix string) []*UnlistedError {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*UnlistedError
	for _, place := range slices.Sorted(maps.Keys(s.blind)) {
		if strings.HasPrefix(strings.TrimPrefix(place, copyPrefix), prefix) {
			all = append(all, s.blind[place])
		}
	}
	return all
}

// covers tells whether an object cannot be read just as the place it is in cannot
// be listed, which was told.
func (s *sight) covers(object string, err error) bool {
	if !errors.Is(err, ErrUnreadable) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for place := range s.blind {
		if strings.HasPrefix(object, place) {
			return true
		}
	}
	return false
}

// seesAll refuses what stores or deletes while something cannot be listed. What
// could not be listed before is tried again.
func (r *Repository) seesAll(ctx context.Context, op string) error {
	before := r.sight.lacks("")
	if len(before) == 0 {
		return nil
	}
	for _, blind := range before {
		err := listBelow(ctx, r.be, blind.Place, func(storage.Info) error { return nil })
		if _, err := r.sight.tolerate(err, blind.Place); err != nil {
			return err
		}
	}
	return r.refreshAll(ctx, op) // and with it what was missed then
}

// refreshAll is Refresh for those who rely on seeing everything.
func (r *Repository) refreshAll(ctx context.Context, op string) error {
	if err := r.Refresh(ctx); err != nil {
		return err
	}
	if blind := r.sight.lacks(""); len(blind) > 0 {
		return fault.New(op, r.be.Location(), blind[0], "nothing is stored or deleted while it is not known what is there")
	}
	return nil
}
