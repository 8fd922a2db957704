package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage/dispersed"
	"mahavishnu/terminal"
)

// mayMend tells whether anything can be stored: not while more storages of a dispersed
// repository are rolled back than may be lost, which is told.
func mayMend(ctx context.Context, repo *app.Opened) bool {
	d, ok := repo.Dispersed()
	return !ok || d.MayStore(ctx) == nil
}

// unadvised is an error whose hints would be wrong beside those of another one.
type unadvised struct{ error }

// Is keeps what decides the exit code.
func (u unadvised) Is(target error) bool { return errors.Is(u.error, target) }

// acceptance is going on without what storages that were rolled back have lost.
type acceptance struct {
	e     *env
	token string
	lost  []repository.Snapshot
}

// runAcceptRolledBack takes the state of the storages for the one that counts: what is lost
// is let go of in the storages, brought back from copies, and given up where they lack it.
func runAcceptRolledBack(ctx context.Context, e *env, token string) error {
	a := &acceptance{e: e, token: token}
	something, err := a.letGo(ctx)
	if err != nil || !something {
		return err
	}
	if e.Replica != "" {
		e.term.Printf("what this copy lacks now is copied again: mahavishnu replicate %s", e.Replica)
		return nil
	}
	return a.goOn(ctx)
}

// letGo has the storages go on without what is lost, and tells whether anything was.
func (a *acceptance) letGo(ctx context.Context) (something bool, err error) {
	open := a.e.openToWrite
	if a.e.Replica != "" {
		open = a.e.open
	}
	repo, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	d, ok := repo.Dispersed()
	if !ok {
		return false, usagef("mahavishnu verify", "--accept-rolled-back is for a repository that is dispersed over several storages; this one lies in %s", repo.Backend().Location())
	}
	lost, err := d.Lost(ctx)
	switch {
	case err != nil:
		return false, err
	case lost.None():
		a.e.term.Printf("nothing is lost, and no storage is rolled back: there is nothing to accept")
		return false, nil
	case lost.Token() != a.token:
		return false, fault.New("accept what is lost", d.Location(), fmt.Errorf("%s does not stand for what is lost now", a.token), "see what it is, and what stands for it: mahavishnu verify")
	}
	if err := a.name(ctx, repo.Repository, lost); err != nil {
		return false, err
	}
	progress := a.e.term.Progress("letting go of what is lost")
	report, err := d.LetGo(ctx, lost, nil)
	progress.Stop()
	if err != nil {
		return false, err
	}
	a.e.term.Sayf("the storages count again; %s of them mended", terminal.Plural(report.Repaired-len(lost.Objects), "other problem"))
	return true, nil
}

// name says what is given up, before it is.
func (a *acceptance) name(ctx context.Context, repo *repository.Repository, lost dispersed.Losses) error {
	_, damaged, err := repo.Snapshots(ctx, "")
	if err != nil {
		return err
	}
	for _, err := range damaged {
		one, ok := errors.AsType[*repository.SnapshotError](err)
		if ok && dispersed.Cause(err) != "" {
			a.lost = append(a.lost, one.Snapshot())
		}
	}
	a.e.term.Event("given_up", struct {
		Snapshots []repository.Snapshot `json:"snapshots"`
		Objects   []string              `json:"objects"`
		Older     []string              `json:"older"`
		Storages  []string              `json:"storages"`
	}{nonNil(a.lost), nonNil(lost.Objects), nonNil(lost.Older), words(lost.Storages)})
	if a.e.term.JSON {
		return nil
	}
	for _, n := range lost.Storages {
		a.e.term.Printf("%s counts as it is: %v", storagesOf([]int{n.Storage}), n.Err)
	}
	for _, s := range a.lost {
		a.e.term.Printf("%s snapshot %s of %s, %s", a.e.term.Mark(terminal.Bad, "GIVEN UP"), s.ID, terminal.Name(s.Source), terminal.Moment(s.Time.Local()))
	}
	for _, name := range lost.Objects {
		if repository.KindOf(name) == repository.ObjectKeep && slices.Contains(lost.Objects, "copies/"+name) {
			a.e.term.Printf("%s %s: a pin or a hold, set it again (mahavishnu snapshots pin, hold set)", a.e.term.Mark(terminal.Bad, "GIVEN UP"), name)
		}
	}
	a.e.term.Printf("%s of the repository let go of", terminal.Plural(len(lost.Objects), "object"))
	if n := len(lost.Older); n > 0 {
		a.e.term.Printf("%s taken back to what it was before: %s", terminal.Plural(n, "object"), strings.Join(lost.Older[:min(n, 5)], ", "))
	}
	return nil
}

func words(notices []dispersed.Notice) []string {
	all := make([]string, len(notices))
	for i, n := range notices {
		all[i] = n.String()
	}
	return all
}

// goOn has the repository do without what was let go of: from copies comes what they have,
// and the rest is missed no more.
func (a *acceptance) goOn(ctx context.Context) (err error) {
	e := a.e
	repo, err := e.openToWrite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	if err := repo.Missed(ctx, e.clock.Now(), a.lost); err != nil {
		return err
	}
	here, all, err := a.copies(ctx, repo.ID())
	if err != nil {
		return err
	}
	if here < all {
		e.term.Warnf("of %s of the repository %s cannot be reached and may have what is lost, which stays missed; when it can be: mahavishnu verify --repair",
			terminal.Plural(all, "copy"), terminal.Count(all-here))
	} else if err := a.giveUp(ctx, repo.Repository, here > 0); err != nil {
		return err
	}
	return e.repair(ctx, repo.Repository, "no problem found", snapshot.VerifyOptions{Seed: uint64(e.clock.Now().UnixNano())})
}

// copies counts the copies of the repository, and those of them that are there now.
func (a *acceptance) copies(ctx context.Context, id string) (here, all int, err error) {
	access, err := a.e.access()
	if err != nil {
		return 0, 0, err
	}
	copies, done := access.Copies(ctx)
	for _, c := range copies {
		if there, err := repository.Identify(ctx, c.Backend); err == nil && there.ID == id {
			here++
		}
	}
	return here, len(access.Peers), done()
}

// giveUp fetches the snapshots that are lost from copies, where there are any, and notes
// that nobody misses those that they lack.
func (a *acceptance) giveUp(ctx context.Context, repo *repository.Repository, copies bool) error {
	e, rest := a.e, a.lost
	if copies && len(a.lost) > 0 {
		// What it tells of the others that are missing is what giving up ends.
		err := e.repair(ctx, repo, "no problem found", snapshot.VerifyOptions{Seed: uint64(e.clock.Now().UnixNano())})
		if err != nil && !errors.Is(err, repository.ErrDamaged) {
			return err
		}
		missing, err := repo.Lost(ctx, e.clock.Now())
		if err != nil {
			return err
		}
		rest = slices.DeleteFunc(slices.Clone(a.lost), func(s repository.Snapshot) bool {
			return !slices.ContainsFunc(missing, func(m repository.Snapshot) bool { return m.ID == s.ID })
		})
		e.term.Printf("%s of %s brought back from copies", terminal.Count(len(a.lost)-len(rest)), terminal.Plural(len(a.lost), "snapshot"))
	}
	return repo.LetGo(ctx, e.clock.Now(), rest)
}
