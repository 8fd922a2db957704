package snapshot

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// survey walks the trees of many snapshots at once, each part once whatever
// shares it, until something is amiss: then [treeWalk], which knows paths, has to
// find out what that means.
type survey struct {
	v              *verifier
	loader         tree.Loader
	entries, bytes atomic.Int64
	amiss          atomic.Bool

	mu     sync.Mutex // guards what follows
	wake   *sync.Cond
	seen   map[tree.ID]bool // blobs of entries
	todo   []tree.Extent    // of those, not walked yet
	active int              // walkers that may add some
	err    error
}

// walkers is how many blobs of entries are read at once: more than cores, for
// most of it is waiting when the storage is far away.
func walkers() int { return 4 + runtime.GOMAXPROCS(0) }

// walk checks that everything snapshots refer to can be had.
func (v *verifier) walk(ctx context.Context, snaps []repository.Snapshot) error {
	s := &survey{v: v, loader: treeLoader{v.repo}, seen: map[tree.ID]bool{}}
	s.wake = sync.NewCond(&s.mu)
	if len(v.bad) == 0 {
		if err := s.run(ctx, snaps); err != nil {
			return err
		}
		if !s.amiss.Load() {
			v.report.Entries, v.report.Bytes = s.entries.Load(), s.bytes.Load()
			v.report.Snapshots = len(snaps)
			return nil
		}
	}
	return v.walkAll(ctx, snaps)
}

func (s *survey) run(ctx context.Context, snaps []repository.Snapshot) error {
	for _, snap := range snaps {
		root, err := loadRoot(ctx, s.loader, snap)
		if err == nil {
			s.count(&root)
			err = s.node(ctx, &root)
		}
		if s.judge(ctx, err); s.stopped() {
			break
		}
	}
	// A walk that ends early wakes the walkers that wait for more.
	stop := context.AfterFunc(ctx, func() { s.judge(ctx, context.Cause(ctx)) })
	defer stop()
	var group sync.WaitGroup
	for range walkers() {
		group.Go(func() {
			for e, ok := s.next(); ok; e, ok = s.next() {
				s.blob(ctx, e)
				s.done()
			}
		})
	}
	group.Wait()
	return s.err
}

// next waits for a blob of entries, until there are no more.
func (s *survey) next() (tree.Extent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.todo) == 0 && s.active > 0 && !s.over() {
		s.wake.Wait()
	}
	if len(s.todo) == 0 || s.over() {
		return tree.Extent{}, false
	}
	last := len(s.todo) - 1
	e := s.todo[last]
	s.todo = s.todo[:last]
	s.active++
	return e, true
}

func (s *survey) over() bool { return s.err != nil || s.amiss.Load() }

func (s *survey) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over()
}

func (s *survey) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 {
		s.wake.Broadcast()
	}
}

// push leaves blobs of entries to the walkers.
func (s *survey) push(e tree.Extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[e.ID] {
		return
	}
	s.seen[e.ID] = true
	s.todo = append(s.todo, e)
	s.wake.Signal()
}

// judge tells what is amiss from what ends the walk.
func (s *survey) judge(ctx context.Context, err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		s.err = context.Cause(ctx)
	case confined(err):
		s.amiss.Store(true)
	default:
		s.err = err
	}
	s.wake.Broadcast()
}

func (s *survey) count(n *tree.Node) {
	s.entries.Add(1)
	s.bytes.Add(int64(n.Size))
}

// blob walks one blob of a directory's entries.
func (s *survey) blob(ctx context.Context, e tree.Extent) {
	for r := tree.NewReader(s.loader, tree.Content{Extents: []tree.Extent{e}}); ; {
		n, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			s.count(&n)
			err = s.node(ctx, &n)
		}
		if err != nil {
			s.judge(ctx, err)
			return
		}
	}
}

// node checks what an entry refers to; directories are left to the walkers.
func (s *survey) node(ctx context.Context, n *tree.Node) error {
	for _, x := range n.Xattrs {
		if x.Spilled.IsEmpty() {
			continue
		}
		if _, err := x.Load(ctx, s.loader); err != nil {
			return err
		}
	}
	if n.Type != tree.Dir && n.Type != tree.File {
		return nil
	}
	for list := tree.NewExtents(s.loader, n.Content); ; {
		e, err := list.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n.Type == tree.Dir:
			s.push(e)
		case !e.Hole():
			sane, err := s.v.sane(ctx, repository.ID(e.ID), e.Length)
			if err != nil {
				return err
			}
			if !sane {
				return repository.ErrBlobMissing // or damaged, or elsewhere: treeWalk finds out
			}
		}
	}
}
