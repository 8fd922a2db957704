package snapshot

import (
	"context"
	"errors"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
)

// RepairReport says what was mended, and what is wrong afterwards.
type RepairReport struct {
	// Actions are the first of what was not right, in the order it was looked at.
	Actions []RepairAction `json:"actions"`
	Mended  int            `json:"mended"` // objects that are right now
	// Left counts the objects that could not be mended and that something needs,
	// Harmless those that nothing needs.
	Left     int           `json:"left"`
	Harmless int           `json:"harmless"`
	Duration time.Duration `json:"-"`
	Seconds  float64       `json:"seconds"` // Duration
	// Verify is what is stored now.
	Verify VerifyReport `json:"verify"`
}

// RepairAction is what was done about one object.
type RepairAction struct {
	Object string `json:"object"`
	Kind   string `json:"kind"`
	// Found says what was wrong, Left why it could not be mended; "" when it was.
	Found string `json:"found"`
	Left  string `json:"left,omitempty"`
	// By is one of repository's By constants: what it was mended from.
	By string `json:"mended_from,omitempty"`
	// LostBlobs is how many blobs of a pack can be read from nowhere.
	LostBlobs int `json:"lost_blobs,omitempty"`
	// Harmless is true when nothing needs what is left.
	Harmless bool `json:"harmless,omitempty"`
}

func action(a repository.Action) RepairAction {
	out := RepairAction{Object: a.Object, Kind: a.Kind, Found: a.Found.Error(), By: a.By, LostBlobs: len(a.Blobs), Harmless: a.Harmless && !a.Mended()}
	if a.Left != nil {
		out.Left = a.Left.Error()
	}
	return out
}

// Repair verifies, mends what can be mended, and tells what is wrong then. With o
// reading data, parity is read whole too. onAction hears of each object when it is
// mended or given up; it may be nil. The error is that of Verify about what is
// left: nil when everything that was found is mended. While it works, collectors
// delete no pack that was there when it began.
func Repair(ctx context.Context, repo *repository.Repository, o VerifyOptions, onAction func(repository.Action)) (RepairReport, error) {
	clk := clock.Or(o.Clock)
	started := clk.Now()
	reading, err := repo.Reader(ctx, o.lease())
	if err != nil {
		return RepairReport{}, err
	}
	report, err := repair(ctx, repo, o, clk, started, onAction)
	return report, errors.Join(err, reading.Close(context.WithoutCancel(ctx)))
}

func repair(ctx context.Context, repo *repository.Repository, o VerifyOptions, clk clock.Clock, started time.Time, onAction func(repository.Action)) (RepairReport, error) {
	var report RepairReport
	var objects []string
	told := o.OnProblem
	o.OnProblem = func(p repository.Problem) {
		objects = append(objects, p.Object)
		if told != nil {
			told(p)
		}
	}
	before, err := Verify(ctx, repo, o)
	report.Verify = before
	if err != nil && !errors.Is(err, repository.ErrDamaged) && !errors.Is(err, repository.ErrUnreadable) {
		return report, err
	}
	mended := map[string]bool{}
	done, repairErr := repo.Repair(ctx, repository.RepairOptions{
		Parity: o.ReadData > 0, Objects: objects, Replicas: o.Replicas, Clock: clk,
		OnAction: func(a repository.Action) {
			mended[a.Object] = a.Mended()
			if len(report.Actions) < reportedProblems {
				report.Actions = append(report.Actions, action(a))
			}
			if onAction != nil {
				onAction(a)
			}
		},
	})
	report.Mended, report.Left, report.Harmless = done.Mended, done.Left, done.Harmless
	report.took(clk.Now().Sub(started))
	if errors.Is(repairErr, repository.ErrUnlisted) { // what that is was found above
		return report, errors.Join(err, repairErr)
	}
	if repairErr != nil && !errors.Is(repairErr, repository.ErrLeft) {
		return report, repairErr
	}
	if done.Mended == 0 {
		return report, err // nothing has changed
	}
	if err := trust(ctx, repo, clk.Now(), mended); err != nil {
		return report, err
	}
	again := o
	again.ReadData, again.Oldest, again.OnProblem = 0, 0, nil
	after, errAfter := Verify(ctx, repo, again)
	after.PacksRead, after.BytesRead = before.PacksRead, before.BytesRead
	after.Duration += before.Duration
	after.Seconds = after.Duration.Seconds()
	if addUnmended(&after, before, mended) && errAfter == nil {
		errAfter = err
	}
	report.Verify = after
	report.took(clk.Now().Sub(started))
	return report, errAfter
}

func (r *RepairReport) took(d time.Duration) { r.Duration, r.Seconds = d, d.Seconds() }

// trust reads the packs that were mended, and takes back the doubts about those
// that are whole now.
func trust(ctx context.Context, repo *repository.Repository, now time.Time, mended map[string]bool) error {
	var packs, sound []repository.PackID
	err := repo.Packs(ctx, func(p repository.PackInfo) error {
		if mended[p.ID.Object()] {
			packs = append(packs, p.ID)
		}
		return nil
	})
	if err == nil {
		err = repo.CheckPacks(ctx, packs, func(id repository.PackID, _ int64, p *repository.Problem) {
			if p == nil {
				sound = append(sound, id)
			}
		})
	}
	if err != nil {
		return err
	}
	return repo.RecordDoubts(ctx, now, sound)
}

// addUnmended adds to what is wrong now the packs that were found damaged by
// reading all of them and could not be mended: checking the structure does not
// meet them again. It tells whether something needs any of them.
func addUnmended(after *VerifyReport, before VerifyReport, mended map[string]bool) (harmful bool) {
	for _, p := range before.Problems {
		told := slices.ContainsFunc(after.Problems, func(q VerifyProblem) bool { return q.Object == p.Object })
		if told || p.Kind != repository.ObjectPack || mended[p.Object] {
			continue
		}
		after.Problems = append(after.Problems, p)
		after.ProblemsTotal++
		if p.Harmless {
			after.HarmlessTotal++
		} else {
			harmful = true
		}
	}
	return harmful
}
