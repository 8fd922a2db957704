package snapshot

import (
	"context"
	"io"
	"os"
	"slices"

	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// Delta: a file that exists is read at the offsets the snapshot records, and
// only the blobs that differ are fetched. What happens to the file then:
//
//   - From resumable bytes on it is changed in place: set aside under the name
//     of a part, rewritten where it differs, and given its name back. No second
//     copy needs room. An interruption leaves a part, which the next run goes
//     on with, and never a mixture under the file's own name.
//   - Smaller files are written anew, taking what is the same from the old one,
//     and replace it in one step: an interruption leaves the old file.
//   - So is a file with more names than the snapshot gives it, because changing
//     its inode would change what those other names show; one that is being
//     executed; and one that may not be opened for writing.

// check compares an existing file, or what an interrupted run left of it, and
// asks for what differs.
func (r *restorer) check(ctx context.Context, j *job) error {
	src, err := r.openBase(j)
	if err != nil {
		r.failJob(j, err)
		return r.planner.planned(j)
	}
	if src == nil {
		if !j.same {
			err = r.plan(ctx, j)
		}
	} else {
		err = r.delta(ctx, j, src)
		_ = src.Close() // only read through
	}
	if err != nil {
		return err
	}
	return r.planner.planned(j)
}

func (r *restorer) failJob(j *job, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// openBase chooses what to compare with; nil when there is nothing, or when
// nothing needs comparing.
func (r *restorer) openBase(j *job) (*os.File, error) {
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return nil, err
	}
	defer release()
	if j.node.Size >= resumable && !r.o.DryRun {
		part, err := lookup(d, r.partName(j.name))
		if err != nil {
			return nil, err
		}
		if part != nil && part.Type == tree.File && part.Links <= 1 {
			if src, err := d.OpenWrite(r.partName(j.name)); err == nil {
				j.base, j.started = basePart, true
				return src, src.Truncate(int64(j.node.Size))
			}
		}
	}
	old := j.old
	if old == nil || old.Type != tree.File {
		return nil, nil
	}
	alone := old.Links <= max(j.node.Links, 1)
	if r.o.Overwrite == OverwriteChanged && alone && old.Size == j.node.Size && old.ModTime == j.node.ModTime {
		j.same, j.kept = true, int64(old.Size)
		r.o.Progress.Add(ProgressDelta{Unchanged: j.kept})
		return nil, nil
	}
	if old.Links <= 1 && j.node.Size >= resumable && !r.o.DryRun {
		if src, err := d.OpenWrite(j.name); err == nil {
			j.base = baseOld
			return src, nil
		}
	}
	src, err := d.Open(j.name)
	if err != nil {
		return nil, nil // not readable: written anew, without its help
	}
	return src, nil
}

// delta compares src with the content to be, extent by extent.
func (r *restorer) delta(ctx context.Context, j *job, src *os.File) error {
	have, err := fsmeta.StatFile(src)
	if err != nil {
		return err
	}
	c := &comparison{repo: r.repo, f: src, size: int64(have.Size)}
	differs := j.base == basePart
	// differ is called where a difference is found, and prepares for it once.
	differ := func(at int64) {
		if !differs && j.base == baseNothing && !r.o.DryRun {
			_ = r.withFile(j, func(f *os.File) error { return r.copyFront(f, src, at) }) // kept in the job
		}
		differs = true
	}
	if j.old != nil && j.base == baseNothing && j.old.Links > max(j.node.Links, 1) {
		differ(0)
	}
	data := func(at int64, e tree.Extent) error {
		same, err := c.data(at, e)
		if err != nil || !same {
			differ(at)
			return r.want(j, at, e)
		}
		j.kept += int64(e.Length)
		r.o.Progress.Add(ProgressDelta{Unchanged: int64(e.Length)})
		if differs && j.base == baseNothing && !r.o.DryRun {
			_ = r.withFile(j, func(f *os.File) error { return r.copyBlob(f, c.buf, at) }) // kept in the job
		}
		return nil
	}
	hole := func(at int64, e tree.Extent) error {
		r.o.Progress.Add(ProgressDelta{Unchanged: int64(e.Length)})
		if same, err := c.hole(at, e); err == nil && same {
			return nil
		}
		differ(at)
		if j.base != baseNothing && !r.o.DryRun {
			_ = r.withFile(j, func(f *os.File) error { return fsmeta.PunchHole(f, at, int64(e.Length)) }) // kept in the job
		}
		return nil
	}
	if err := r.extents(ctx, j, data, hole); err != nil {
		return err
	}
	if !differs && c.size != int64(j.node.Size) {
		differ(int64(j.node.Size))
		if j.base == baseOld {
			_ = r.withFile(j, func(*os.File) error { return nil }) // opening cuts or extends it
		}
	}
	j.same = !differs
	return nil
}

// copyFront takes the first n bytes from src, which were found to be right.
func (r *restorer) copyFront(dst, src *os.File, n int64) error {
	if err := copyData(dst, src, n); err != nil || !r.o.Verify {
		return err
	}
	want, back := make([]byte, backSpace/8), make([]byte, backSpace/8)
	for at := int64(0); at < n; at += int64(len(want)) {
		want = want[:min(int64(len(want)), n-at)]
		if _, err := src.ReadAt(want, at); err != nil {
			return err
		}
		if err := r.same(dst, want, at, back); err != nil {
			return err
		}
	}
	return nil
}

// copyBlob writes a blob that was found in the target.
func (r *restorer) copyBlob(dst *os.File, data []byte, at int64) error {
	if err := writeFull(dst, data, at); err != nil || !r.o.Verify {
		return err
	}
	return r.same(dst, data, at, make([]byte, min(len(data), backSpace)))
}

// copyData copies the first n bytes of src, leaving holes out.
func copyData(dst, src *os.File, n int64) error {
	for e, err := range fsmeta.Extents(src, n) {
		if err != nil {
			return err
		}
		if e.Hole {
			continue
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, e.Offset), io.NewSectionReader(src, e.Offset, e.Length)); err != nil {
			return err
		}
	}
	return nil
}

// comparison reads a file where a snapshot has its extents.
type comparison struct {
	repo *repository.Repository
	f    *os.File
	size int64
	buf  []byte // what data read last
}

// data reports whether the file has the blob's bytes at this place.
func (c *comparison) data(at int64, e tree.Extent) (bool, error) {
	if e.Length > maxBlob || at+int64(e.Length) > c.size {
		return false, nil
	}
	if uint64(cap(c.buf)) < e.Length {
		c.buf = make([]byte, e.Length)
	}
	c.buf = c.buf[:e.Length]
	if _, err := c.f.ReadAt(c.buf, at); err != nil {
		return false, err
	}
	return dataID(c.repo, c.buf) == e.ID, nil
}

// hole reports whether the file reads as zeros here. What it has allocated is
// read; what it has not is known.
func (c *comparison) hole(at int64, e tree.Extent) (bool, error) {
	end := at + int64(e.Length)
	if end > c.size {
		return false, nil
	}
	for at < end {
		start, stop, err := fsmeta.NextData(c.f, at, end)
		if err != nil {
			return false, err
		}
		zero, err := allZero(io.NewSectionReader(c.f, start, stop-start))
		if err != nil || !zero {
			return false, err
		}
		at = stop
	}
	return true, nil
}

// allZero reports whether all that r holds is zero.
func allZero(r io.Reader) (bool, error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		for piece := range slices.Chunk(buf[:n], len(zeros)) {
			if !isZero(piece) {
				return false, nil
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}
