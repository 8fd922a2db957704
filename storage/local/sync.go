package local

import (
	"context"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// syncers is how many files are synced at once. The file system merges the
// waiting ones into few journal commits, so more helps until the disk's queue
// is full.
const syncers = 16

// Sync syncs the files, then every directory on the way to them: a file
// without its directory entry is as lost as its bytes.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	const op = "sync"
	dirs := map[string]bool{}
	var group errgroup.Group
	group.SetLimit(syncers)
	for _, name := range names {
		if err := b.check(ctx, op, name); err != nil {
			_ = group.Wait() // the first reason is enough
			return err
		}
		path := b.path(name)
		for dir := range dirSet(b.root, path) {
			dirs[dir] = true
		}
		group.Go(func() error {
			if err := syncFile(path); err != nil {
				return failed(op, name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := b.syncDirs(dirs); err != nil {
		return failed(op, b.Location(), err)
	}
	return nil
}

// dirSet returns the directories from the file's own up to the root, and the
// root's parent, which holds the root's name.
func dirSet(root, file string) map[string]bool {
	dirs := map[string]bool{filepath.Dir(root): true}
	for dir := filepath.Dir(file); len(dir) >= len(root); dir = filepath.Dir(dir) {
		dirs[dir] = true
		if dir == root {
			break
		}
	}
	return dirs
}

func (b *Backend) syncDirs(dirs map[string]bool) error {
	paths := make([]string, 0, len(dirs))
	for dir := range dirs {
		paths = append(paths, dir)
	}
	slices.Sort(paths)
	var group errgroup.Group
	group.SetLimit(syncers)
	for _, dir := range paths {
		group.Go(func() error { return syncDir(dir, dir != filepath.Dir(b.root)) })
	}
	return group.Wait()
}
