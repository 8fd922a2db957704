package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Commit makes everything durable and then the snapshot visible: packs, index,
// fence, snapshot, and the snapshot's second copy. ID, Index, Totals.NewBytes,
// StoredBytes, TakenOverBytes and ReusedBytes are filled in, End if it is zero, and times are cut
// to seconds (Time) or kept in UTC. When the job has a snapshot already, because
// another attempt was faster, that one is returned instead; its Attempt tells.
// After an error call Abort.
func (s *Session) Commit(ctx context.Context, snap Snapshot) (Snapshot, error) {
	const op = "commit snapshot of"
	s.finish.Lock()
	defer s.finish.Unlock()
	if s.closed {
		return Snapshot{}, fault.New(op, snap.Source, ErrSessionEnded, "")
	}
	if err := s.checkSnapshot(snap); err != nil {
		return Snapshot{}, fault.New(op, snap.Source, err, "")
	}
	if err := s.drain(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := s.flush(ctx); err != nil {
		return Snapshot{}, s.blame(err)
	}
	snap, err := s.publish(ctx, s.complete(snap))
	if err != nil {
		return Snapshot{}, err
	}
	s.decided = false // and done
	// What ends here is seen by collectors only, who would find out by themselves.
	return snap, errors.Join(s.lease.Done(context.WithoutCancel(ctx)), s.close())
}

// publish puts the snapshot, which is the commit, and then its second copy.
func (s *Session) publish(ctx context.Context, snap Snapshot) (Snapshot, error) {
	name := snapshotObject(snap.Source, snap.Time, snap.ID)
	sealed, err := s.r.sealSnapshot(name, snap)
	if err != nil {
		return snap, fault.New("commit snapshot of", snap.Source, err, "")
	}
	// The name may be taken for good.
	switch marked, _, err := s.r.marked(ctx, name); {
	case err != nil:
		return snap, err
	case marked:
		return snap, fault.New("commit", name, ErrForgotten, "another attempt had committed it; start a new job if it is wanted after all")
	}
	// A snapshot whose object was lost since still holds its name.
	switch _, err := s.r.be.Stat(ctx, copyOf(name)); {
	case err == nil:
		return s.existing(ctx, name)
	case !errors.Is(err, storage.ErrNotFound):
		return snap, err
	}
	if s.o.Fence != nil {
		if err := s.o.Fence(ctx); err != nil {
			return snap, fault.New("commit snapshot of", snap.Source, err, "")
		}
	}
	// From here a collector may finish the commit, if this program dies.
	s.decided = true
	sealed, err = s.lease.Commit(ctx, name, sealed)
	if err != nil {
		s.decided = !errors.Is(err, ErrFenced)
		return snap, fault.New("commit snapshot of", snap.Source, err, "start anew: what was stored is reused where it can be")
	}
	err = s.r.be.Put(ctx, name, sealed, storage.PutOptions{IfAbsent: true, Sync: true})
	if errors.Is(err, storage.ErrExists) {
		s.decided = false // it will put nothing more
		return s.existing(ctx, name)
	}
	if err != nil {
		return snap, err
	}
	if err := s.r.putCopy(ctx, name, sealed); err != nil {
		return snap, fault.New("store the copy of", name, err,
			"the snapshot itself is stored and restores; the next backup or verify stores its copy")
	}
	return snap, nil
}

func (s *Session) checkSnapshot(snap Snapshot) error {
	if err := CheckSource(snap.Source); err != nil {
		return err
	}
	if snap.Job != "" && snap.Time.IsZero() {
		return errors.New("a job's snapshot needs the time of the job, the same for every attempt")
	}
	if !s.Has(snap.Root) {
		return fmt.Errorf("its root %s is %w", snap.Root, ErrBlobMissing)
	}
	return nil
}

func (s *Session) complete(snap Snapshot) Snapshot {
	now := s.o.Clock.Now().UTC()
	if snap.Time.IsZero() {
		snap.Time = snap.Start
	}
	if snap.Time.IsZero() {
		snap.Time = now
	}
	if snap.End.IsZero() {
		snap.End = now
	}
	snap.Time = snap.Time.UTC().Truncate(time.Second)
	snap.Start, snap.End = snap.Start.UTC().Round(0), snap.End.UTC().Round(0)
	snap.ID = s.r.snapshotID(snap)
	snap.Index, snap.Stored = s.view.Load().names()
	st := s.Stats()
	snap.Totals.NewBytes, snap.Totals.StoredBytes, snap.Totals.ReusedBytes = st.NewBytes, st.StoredBytes, st.ReusedBytes
	snap.Totals.TakenOverBytes = st.AdoptedStored
	return snap
}

// existing returns the snapshot that took the name first. It was durable before
// it was visible, so it is whole unless it was damaged later.
func (s *Session) existing(ctx context.Context, name string) (Snapshot, error) {
	snap, _, err := s.r.readSnapshot(ctx, name)
	if err != nil {
		return Snapshot{}, fault.New("commit", name, err,
			"another attempt committed this snapshot and it cannot be read now: run `mahavishnu verify`")
	}
	// That attempt may have died before it stored the copy.
	if err := s.r.mend(ctx, name); err != nil {
		return Snapshot{}, err
	}
	return snap, nil
}

func (r *Repository) sealSnapshot(name string, snap Snapshot) ([]byte, error) {
	text, err := json.Marshal(snap)
	if err != nil {
		return nil, err
	}
	if len(text) > maxSnapshotSize/2 {
		return nil, fmt.Errorf("its description of %d bytes is too large: list fewer names in it", len(text))
	}
	return r.keys.Seal(seal.TypeSnapshot, name, text)
}
