package main

import (
	"context"
	"errors"
	"strings"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// undelete brings back what somebody deleted in a storage that keeps it under a marker
// all the same. It comes before the repository is opened, which may be what was deleted.
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
	back := 0
	err = storage.Undelete(ctx, be, lasting, func(name string) {
		back++
		e.term.Printf("%s %s: deleted by somebody else; mended from an older version", e.term.Mark(terminal.Good, "MENDED"), name)
	})
	if back > 0 {
		e.term.Warnf("%s had been deleted, not by this program: whoever did it has credentials of this storage; renew them", terminal.Plural(back, "object"))
	}
	if errors.Is(err, storage.ErrDenied) {
		e.term.Warnf("%s", strings.Join(append([]string{"deleted objects of which the storage keeps a version are not looked for: " + err.Error()}, fault.Hints(err)...), "; "))
		return nil
	}
	return err
}

// lasting tells what of a repository is worth bringing back: not who was at work.
func lasting(name string) bool {
	return !strings.HasPrefix(name, "gc/") && !strings.HasPrefix(name, app.DoctorFolder)
}
