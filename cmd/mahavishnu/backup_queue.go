package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
	"mahavishnu/worker/handlers"
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
	var r handlers.BackupResult
	if err := json.Unmarshal(entry.Result, &r); err != nil || r.Snapshot == "" {
		return // jobs show prints it as it is
	}
	took := time.Duration(r.DurationMillis) * time.Millisecond
	e.term.Printf("snapshot %s of %s, %s", r.Snapshot, terminal.Name(r.Source), r.Type)
	data := "nothing new"
	if r.NewBytes > 0 {
		data = fmt.Sprintf("%s new, stored in %s", terminal.Bytes(r.NewBytes), terminal.Bytes(r.StoredBytes))
	}
	if r.AdoptedBytes > 0 {
		data += fmt.Sprintf("; %s taken over from an attempt that died, stored in %s", terminal.Bytes(r.AdoptedBytes), terminal.Bytes(r.TakenOverBytes))
	}
	e.term.Sayf("  %s, %s; %s; %s, %s", terminal.Plural(r.Files, "file"), terminal.Bytes(r.Bytes), data,
		terminal.Duration(took), terminal.Rate(r.Bytes, took))
	for _, u := range r.Unreadable {
		e.term.Warnf("not read: %s: %s", terminal.Name(u.Path), u.Err)
	}
	if hidden := r.UnreadableTotal - int64(len(r.Unreadable)); hidden > 0 {
		e.term.Warnf("and %s more could not be read", terminal.Count(hidden))
	}
	for _, path := range r.Changed {
		e.term.Warnf("changed while it was read: %s; the next backup reads it again", terminal.Name(path))
	}
}
