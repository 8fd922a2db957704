package handlers

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/worker"
)

// BackupResult is what a backup job leaves in its record.
type BackupResult struct {
	// Snapshot is its id.
	Snapshot string `json:"snapshot"`
	Source   string `json:"source"`
	Type     string `json:"type"`
	// Existing says that an earlier attempt of the job had made it already.
	Existing bool `json:"existing,omitempty"`
	// Known is how many snapshots of the source can be read now, this one among them.
	Known  int   `json:"known_snapshots,omitempty"`
	Files  int64 `json:"files"`
	Dirs   int64 `json:"dirs"`
	Others int64 `json:"others,omitempty"`
	// Bytes is the size of all files; ReadBytes of them were read, the others
	// trusted to be as in the parent snapshot.
	Bytes     int64 `json:"bytes"`
	ReadBytes int64 `json:"read_bytes"`
	// NewBytes had to be stored and took StoredBytes. ReusedBytes were stored
	// already; AdoptedBytes were left in storage by a run that died, and take
	// TakenOverBytes. The snapshot cost StoredBytes and TakenOverBytes.
	NewBytes       int64 `json:"new_bytes"`
	StoredBytes    int64 `json:"stored_bytes"`
	ReusedBytes    int64 `json:"reused_bytes"`
	AdoptedBytes   int64 `json:"adopted_bytes,omitempty"`
	TakenOverBytes int64 `json:"taken_over_bytes,omitempty"`
	// Unreadable names the first entries that could not be read.
	Unreadable      []repository.Unreadable `json:"unreadable,omitempty"`
	UnreadableTotal int64                   `json:"unreadable_total,omitempty"`
	// Changed names the first files that changed while they were read.
	Changed      []string `json:"changed,omitempty"`
	ChangedTotal int64    `json:"changed_total,omitempty"`
	Vanished     int64    `json:"vanished_total,omitempty"`
	// ParentErrors tell what of the parent snapshot could not be read: it is
	// damaged.
	ParentErrors   []string `json:"parent_errors,omitempty"`
	DurationMillis int64    `json:"duration_ms"`
}

type backup struct{ Setup }

// Check implements worker.Handler.
func (h *backup) Check(job messages.Job) error {
	spec := job.Spec.(*messages.BackupSpec)
	if err := checkPatterns("exclude", spec.Exclude); err != nil {
		return err
	}
	_, err := h.source(spec.Source, job)
	return err
}

// Run implements worker.Handler.
func (h *backup) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.BackupSpec)
	src, err := h.source(spec.Source, t.Job)
	if err != nil {
		return nil, err
	}
	repo, closeRepo, err := h.open(ctx, t.Job, true)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	settings := h.Settings()
	result, err := snapshot.Backup(ctx, repo, snapshot.BackupOptions{
		Source: spec.Source, Path: src.Path, Type: string(spec.Type),
		Tags: union(src.Tags, spec.Tags), Labels: t.Job.Labels,
		Exclude: slices.Concat(src.Exclude, spec.Exclude), ExcludeCaches: src.ExcludeCaches, OneFileSystem: src.OneFileSystem,
		Job: t.Job.ID, JobTime: t.Created, Attempt: int(t.Attempt), //nolint:gosec // attempts do not overflow
		Host: h.Host, Engine: h.Version,
		Compression: settings.Compression, Readers: settings.Readers,
		Progress: progress{t.Meter}, Clock: h.Clock, Fence: t.Fence, Lease: h.lease(),
	})
	switch {
	case errors.Is(err, repository.ErrForgotten): // and its name stays taken
		return nil, worker.Discard(err)
	case err != nil:
		return nil, err
	}
	return backupResult(result), nil
}

func backupResult(r snapshot.Result) BackupResult {
	snap, stats := r.Snapshot, r.Stats
	out := BackupResult{
		Snapshot: snap.ID, Source: snap.Source, Type: snap.Type, Existing: r.Existing, Known: r.Known,
		Files: snap.Totals.Files, Dirs: snap.Totals.Dirs, Others: snap.Totals.Others,
		Bytes: snap.Totals.Bytes, ReadBytes: stats.BytesRead,
		NewBytes: snap.Totals.NewBytes, StoredBytes: snap.Totals.StoredBytes, ReusedBytes: snap.Totals.ReusedBytes,
		AdoptedBytes: stats.BytesAdopted, TakenOverBytes: snap.Totals.TakenOverBytes,
		Unreadable: bounded(snap.Unreadable), UnreadableTotal: snap.UnreadableTotal,
		Changed: bounded(snap.Changed), ChangedTotal: snap.ChangedTotal, Vanished: stats.Vanished,
		DurationMillis: millis(snap.End.Sub(snap.Start)),
	}
	for _, err := range bounded(r.ParentErrors) {
		out.ParentErrors = append(out.ParentErrors, err.Error())
	}
	return out
}

// union returns the tags of both lists, each once.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}
