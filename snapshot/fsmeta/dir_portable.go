//go:build !linux

package fsmeta

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"mahavishnu/snapshot/tree"
)

// Dir is an open directory. Its methods are safe for concurrent use, except
// ReadNames and Close.
type Dir struct {
	root   *os.Root
	f      *os.File
	owners *Owners
}

// OpenRoot opens the directory at path, following symbolic links. Directories
// opened below it share owners; nil makes a fresh one.
func OpenRoot(path string, owners *Owners) (*Dir, error) {
	if owners == nil {
		owners = new(Owners)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return newDir(root, owners)
}

func newDir(root *os.Root, owners *Owners) (*Dir, error) {
	f, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &Dir{root: root, f: f, owners: owners}, nil
}

// Close releases the directory.
func (d *Dir) Close() error { return errors.Join(d.f.Close(), d.root.Close()) }

// Sub opens the directory called name. A symbolic link is not a directory.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := d.expect(name, fs.ModeDir); err != nil {
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return newDir(root, d.owners)
}

// expect refuses an entry of another type; os.Root would follow a link within
// the directory.
func (d *Dir) expect(name string, typ fs.FileMode) error {
	if err := checkName(name); err != nil {
		return err
	}
	info, err := d.root.Lstat(name)
	if err == nil && info.Mode().Type() != typ {
		err = &os.PathError{Op: "open", Path: name, Err: errors.New("not of the expected type")}
	}
	return err
}

// ReadNames returns up to n more names of entries, in the file system's order,
// then io.EOF; with n <= 0 all that are left.
func (d *Dir) ReadNames(n int) ([]string, error) { return d.f.Readdirnames(n) }

// Names returns the names of all entries, in the file system's order.
func (d *Dir) Names() ([]string, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.f.Readdirnames(-1)
}

// Open opens the regular file called name for reading.
func (d *Dir) Open(name string) (*os.File, error) {
	if err := d.expect(name, 0); err != nil {
		return nil, err
	}
	return d.root.Open(name)
}

// Lstat returns what the inode of name holds: everything but the link target,
// the attributes and the owners' names, which [Dir.Complete] adds.
func (d *Dir) Lstat(name string) (tree.Node, error) {
	if err := checkName(name); err != nil {
		return tree.Node{}, err
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return tree.Node{}, err
	}
	n, err := nodeOf(info)
	n.Name = []byte(name)
	return n, err
}

// Stat returns what the directory's own inode holds, with an empty name.
func (d *Dir) Stat() (tree.Node, error) { return StatFile(d.f) }

// StatFile returns what the inode of an open file holds, with an empty name.
func StatFile(f *os.File) (tree.Node, error) {
	info, err := f.Stat()
	if err != nil {
		return tree.Node{}, err
	}
	return nodeOf(info)
}

// nodeOf takes what every platform tells, then what this one adds.
func nodeOf(info fs.FileInfo) (tree.Node, error) {
	n := tree.Node{Mode: uint32(info.Mode().Perm()), ModTime: tree.TimeOf(info.ModTime())}
	for bit, unix := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if info.Mode()&bit != 0 {
			n.Mode |= unix
		}
	}
	switch info.Mode().Type() {
	case 0:
		n.Type, n.Size = tree.File, uint64(info.Size())
	case fs.ModeDir:
		n.Type = tree.Dir
	case fs.ModeSymlink:
		n.Type = tree.Symlink
	case fs.ModeNamedPipe:
		n.Type = tree.FIFO
	case fs.ModeSocket:
		n.Type = tree.Socket
	case fs.ModeDevice:
		n.Type = tree.BlockDev
	case fs.ModeDevice | fs.ModeCharDevice:
		n.Type = tree.CharDev
	default:
		return n, &os.PathError{Op: "lstat", Path: info.Name(), Err: errors.New("file type is not known")}
	}
	addSystem(&n, info)
	return n, nil
}

// Complete adds to a node from Lstat its link target, attributes and the names
// of its owners. A link whose target cannot be read is an error.
func (d *Dir) Complete(n *tree.Node) ([]Loss, error) {
	name := string(n.Name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	if n.Type == tree.Symlink {
		target, err := d.root.Readlink(name)
		if err != nil {
			return nil, err
		}
		n.LinkTarget = []byte(target)
	}
	n.User, n.Group = d.owners.User(n.UID), d.owners.Group(n.GID)
	if !keepsXattrs || n.Type != tree.File && n.Type != tree.Dir {
		return nil, nil
	}
	f, err := d.root.Open(name)
	if err != nil {
		return []Loss{{"attributes", err}}, nil
	}
	defer f.Close()
	var lost []Loss
	n.Xattrs, lost = readXattrs(xattrByFD(f.Fd()))
	return lost, nil
}

// CompleteFile is Complete for a regular file that is open.
func (d *Dir) CompleteFile(f *os.File, n *tree.Node) []Loss {
	n.User, n.Group = d.owners.User(n.UID), d.owners.Group(n.GID)
	if !keepsXattrs {
		return nil
	}
	var lost []Loss
	n.Xattrs, lost = readXattrs(xattrByFD(f.Fd()))
	return lost
}

// Read is Lstat and Complete.
func (d *Dir) Read(name string) (tree.Node, []Loss, error) {
	n, err := d.Lstat(name)
	if err != nil {
		return n, nil, err
	}
	lost, err := d.Complete(&n)
	return n, lost, err
}

// ReadSelf reads everything of the directory itself, with an empty name.
func (d *Dir) ReadSelf() (tree.Node, []Loss, error) {
	n, err := d.Stat()
	if err != nil {
		return n, nil, err
	}
	n.User, n.Group = d.owners.User(n.UID), d.owners.Group(n.GID)
	if !keepsXattrs {
		return n, nil, nil
	}
	var lost []Loss
	n.Xattrs, lost = readXattrs(xattrByFD(d.f.Fd()))
	return n, lost, nil
}
