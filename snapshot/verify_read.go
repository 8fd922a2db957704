package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
)

const (
	// noteEvery is how often a long run notes what it has verified.
	noteEvery = 10 * time.Minute
	// lastWords is how long an interrupted run takes to note it.
	lastWords = 20 * time.Second
)

// read checks every byte of packs, and of their parity. Those that may have to be
// thawed are left alone: the storage bills for that, and a restore asks for it.
func (v *verifier) read(ctx context.Context, packs []repository.PackID) error {
	packs = slices.DeleteFunc(packs, func(id repository.PackID) bool {
		cold := v.repo.InCold(id)
		if cold {
			v.report.ColdPacks++
			v.report.ColdBytes += v.sizes[id]
		}
		return cold
	})
	v.inStorageOrder(packs)
	for _, id := range packs {
		v.progress.Add(ProgressDelta{ExpectBytes: v.sizes[id]})
	}
	// Nothing can end what follows but ctx and a ledger that cannot be written.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := v.repo.CheckPacks(ctx, packs, func(id repository.PackID, size int64, p *repository.Problem) {
		if p != nil {
			v.found(*p)
		} else if err := v.verified(ctx, id); err != nil {
			stop(err)
		}
		if p == nil || !errors.Is(p.Err, repository.ErrUnreadable) {
			v.report.PacksRead++
			v.report.BytesRead += size
		}
		v.progress.Add(ProgressDelta{Bytes: size})
	})
	if err != nil {
		return err
	}
	err = v.repo.CheckParity(ctx, packs, v.found)
	if blind := (*repository.UnlistedError)(nil); errors.As(err, &blind) {
		v.unlisted(blind)
		return nil
	}
	return err
}

// unlisted notes a place that cannot be listed, unless that is noted.
func (v *verifier) unlisted(blind *repository.UnlistedError) {
	known := slices.ContainsFunc(v.problems, func(p VerifyProblem) bool {
		return errors.Is(p.Err, repository.ErrUnlisted) && strings.HasPrefix(blind.Place, p.Object)
	})
	if !known {
		v.found(blind.Problem())
	}
}

// verified notes a pack that is whole.
func (v *verifier) verified(ctx context.Context, id repository.PackID) error {
	now := v.o.Clock.Now()
	v.marks = append(v.marks, ledger.Mark{ID: id, Full: now.Unix()})
	v.sound = append(v.sound, id)
	if now.Sub(v.noted) < noteEvery {
		return nil
	}
	v.noted = now
	marks := v.marks
	v.marks = nil
	return v.mayNotWrite(v.repo.Record(ctx, ledger.New(marks, nil)))
}

// record notes what was verified, which snapshots are there and which blobs are
// not to be trusted.
func (v *verifier) record(ctx context.Context, ended bool) error {
	if !ended {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer stop()
	}
	now := v.o.Clock.Now()
	news := ledger.New(v.marks, slices.DeleteFunc(repository.Seen(now, v.seen), func(f ledger.Fate) bool {
		known := v.learned.Ledger.Fate(f.Name)
		return !ended || known.Seen > 0 || known.Forgotten > 0
	}))
	err := v.repo.RecordDoubts(ctx, now, v.sound)
	if err == nil {
		err = v.repo.RecordVerification(ctx, now, news)
	}
	if err = v.mayNotWrite(err); err != nil || !ended {
		return err
	}
	if v.o.Structure { // nothing was read, and nobody waits for what others noted meanwhile
		coverage := v.repo.Coverage(ledger.Join(v.learned.Ledger, news), now, v.o.MaxAge)
		v.report.Coverage = &coverage
		return nil
	}
	after, err := v.repo.Ledger(ctx, now)
	if errors.Is(err, repository.ErrUnlisted) {
		return nil // a problem that is told
	}
	if err != nil {
		return err
	}
	coverage := v.repo.Coverage(after, now, v.o.MaxAge)
	v.report.Coverage = &coverage
	return nil
}

// mayNotWrite takes a place that is only to be read, or that cannot be listed, for
// what it is: all is verified there, and nobody will know.
func (v *verifier) mayNotWrite(err error) error {
	if errors.Is(err, storage.ErrReadOnly) || errors.Is(err, fs.ErrPermission) || errors.Is(err, storage.ErrDenied) || errors.Is(err, repository.ErrUnlisted) {
		v.report.NotRecorded = err.Error()
		return nil
	}
	return err
}

// found notes an object's problem, once however often it is found.
func (v *verifier) found(p repository.Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i, ok := v.objects[p.Object]
	if !ok {
		i = v.add(VerifyProblem{Object: p.Object, Kind: p.Kind, Err: p.Err, Harmless: p.Harmless, Mendable: p.Mendable})
		if v.o.OnProblem != nil {
			v.o.OnProblem(p)
		}
	}
	for _, id := range p.Blobs {
		v.bad[id] = i
	}
}

// finish puts the report in order.
func (v *verifier) finish(ended bool) {
	if ended {
		v.excuseMissing()
	}
	slices.SortStableFunc(v.problems, func(a, b VerifyProblem) int {
		rank := func(p VerifyProblem) int {
			switch {
			case p.Harmless:
				return 2
			case len(p.Affected) == 0:
				return 1
			}
			return 0
		}
		return cmp.Compare(rank(a), rank(b))
	})
	v.report.ProblemsTotal = len(v.problems)
	for _, p := range v.problems {
		if p.Harmless {
			v.report.HarmlessTotal++
		}
	}
	v.report.Problems = append([]VerifyProblem{}, v.problems[:min(len(v.problems), reportedProblems)]...)
}

// excuseMissing finds that packs which are missing are garbage that is gone: the
// index knows them, and no snapshot needs them. That is known only when all
// snapshots could be walked.
func (v *verifier) excuseMissing() {
	missing := func(p VerifyProblem) bool {
		return p.Kind == repository.ObjectPack && errors.Is(p.Err, repository.ErrMissing) && len(p.Affected) == 0
	}
	for _, p := range v.problems {
		// A tree that is lost hides what it needs.
		if !v.whole || p.LostBlobs > 0 || p.Kind == repository.ObjectSnapshot && !p.Harmless && !errors.Is(p.Err, repository.ErrServed) {
			return
		}
	}
	for i := range v.problems {
		if p := &v.problems[i]; missing(*p) && !p.Mendable {
			p.Harmless = true
			p.Err = fmt.Errorf("%w, and no snapshot needs it: the index still names it", p.Err)
		}
	}
}

func (v *verifier) add(p VerifyProblem) int {
	i := len(v.problems)
	p.Unreadable = errors.Is(p.Err, repository.ErrUnreadable)
	v.problems = append(v.problems, p)
	v.objects[p.Object] = i
	return i
}

// blobProblem returns the problem that a blob suffers from, making one for a
// blob that no damaged object accounts for.
func (v *verifier) blobProblem(id repository.ID, err error) *VerifyProblem {
	i, ok := v.bad[id]
	if !ok {
		p := VerifyProblem{Object: "blob " + id.String(), Kind: "blob", Err: err}
		if lost := new(repository.BlobError); errors.As(err, &lost) && lost.Pack != (repository.PackID{}) {
			p.Object, p.Kind = lost.Pack.Object(), repository.ObjectPack
		}
		if i, ok = v.objects[p.Object]; !ok {
			i = v.add(p)
		}
		v.bad[id] = i
	}
	return &v.problems[i]
}
