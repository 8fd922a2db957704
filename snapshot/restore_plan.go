package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
	"mahavishnu/storage"
)

// A batch is fetched and written together: pack by pack, each read once with
// few large reads. Packs were filled in the order of the tree, so that a batch
// of neighbours needs few packs. The limits keep the plan's memory flat.
const (
	batchBytes = 1 << 30
	batchParts = 8 << 10 // also of entries without content to fetch
)

// part is a blob that belongs at one place of one file.
type part struct {
	job  *job
	at   int64 // in the file
	id   repository.ID
	pack int32 // in batch.packs; noPack when no index knows the blob
	repository.Wanted
}

const noPack = -1

type batch struct {
	parts   []part
	packs   []repository.PackID // in order of first use
	known   map[repository.PackID]int32
	bytes   int64
	planned []*job // all of whose parts are in this batch or an earlier one
}

func newBatch() *batch { return &batch{known: map[repository.PackID]int32{}} }

// planner turns entries into batches and has them carried out. It gets entries
// from the walker, hands those that exist already to goroutines that compare,
// and collects from all of them what must be fetched.
type planner struct {
	r       *restorer
	ctx     context.Context
	compare chan *job
	batches chan *batch
	checks  errgroup.Group
	work    errgroup.Group

	mu  sync.Mutex
	cur *batch
}

func startPlanner(ctx context.Context, r *restorer) *planner {
	p := &planner{r: r, ctx: ctx, compare: make(chan *job, 64), batches: make(chan *batch), cur: newBatch()}
	for range r.workers {
		p.checks.Go(func() error {
			for j := range p.compare {
				if err := r.check(ctx, j); err != nil {
					return p.drain(err)
				}
			}
			return nil
		})
	}
	p.work.Go(func() error {
		for b := range p.batches {
			if err := p.carryOut(b); err != nil {
				r.abort(err)
				return err
			}
		}
		return nil
	})
	return p
}

// drain lets the walker go on until it notices that the work has failed.
func (p *planner) drain(err error) error {
	p.r.abort(err)
	for range p.compare {
	}
	return err
}

// wait ends the planning and waits for the work.
func (p *planner) wait() error {
	close(p.compare)
	err := p.checks.Wait()
	if err == nil {
		p.mu.Lock()
		err = p.flush()
		p.mu.Unlock()
	}
	close(p.batches)
	return errors.Join(err, p.work.Wait())
}

// flush hands the current batch over; p.mu is held, so that planning waits.
func (p *planner) flush() error {
	if len(p.cur.parts)+len(p.cur.planned) == 0 {
		return nil
	}
	b := p.cur
	p.cur = newBatch()
	select {
	case p.batches <- b:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// add plans one blob of a file.
func (p *planner) add(j *job, at int64, e tree.Extent) error {
	id := repository.ID(e.ID)
	loc, ok := p.r.repo.Locate(id)
	if ok && (uint64(loc.Raw) != e.Length || loc.Kind != repository.KindData) {
		j.damage(at, int64(e.Length), fmt.Errorf("%w: the index has %d bytes of %s where %d of data are due", repository.ErrDamaged, loc.Raw, loc.Kind, e.Length))
		return nil
	}
	j.pending.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.cur
	pack := int32(noPack)
	if ok {
		if pack, ok = b.known[loc.Pack]; !ok {
			pack = int32(len(b.packs))
			b.known[loc.Pack] = pack
			b.packs = append(b.packs, loc.Pack)
		}
	}
	b.parts = append(b.parts, part{
		job: j, at: at, id: id, pack: pack,
		Wanted: repository.Wanted{ID: id, Offset: loc.Offset, Stored: loc.Stored, Raw: loc.Raw},
	})
	b.bytes += int64(e.Length)
	if b.bytes >= batchBytes || len(b.parts) >= p.r.batch {
		return p.flush()
	}
	return nil
}

// planned says that no more parts of j will come.
func (p *planner) planned(j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cur.planned = append(p.cur.planned, j)
	if len(p.cur.planned) >= p.r.batch {
		return p.flush()
	}
	return nil
}

// extents calls data and hole for each run of a file's content, and notes what
// is lost where a list of extents is.
func (r *restorer) extents(ctx context.Context, j *job, data, hole func(at int64, e tree.Extent) error) error {
	at := int64(0)
	for list := tree.NewExtents(r.loader, j.node.Content); ; {
		e, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if lost := new(tree.BlobError); errors.As(err, &lost) {
			j.damage(at, int64(lost.Lost), err)
			at += int64(lost.Lost)
			continue
		}
		if err != nil {
			return err
		}
		do := data
		if e.Hole() {
			do = hole
		}
		if err := do(at, e); err != nil {
			return err
		}
		at += int64(e.Length)
	}
}

// carryOut fetches and writes a batch.
func (p *planner) carryOut(b *batch) error {
	// First what needs nothing or nothing more: so that a file is complete, and
	// closed, as soon as its last part is written.
	if err := p.spread(len(b.planned), func(i int) error { p.r.done(b.planned[i]); return nil }); err != nil {
		return err
	}
	slices.SortFunc(b.parts, func(x, y part) int {
		return cmp.Or(cmp.Compare(x.pack, y.pack), cmp.Compare(x.Offset, y.Offset), cmp.Compare(x.at, y.at))
	})
	var groups [][]part
	for rest := b.parts; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].pack == rest[0].pack {
			n++
		}
		groups = append(groups, rest[:n])
		rest = rest[n:]
	}
	return p.spread(len(groups), func(i int) error {
		if g := groups[i]; g[0].pack != noPack {
			return p.fetch(b.packs[g[0].pack], g)
		}
		return p.fetchUnknown(groups[i])
	})
}

// spread calls do for 0 to n-1 from as many goroutines as there are workers.
func (p *planner) spread(n int, do func(i int) error) error {
	var g errgroup.Group
	var mu sync.Mutex
	next := 0
	for range min(p.r.workers, n) {
		g.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				if p.ctx.Err() != nil {
					return context.Cause(p.ctx)
				}
				if err := do(i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// fetch reads the wanted blobs of one pack. While one goroutine waits for the
// storage others decode and write theirs: what counts is that there are more
// packs in flight than cores.
func (p *planner) fetch(pack repository.PackID, parts []part) error {
	wanted := make([]repository.Wanted, 0, len(parts))
	for i, w := range parts {
		if i == 0 || w.Offset != parts[i-1].Offset {
			wanted = append(wanted, w.Wanted)
		}
	}
	run := p.r.runs.borrow(p.r)
	defer p.r.runs.giveBack(run)
	next := 0
	read, err := p.r.repo.LoadPack(p.ctx, pack, wanted, func(repository.Wanted) []byte {
		return run.room(&parts[next])
	}, func(w repository.Wanted, data []byte, err error) error {
		if err != nil && p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		first := next
		for next++; next < len(parts) && parts[next].Offset == w.Offset; next++ {
			p.deliver(&parts[next], data, err, run.back)
		}
		if err != nil {
			p.deliver(&parts[first], nil, err, nil)
			return nil
		}
		p.r.heard(nil)
		run.take(&parts[first], data)
		return nil
	})
	run.flush()
	p.r.fetched.Add(read)
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if err == nil && next < len(parts) {
		err = fmt.Errorf("%w: %d blobs of %s were not read", repository.ErrDamaged, len(parts)-next, pack.Object())
	}
	for ; next < len(parts); next++ {
		p.deliver(&parts[next], nil, err, nil)
	}
	return nil
}

// fetchUnknown reads blobs that no index knows, one by one: the repository may
// find them by what the packs say of themselves.
func (p *planner) fetchUnknown(parts []part) error {
	run := p.r.runs.borrow(p.r)
	defer p.r.runs.giveBack(run)
	for i := range parts {
		data, err := p.r.repo.Load(p.ctx, parts[i].id, repository.KindData, nil)
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		p.r.fetched.Add(int64(len(data)))
		p.deliver(&parts[i], data, err, run.back)
	}
	return nil
}

// deliver writes a blob, or notes that it is lost.
func (p *planner) deliver(w *part, data []byte, err error, back []byte) {
	p.r.heard(err)
	if err == nil {
		p.r.put(w.job, w.at, data, back)
	} else {
		w.job.damage(w.at, int64(w.Raw), err)
	}
	p.r.done(w.job)
}

// patience is how many reads in a row may fail for a reason other than damage
// before the storage is taken to be out of reach. One bad sector must not end a
// restore; a storage that does not answer should not make every file look lost.
const patience = 100

// heard counts failures of the storage.
func (r *restorer) heard(err error) {
	if err == nil || damage(err) {
		r.troubles.Store(0)
		return
	}
	if errors.Is(err, storage.ErrArchived) {
		r.abort(err) // and so is the rest
		return
	}
	if r.troubles.Add(1) == patience {
		r.abort(fault.New("restore", r.snap.ID, fmt.Errorf("the storage failed %d times in a row: %w", patience, err),
			"see that the storage can be read, then run the same restore again: it goes on where it stopped"))
	}
}
