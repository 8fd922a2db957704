package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
)

// source is an opened source.
type source struct {
	root     *fsmeta.Dir
	only     string // the one entry to take, when the source is a file
	recorded string // the path for the snapshot
}

func openSource(path string) (*source, error) {
	const op = "open source"
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New(op, Printable(path), err, "")
	}
	s := &source{recorded: Printable(abs)}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(op, s.recorded, fmt.Errorf("%w: %w", ErrNoSource, err), "check the path; if it is on another disk, mount that first")
	}
	if err != nil {
		return nil, fault.New(op, s.recorded, err, "the user who runs the backup must be able to enter every directory on the way")
	}
	switch {
	case info.IsDir():
	case info.Mode().IsRegular():
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return nil, fault.New(op, s.recorded, err, "")
		}
		abs, s.only = filepath.Dir(real), filepath.Base(real)
	default:
		return nil, fault.New(op, s.recorded, errors.New("neither a directory nor a regular file"), "name the directory it is in, and exclude the rest")
	}
	if s.root, err = fsmeta.OpenRoot(abs, nil); err != nil {
		return nil, fault.New(op, s.recorded, err, "the user who runs the backup must be able to read it")
	}
	return s, nil
}

// storagePath is the directory of a repository on this machine, or "".
func storagePath(repo *repository.Repository) string {
	u, err := url.Parse(repo.Backend().Location())
	if err != nil || u.Scheme != "file" {
		return ""
	}
	path := filepath.FromSlash(u.Path)
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, `\`)
	}
	return path
}

// storageInode is the directory of a repository on this machine, so that a
// backup of everything leaves it out, and a restore leaves it alone.
func storageInode(repo *repository.Repository) inode {
	path := storagePath(repo)
	if path == "" {
		return inode{}
	}
	d, err := fsmeta.OpenRoot(path, nil)
	if err != nil {
		return inode{}
	}
	defer d.Close()
	n, err := d.Stat()
	if err != nil {
		return inode{}
	}
	return inode{n.Device, n.Inode}
}
