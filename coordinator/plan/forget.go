package plan

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"mahavishnu/fault"
)

// KeepExecutions is how many executions that have ended stay in the journal.
const KeepExecutions = 200

// actionForget is what the audit log says of an execution that left the journal; its
// entry holds all of it.
const actionForget = "forget"

// Forget removes the oldest executions that have ended from the journal, all but the
// newest so many, and returns how many it removed. One that is under way, or in its
// window, or waits for somebody, has not ended; one that holds something, or that
// something is away by, is needed. Each is written whole to the audit log first.
func (x *Executor) Forget(ctx context.Context, epoch uint64, keep int) (gone int, err error) {
	all, err := x.List(ctx)
	if err != nil || len(all) <= keep {
		return 0, err
	}
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return 0, err
	}
	if b.Epoch > epoch {
		return 0, fenced(boardKey, epoch, b.Epoch, "a leader")
	}
	var needed []string
	for _, s := range b.Things {
		needed = append(needed, s.Holder, s.Away)
	}
	for i := range all {
		if !all[i].State.Final() {
			needed = append(needed, all[i].Returns)
		}
	}
	ended := 0
	for i := range all { // the newest first
		if !all[i].State.Final() {
			continue
		}
		if ended++; ended <= keep || slices.Contains(needed, all[i].ID) {
			continue
		}
		if err := x.forget(ctx, epoch, all[i].ID); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// forget removes one execution that has ended.
func (x *Executor) forget(ctx context.Context, epoch uint64, id string) error {
	e, revision, err := x.read(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil // another leader did
	}
	if err != nil {
		return err
	}
	record, err := json.Marshal(e)
	if err != nil {
		return fault.New("forget execution", id, err, "")
	}
	entry := AuditEntry{
		Action: actionForget, Execution: id, Plan: e.Plan.Name, Digest: e.Digest, By: x.o.Node, Reason: string(e.State),
		Epoch: epoch, At: x.now(), Record: record,
	}
	if err := x.audit(ctx, entry); err != nil {
		return err
	}
	if err := x.o.Journal.Delete(ctx, executionPrefix+id, revision); err != nil && !errors.Is(err, ErrConflict) {
		return fault.New("forget execution", id, err, "")
	}
	return nil
}
