package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/terminal"
)

// secondRegion starts a worker in another region, which has the backups copied
// there: those it slept through, too.
func (d *demo) secondRegion(ctx context.Context) error {
	start := d.Clock.Now()
	if err := d.startWorker(ctx, away); err != nil {
		return err
	}
	if _, err := d.submit(ctx, away, &messages.ReplicateSpec{From: region, To: away}); err != nil {
		return err
	}
	bytes, files, err := dirSize(d.replica())
	if err != nil {
		return err
	}
	d.chapter(Chapter{
		Name: "second region", Files: files, Bytes: bytes, Seconds: since(d, start),
		Note: fmt.Sprintf("a worker of region %s copied %s objects as they are, without the key", away, terminal.Count(files)),
	})
	return nil
}

// disaster destroys the first region's storage, and restores from what the second
// one has.
func (d *demo) disaster(ctx context.Context) error {
	if err := os.RemoveAll(d.storage()); err != nil {
		return fault.New("destroy", d.storage(), err, "")
	}
	access := d.access
	access.Location, access.Create, access.CacheDir = d.replica(), false, ""
	c, err := d.restoreFrom(ctx, access, filepath.Join(d.dir, "recovered"))
	if err != nil {
		return err
	}
	c.Name = "region destroyed"
	c.Note = fmt.Sprintf("everything of region %s deleted; %s files restored from region %s with the key alone: equal",
		region, terminal.Count(d.report.ComparedFiles), away)
	d.chapter(c)
	return nil
}
