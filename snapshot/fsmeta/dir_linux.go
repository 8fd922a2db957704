package fsmeta

import (
	"errors"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/tree"
)

// Dir is an open directory. Its methods are safe for concurrent use, except
// ReadNames and Close.
type Dir struct {
	f      *os.File
	fd     int
	proc   string // "/proc/self/fd/N/": lets calls that only take paths stay relative
	owners *Owners
	acl    sync.Once
	hasACL bool // see handsDown
}

// OpenRoot opens the directory at path, following symbolic links. Directories
// opened below it share owners; nil makes a fresh one.
func OpenRoot(path string, owners *Owners) (*Dir, error) {
	if owners == nil {
		owners = new(Owners)
	}
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open directory", Path: path, Err: err}
	}
	return newDir(fd, path, owners), nil
}

func newDir(fd int, name string, owners *Owners) *Dir {
	return &Dir{
		f:      os.NewFile(uintptr(fd), name),
		fd:     fd,
		proc:   "/proc/self/fd/" + strconv.Itoa(fd) + "/",
		owners: owners,
	}
}

// openat adds what every open needs and survives signals.
func openat(dirfd int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, perm)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

// Close releases the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Sub opens the directory called name. A symbolic link is not a directory.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, pathError("open directory", name, err)
	}
	return newDir(fd, name, d.owners), nil
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

// Open opens the regular file called name for reading. It never waits (a fifo
// that took the file's place does not block) and leaves the access time alone
// where that is allowed.
func (d *Dir) Open(name string) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := openat(d.fd, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = openat(d.fd, name, flags, 0)
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		if err == nil {
			err = errors.New("no longer a regular file")
		}
		return nil, pathError("open", name, err)
	}
	return newFile(fd, name), nil
}

// newFile wraps a descriptor opened without waiting, as one that blocks:
// regular files are always ready, and the runtime need not poll them.
func newFile(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, false)
	return os.NewFile(uintptr(fd), name)
}

// Lstat returns what the inode of name holds: everything but the link target,
// the attributes and the owners' names, which [Dir.Complete] adds.
func (d *Dir) Lstat(name string) (tree.Node, error) {
	if err := checkName(name); err != nil {
		return tree.Node{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return tree.Node{}, pathError("lstat", name, err)
	}
	n, err := nodeOf(&st)
	n.Name = []byte(name)
	return n, pathError("lstat", name, err)
}

// Stat returns what the directory's own inode holds, with an empty name.
func (d *Dir) Stat() (tree.Node, error) { return StatFile(d.f) }

// StatFile returns what the inode of an open file holds, with an empty name.
func StatFile(f *os.File) (tree.Node, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return tree.Node{}, pathError("stat", f.Name(), err)
	}
	n, err := nodeOf(&st)
	return n, pathError("stat", f.Name(), err)
}

// Complete adds to a node from Lstat its link target, attributes and the names
// of its owners. A link whose target cannot be read is an error.
func (d *Dir) Complete(n *tree.Node) ([]Loss, error) {
	name := string(n.Name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	if n.Type == tree.Symlink {
		target, err := d.readlink(name)
		if err != nil {
			return nil, pathError("readlink", name, err)
		}
		n.LinkTarget = target
	}
	n.User, n.Group = d.owners.User(n.UID), d.owners.Group(n.GID)
	var lost []Loss
	n.Xattrs, lost = readXattrs(xattrByPath(d.proc + name))
	return lost, nil
}

// CompleteFile is Complete for a regular file that is open: it asks the inode
// that f is, without the way to a name.
func (d *Dir) CompleteFile(f *os.File, n *tree.Node) []Loss {
	n.User, n.Group = d.owners.User(n.UID), d.owners.Group(n.GID)
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
	var lost []Loss
	n.Xattrs, lost = readXattrs(xattrByFD(d.fd))
	return n, lost, nil
}

func (d *Dir) readlink(name string) ([]byte, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(d.fd, name, buf)
		if err != nil {
			return nil, err
		}
		if n < size {
			return buf[:n], nil
		}
	}
}
