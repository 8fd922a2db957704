package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

func (d *demo) firstBackup(ctx context.Context) error {
	c, snap, err := d.backup(ctx, "first backup", &messages.BackupSpec{Source: source, Type: messages.BackupFull})
	if err != nil {
		return err
	}
	c.Note = fmt.Sprintf("every byte read, sealed and stored in %s of %s", terminal.Bytes(c.Stored), terminal.Bytes(snap.Totals.Bytes))
	d.chapter(c)
	return nil
}

func (d *demo) incremental(ctx context.Context) error {
	did, err := changeTree(d.tree(), 1)
	if err != nil {
		return fault.New("change tree", d.tree(), err, "")
	}
	c, _, err := d.backup(ctx, "incremental", &messages.BackupSpec{Source: source})
	if err != nil {
		return err
	}
	c.Note = fmt.Sprintf("%d files edited, %d added, %d deleted, %d renamed: %s stored",
		did.Edited, did.Added, did.Deleted, did.Renamed, terminal.Bytes(c.Stored))
	d.chapter(c)
	return nil
}

// backup runs a backup job and tells what its snapshot says.
func (d *demo) backup(ctx context.Context, name string, spec *messages.BackupSpec) (Chapter, repository.Snapshot, error) {
	entry, err := d.submit(ctx, region, spec)
	if err != nil {
		return Chapter{}, repository.Snapshot{}, err
	}
	return d.backedUp(ctx, name, entry)
}

func (d *demo) backedUp(ctx context.Context, name string, entry bus.Entry) (Chapter, repository.Snapshot, error) {
	snap, err := d.snapshotOf(ctx, entry.Job.ID)
	if err != nil {
		return Chapter{}, snap, err
	}
	t := snap.Totals
	return Chapter{
		Name: name, Files: t.Files, Bytes: t.Bytes, Stored: t.Cost(),
		Seconds: snap.End.Sub(snap.Start).Seconds(),
	}, snap, nil
}

// snapshotOf returns a job's snapshot, and fails unless there is exactly one.
func (d *demo) snapshotOf(ctx context.Context, job string) (snap repository.Snapshot, err error) {
	repo, err := d.access.Open(ctx)
	if err != nil {
		return snap, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	all, damaged, err := repo.Snapshots(ctx, source)
	if err = errors.Join(append(damaged, err)...); err != nil {
		return snap, err
	}
	found := 0
	for _, s := range all {
		if s.Job == job {
			snap = s
			found++
		}
	}
	if found != 1 {
		return snap, fault.New("find snapshot of job", job, fmt.Errorf("there are %d, there must be one", found), "")
	}
	return snap, nil
}

// killWorker adds so much data that a backup takes a moment, and kills the
// worker that makes it with a signal it cannot see coming.
func (d *demo) killWorker(ctx context.Context) error {
	const fresh = 384 << 20
	path := filepath.Join(d.tree(), "large-new-file")
	if err := writeRandom(path, fresh, 7); err != nil {
		return fault.New("write", path, err, "the demo needs about 2 GiB in its directory; see --dir")
	}
	job := messages.NewJob(region, &messages.BackupSpec{Source: source}, d.Clock.Now())
	victim, read, err := d.killDuring(ctx, job, fresh/4)
	if err != nil {
		return err
	}
	killed := d.Clock.Now()
	d.say("   killed %s (%s, kill -9) after it had read %s; the other one takes over when the claim has run out ...",
		victim.name, pid(victim.pid()), terminal.Bytes(read))
	entry, err := d.await(ctx, job.ID)
	if err != nil {
		return err
	}
	c, snap, err := d.backedUp(ctx, "worker killed", entry)
	if err != nil {
		return err
	}
	c.Seconds = since(d, killed)
	c.Note = fmt.Sprintf("attempt %d by %s finished the job %s after the kill; one snapshot, %s not stored again",
		entry.Attempt, entry.Worker, terminal.Duration(time.Duration(c.Seconds*float64(time.Second))), terminal.Bytes(snap.Totals.ReusedBytes))
	d.chapter(c)
	return d.startWorker(ctx, region)
}

// killDuring submits a job and kills the worker that runs it once it has read
// that many bytes.
func (d *demo) killDuring(ctx context.Context, job messages.Job, bytes int64) (*process, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reports := make(chan messages.ProgressReport, 64)
	watching := make(chan error, 1)
	go func() {
		watching <- d.bus.WatchProgress(ctx, job.ID, func(p messages.ProgressReport) {
			select {
			case reports <- p:
			default: // a later one says more
			}
		})
	}()
	if _, err := d.bus.Submit(ctx, job); err != nil {
		return nil, 0, err
	}
	for {
		select {
		case p := <-reports:
			if p.Bytes < bytes {
				continue
			}
			for _, w := range d.workers {
				if w.name == p.Worker {
					return w, p.Bytes, w.kill()
				}
			}
			return nil, 0, fault.New("kill worker", p.Worker, errors.New("it is not one of ours"), "")
		case err := <-watching:
			return nil, 0, fault.New("watch job", job.ID, err, "")
		case <-ctx.Done():
			return nil, 0, fault.New("watch job", job.ID, context.Cause(ctx), "")
		}
	}
}

// adHoc sends what a person would type, and waits for what comes of it.
func (d *demo) adHoc(ctx context.Context) error {
	subject, payload := messages.JobSubject(messages.KindBackup, region), `{"source":"`+source+`"}`
	d.say("   nats pub -J --server %s %s '%s'", d.app.QueueURL(), subject, payload)
	start := d.Clock.Now()
	sequence, err := d.bus.PublishRaw(ctx, subject, []byte(payload))
	if err != nil {
		return err
	}
	var entry bus.Entry
	for entry.Job.ID == "" {
		if err := d.Clock.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		if d.Clock.Now().Sub(start) > patience {
			return fault.New("find the job of message", fmt.Sprint(sequence), errors.New("no worker took it"), "")
		}
		entries, err := d.bus.Records().List(ctx, bus.Filter{Kinds: []messages.Kind{messages.KindBackup}, Since: start.Add(-time.Minute)})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Job.ID == messages.AdHocID(e.Created, sequence) {
				entry = e
			}
		}
	}
	if entry, err = d.await(ctx, entry.Job.ID); err != nil {
		return err
	}
	c, _, err := d.backedUp(ctx, "job typed by hand", entry)
	if err != nil {
		return err
	}
	c.Note = fmt.Sprintf("became job %s; nothing had changed, so %s stored", entry.Job.ID, terminal.Bytes(c.Stored))
	d.chapter(c)
	return nil
}

func (d *demo) verify(ctx context.Context) error {
	start := d.Clock.Now()
	if _, err := d.submit(ctx, region, &messages.VerifySpec{ReadData: 100}); err != nil {
		return err
	}
	stored, files, err := dirSize(d.storage())
	if err != nil {
		return err
	}
	d.chapter(Chapter{
		Name: "verify", Files: files, Bytes: stored, Seconds: since(d, start),
		Note: fmt.Sprintf("every stored byte read, opened and compared: %s objects, %s, all whole", terminal.Count(files), terminal.Bytes(stored)),
	})
	return nil
}

// flipByte damages one byte of one pack, sees it found, and puts it back.
func (d *demo) flipByte(ctx context.Context) error {
	pack, err := largestFile(filepath.Join(d.storage(), "packs"))
	if err != nil {
		return err
	}
	if err := flip(pack); err != nil {
		return err
	}
	start := d.Clock.Now()
	problems, err := d.problems(ctx)
	if err != nil {
		return err
	}
	took := since(d, start)
	name, err := filepath.Rel(d.storage(), pack)
	if err != nil {
		return err
	}
	name = filepath.ToSlash(name)
	if len(problems) != 1 || problems[0] != name {
		return fault.New("verify", name, fmt.Errorf("one byte was flipped there, and verify found %q", problems), "")
	}
	if err := flip(pack); err != nil {
		return err
	}
	stored, files, err := dirSize(d.storage())
	if err != nil {
		return err
	}
	d.chapter(Chapter{
		Name: "byte flipped", Files: files, Bytes: stored, Seconds: took,
		Note: "one bit of " + name + " changed: found and named; put back",
	})
	return nil
}

// problems verifies everything and returns the objects found wrong.
func (d *demo) problems(ctx context.Context) (objects []string, err error) {
	repo, err := d.access.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	report, err := snapshot.Verify(ctx, repo.Repository, snapshot.VerifyOptions{ReadData: 100})
	for _, p := range report.Problems {
		objects = append(objects, p.Object)
	}
	if len(objects) > 0 {
		err = nil // which says no more than that there are some
	}
	return objects, err
}

// restore writes the newest snapshot to an empty directory and compares it with
// the source.
func (d *demo) restore(ctx context.Context) error {
	c, err := d.restoreFrom(ctx, d.access, d.restored())
	if err != nil {
		return err
	}
	c.Name = "restore"
	c.Note = fmt.Sprintf("%s files restored and compared with the source, byte by byte: equal", terminal.Count(d.report.ComparedFiles))
	d.chapter(c)
	d.report.Stored, _, err = dirSize(d.storage())
	return err
}

// restoreFrom restores the newest snapshot of a repository and compares it.
func (d *demo) restoreFrom(ctx context.Context, access app.Access, target string) (c Chapter, err error) {
	repo, err := access.Open(ctx)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	snap, err := repo.FindSnapshot(ctx, "latest:"+source)
	if err != nil {
		return c, err
	}
	start := d.Clock.Now()
	if _, err := snapshot.Restore(ctx, repo.Repository, snap, snapshot.RestoreOptions{Target: target}); err != nil {
		return c, err
	}
	took := since(d, start)
	equal, differ, err := corpus.Compare(ctx, d.tree(), target)
	if err == nil && len(differ) > 0 {
		err = fmt.Errorf("%d entries differ, the first: %s", len(differ), differ[0])
	}
	if err != nil {
		return c, fault.New("compare restored tree", target, err, "")
	}
	d.report.ComparedFiles, d.report.ComparedBytes = equal.Files, equal.Bytes
	return Chapter{Files: snap.Totals.Files, Bytes: snap.Totals.Bytes, Seconds: took}, nil
}

// flip changes one bit in the middle of a file.
func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], info.Size()/2)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b[:], info.Size()/2)
	}
	return errors.Join(err, f.Close())
}
