package main

import (
	"context"
	"encoding/json"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// backupByQueue asks a worker for a backup and follows it to its end.
func (e *env) backupByQueue(ctx context.Context, source string, o backupOptions) error {
	if o.excludeCaches || o.oneFileSystem || o.allowEmpty || o.name != "" {
		return usagef("mahavishnu backup", "--exclude-caches, --one-file-system, --allow-empty and --source cannot be put into a job; set them for the source in the configuration, or add --direct")
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	region := cfg.Sources[source].Region
	if region == "" {
		region = cfg.Node.Region
	}
	spec := &messages.BackupSpec{Source: source, Type: messages.BackupType(o.typ), Tags: o.tags, Exclude: o.exclude}
	return e.runJob(ctx, spec, region, "backing up", o.detach, func(entry bus.Entry) { e.tellBackupJob(entry) })
}

// runJob puts a job into the queue and, unless detached, follows it to its end.
// Where the queue cannot be reached, it says how to do without.
func (e *env) runJob(ctx context.Context, spec messages.Spec, region, verb string, detach bool, tell func(bus.Entry)) error {
	q, err := e.queue(ctx)
	if err != nil {
		return fault.New("reach the queue", "", err, "to work without it, add --direct")
	}
	defer func() { _ = q.Close() }() // the job is in the queue; nothing of ours can be lost
	job := messages.Job{Spec: spec, Kind: spec.Kind(), Region: region}
	job.ID = messages.NewID(spec.Kind(), e.clock.Now())
	submitted, err := q.Submit(ctx, job)
	if err != nil {
		return err
	}
	e.term.Event("submitted", struct {
		Job string `json:"job"`
	}{submitted.ID})
	if detach {
		e.term.Printf("job %s is in the queue\nfollow it: mahavishnu jobs watch %s", submitted.ID, submitted.ID)
		return nil
	}
	e.term.Sayf("job %s", submitted.ID)
	entry, err := e.follow(ctx, q, submitted.ID, verb)
	if ctx.Err() != nil {
		e.term.Warnf("the job goes on without you\nfollow it: mahavishnu jobs watch %[1]s\nstop it:   mahavishnu jobs cancel %[1]s", submitted.ID)
		return err
	}
	if err != nil {
		return err
	}
	if tell != nil && len(entry.Result) > 0 && !e.term.JSON {
		tell(entry)
	}
	return e.tellJob(entry)
}

// tellBackupJob prints what a worker says of a backup.
func (e *env) tellBackupJob(entry bus.Entry) {
	var result struct {
		Snapshot string `json:"snapshot"`
		Files    int64  `json:"files"`
		Bytes    int64  `json:"bytes"`
		New      int64  `json:"new_bytes"`
		Stored   int64  `json:"stored_bytes"`
	}
	if err := json.Unmarshal(entry.Result, &result); err != nil || result.Snapshot == "" {
		return
	}
	took := entry.Finished.Sub(entry.Started)
	e.term.Printf("snapshot %s: %s, %s; %s new, stored in %s; %s, %s", result.Snapshot, terminal.Plural(result.Files, "file"),
		terminal.Bytes(result.Bytes), terminal.Bytes(result.New), terminal.Bytes(result.Stored), terminal.Duration(took), terminal.Rate(result.Bytes, took))
}
