package snapshot

import (
	"errors"
	"os"
	"path/filepath"

	"mahavishnu/snapshot/tree"
)

// errStorage keeps a restore out of the storage it reads: a backup leaves the
// repository out, so to the snapshot it is something that does not belong there.
var errStorage = errors.New("it is the repository that is being read: it is left alone")

// isStorage reports whether an entry of the target is the repository.
func (r *restorer) isStorage(n *tree.Node) bool {
	return n.Type == tree.Dir && n.Inode != 0 && r.storage == inode{n.Device, n.Inode}
}

// leadsInto reports whether path is the directory dir or lies below it, also by
// way of symbolic links, and also when the last parts of it do not exist yet.
func leadsInto(path, dir string) bool {
	root, err := os.Stat(dir)
	if err != nil {
		return false
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	for {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, root) {
			return true
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}
