package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/exclude"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// CompareOptions narrows a comparison.
type CompareOptions struct {
	// Exclude leaves entries out on both sides; patterns as in package exclude.
	Exclude []string
	// Progress hears about entries and bytes compared. It may be nil.
	Progress Progress
}

// CompareReport counts what was compared.
type CompareReport struct {
	Files   int64 `json:"files"`
	Dirs    int64 `json:"dirs"`
	Others  int64 `json:"others"`
	Bytes   int64 `json:"bytes"`   // of content read in the directory
	Changes int64 `json:"changes"` // calls of fn
}

// Compare calls fn for every difference from a snapshot to a live directory,
// content included: every byte of every file is read, hashed and compared with
// the snapshot's ids, so nothing but the tree is fetched from the repository. An
// entry of the directory that cannot be read is a change called "unreadable".
// What is compared is otherwise as in Diff. fn is called by one goroutine at a
// time, in no particular order.
func Compare(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, dir string, o CompareOptions, fn func(Change) error) (CompareReport, error) {
	matcher, err := exclude.New(o.Exclude)
	if err != nil {
		return CompareReport{}, fault.New("compare with", dir, err, "patterns follow the rules of gitignore(5)")
	}
	loader := treeLoader{repo}
	root, err := loadRoot(ctx, loader, snap)
	if err != nil {
		return CompareReport{}, err
	}
	live, err := fsmeta.OpenRoot(dir, nil)
	if err != nil {
		return CompareReport{}, fault.New("compare with", dir, err, "")
	}
	defer live.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0) + 1)
	c := &comparer{
		repo: repo, loader: loader, exclude: matcher, progress: progressOr(o.Progress), fn: fn, work: g,
		links: differ{linksA: map[uint64]uint64{}, linksB: map[uint64]uint64{}},
	}
	c.work.Go(func() error { return c.root(ctx, &root, live) })
	if err := g.Wait(); err != nil {
		if lost := new(tree.BlobError); errors.As(err, &lost) {
			return c.report, fault.New("compare with snapshot", snap.ID, asDamage(err), "run `mahavishnu verify` for the extent of the damage")
		}
		return c.report, err
	}
	return c.report, nil
}

type comparer struct {
	repo     *repository.Repository
	loader   tree.Loader
	exclude  *exclude.Matcher
	progress Progress
	work     *errgroup.Group
	links    differ // for its hard-link groups; the walker's alone

	mu     sync.Mutex
	fn     func(Change) error
	report CompareReport
}

func (c *comparer) change(ch Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Changes++
	return c.fn(ch)
}

// count notes an entry that both sides have.
func (c *comparer) count(n *tree.Node, read int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Bytes += read
	d := ProgressDelta{Bytes: read}
	switch n.Type {
	case tree.File:
		c.report.Files++
		d.Files = 1
	case tree.Dir:
		c.report.Dirs++
		d.Dirs = 1
	default:
		c.report.Others++
		d.Others = 1
	}
	c.progress.Add(d)
}

func (c *comparer) root(ctx context.Context, n *tree.Node, live *fsmeta.Dir) error {
	have, lost, err := live.ReadSelf()
	if err != nil {
		return err
	}
	c.count(n, 0)
	if err := c.meta(ctx, "", n, &have, lost, nil); err != nil {
		return err
	}
	return c.dir(ctx, "", n.Content, live)
}

// dir compares a directory of the snapshot with an open one.
func (c *comparer) dir(ctx context.Context, path string, content tree.Content, live *fsmeta.Dir) error {
	names, err := live.Names()
	if err != nil {
		return err
	}
	slices.Sort(names)
	left := newPeeker(ctx, c.loader, content)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := left.peek()
		if err != nil {
			return err
		}
		switch {
		case n == nil && len(names) == 0:
			return nil
		case n == nil || len(names) > 0 && bytes.Compare([]byte(names[0]), n.Name) < 0:
			err = c.added(ctx, join(path, names[0]), names[0], live)
			names = names[1:]
		case len(names) == 0 || names[0] != string(n.Name):
			left.next = nil
			err = c.removed(ctx, join(path, string(n.Name)), n)
		default:
			left.next = nil
			names = names[1:]
			err = c.pair(ctx, join(path, string(n.Name)), n, live)
		}
		if err != nil {
			return err
		}
	}
}

// added reports an entry that only the directory has, and what is below it.
func (c *comparer) added(ctx context.Context, path, name string, live *fsmeta.Dir) error {
	have, err := live.Lstat(name)
	if err != nil {
		return c.unreadable(path, tree.File, err)
	}
	if c.exclude.Match(path, have.Type == tree.Dir) {
		return nil
	}
	if err := c.change(Change{Op: Added, Path: path, Type: have.Type.String(), After: have.Size}); err != nil {
		return err
	}
	if have.Type != tree.Dir {
		return nil
	}
	return c.enter(ctx, path, name, tree.Content{}, live)
}

// removed reports an entry that only the snapshot has, and what is below it.
func (c *comparer) removed(ctx context.Context, path string, n *tree.Node) error {
	if c.exclude.Match(path, n.Type == tree.Dir) {
		return nil
	}
	d := differ{loader: c.loader, fn: c.change}
	return d.one(ctx, Removed, path, n)
}

func (c *comparer) unreadable(path string, typ tree.Type, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return c.change(Change{Op: Removed, Path: path, Type: typ.String()})
	}
	return c.change(Change{Op: Altered, Path: path, Type: typ.String(), What: []string{"unreadable"}})
}

// enter compares a subdirectory.
func (c *comparer) enter(ctx context.Context, path, name string, content tree.Content, live *fsmeta.Dir) error {
	sub, err := live.Sub(name)
	if err != nil {
		return c.unreadable(path, tree.Dir, err)
	}
	defer sub.Close()
	return c.dir(ctx, path, content, sub)
}

// pair compares two entries of one name.
func (c *comparer) pair(ctx context.Context, path string, n *tree.Node, live *fsmeta.Dir) error {
	if c.exclude.Match(path, n.Type == tree.Dir) {
		return nil
	}
	name := string(n.Name)
	have, lost, err := live.Read(name)
	if err != nil {
		return c.unreadable(path, n.Type, err)
	}
	if have.Type != n.Type {
		if err := c.removed(ctx, path, n); err != nil {
			return err
		}
		return c.added(ctx, path, name, live)
	}
	var what []string
	if have.Links > 1 {
		have.LinkGroup = have.Inode ^ have.Device*0x9e3779b97f4a7c15
	}
	if n.Type != tree.Dir && !c.links.sameLinks(n.LinkGroup, have.LinkGroup) {
		what = append(what, "links")
	}
	if n.Type == tree.File {
		return c.file(ctx, path, n, &have, lost, what, live)
	}
	c.count(n, 0)
	if err := c.meta(ctx, path, n, &have, lost, what); err != nil || n.Type != tree.Dir {
		return err
	}
	return c.enter(ctx, path, name, n.Content, live)
}

// file compares content on another goroutine, if one is free.
func (c *comparer) file(ctx context.Context, path string, n, have *tree.Node, lost []fsmeta.Loss, what []string, live *fsmeta.Dir) error {
	f, err := live.Open(string(n.Name))
	if err != nil {
		return c.unreadable(path, n.Type, err)
	}
	node := *n
	compare := func() error {
		defer f.Close()
		read, same, err := c.content(ctx, &node, f)
		if err != nil {
			return err
		}
		if !same || have.Size != node.Size {
			what = append([]string{"content"}, what...)
		}
		c.count(&node, read)
		return c.meta(ctx, path, &node, have, lost, what)
	}
	if c.work.TryGo(compare) {
		return nil
	}
	return compare()
}

// content compares what a file holds, and stops at the first difference.
func (c *comparer) content(ctx context.Context, n *tree.Node, f *os.File) (read int64, same bool, err error) {
	now, err := fsmeta.StatFile(f)
	if err != nil || now.Size != n.Size {
		return 0, false, err
	}
	cmp := &comparison{repo: c.repo, f: f, size: int64(now.Size)}
	at := int64(0)
	for list := tree.NewExtents(c.loader, n.Content); ; {
		e, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return read, true, nil
		}
		if err != nil {
			return read, false, err
		}
		look := cmp.data
		if e.Hole() {
			look = cmp.hole
		} else {
			read += int64(e.Length)
		}
		same, err := look(at, e)
		if err != nil || !same {
			return read, false, err
		}
		at += int64(e.Length)
	}
}

// meta compares metadata, and reports it together with what else differs.
func (c *comparer) meta(ctx context.Context, path string, n, have *tree.Node, lost []fsmeta.Loss, what []string) error {
	want := *n
	want.Xattrs = slices.Clone(n.Xattrs)
	if err := errors.Join(loadXattrs(ctx, c.loader, &want)...); err != nil {
		return err
	}
	what = append(what, metaDiff(&want, have)...)
	if len(lost) > 0 {
		what = append(what, "unreadable")
	}
	if len(what) == 0 {
		return nil
	}
	return c.change(Change{Op: Altered, Path: path, Type: n.Type.String(), What: what, Before: n.Size, After: have.Size})
}
