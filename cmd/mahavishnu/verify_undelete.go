package main

import (
	"context"
	"errors"
	"strings"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// undelete brings back what somebody deleted in a storage that keeps versions of it all
// the same. It comes before the repository is opened, which may be what was deleted.
func (e *env) undelete(ctx context.Context) (err error) {
	a, err := e.access()
	if err != nil {
		return err
	}
	be, err := a.Storage.Open(ctx, a.Location)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, be.Close()) }()
	u := &undeletion{e: e, be: be}
	// First what says which keys the rest is sealed with, if that is gone.
	cfg, err := repository.Identify(ctx, be)
	if errors.Is(err, repository.ErrNotRepository) {
		if err := u.bring(ctx, repository.NewJudge(cfg, nil), isConfig); err != nil {
			return u.end(err)
		}
		cfg, err = repository.Identify(ctx, be)
	}
	judge := repository.NewJudge(cfg, nil)
	if ring, _, ringErr := e.ring(); err == nil && ringErr == nil { // else checksums alone tell, and opening tells why
		judge = repository.NewJudge(cfg, ring)
	}
	return u.end(u.bring(ctx, judge, lasting))
}

// undeletion brings back and counts what was deleted.
type undeletion struct {
	e    *env
	be   storage.Backend
	back int
}

func (u *undeletion) bring(ctx context.Context, judge *repository.Judge, want func(name string) bool) error {
	return storage.Undelete(ctx, u.be, storage.UndeleteOptions{Want: want, Whole: judge.Whole, Tell: u.tell})
}

func (u *undeletion) tell(one storage.Undeleted) {
	u.back++
	term := u.e.term
	switch {
	case one.Damaged != nil:
		term.Printf("%s %s: deleted by somebody else, and no version of it is whole; the newest is back: %v", term.Mark(terminal.Bad, "DAMAGED"), one.Name, one.Damaged)
	case one.Passed > 0:
		term.Printf("%s %s: overwritten and deleted by somebody else; mended from an older version, %s before the newest", term.Mark(terminal.Good, "MENDED"), one.Name, terminal.Plural(one.Passed, "version"))
	default:
		term.Printf("%s %s: deleted by somebody else; mended from an older version", term.Mark(terminal.Good, "MENDED"), one.Name)
	}
}

// end tells what it means that something came back, and what could not be looked for.
func (u *undeletion) end(err error) error {
	term := u.e.term
	if u.back > 0 {
		term.Warnf("%s had been deleted, not by this program: whoever did it has credentials of this storage; renew them", terminal.Plural(u.back, "object"))
	}
	if errors.Is(err, storage.ErrDenied) {
		term.Warnf("%s", strings.Join(append([]string{"deleted objects of which the storage keeps a version are not looked for: " + err.Error()}, fault.Hints(err)...), "; "))
		return nil
	}
	return err
}

// isConfig tells the objects by which a repository is one.
func isConfig(name string) bool { return repository.KindOf(name) == repository.ObjectConfig }

// lasting tells what of a repository is worth bringing back: not who was at work.
func lasting(name string) bool {
	return !strings.HasPrefix(name, "gc/") && !strings.HasPrefix(name, app.DoctorFolder)
}
