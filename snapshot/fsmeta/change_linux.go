package fsmeta

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/tree"
)

// Mkdir makes a directory that only its owner may enter; Apply opens it up
// once everything is in it.
func (d *Dir) Mkdir(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return pathError("mkdir", name, unix.Mkdirat(d.fd, name, 0o700))
}

// Create makes a regular file for n's content; it must not exist. Nobody may read
// it who may not read n.
func (d *Dir) Create(name string, n *tree.Node) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, newMode(n))
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// OpenWrite opens the regular file called name for reading and writing.
func (d *Dir) OpenWrite(name string) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, pathError("open for writing", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		if err == nil {
			err = errors.New("no longer a regular file")
		}
		return nil, pathError("open for writing", name, err)
	}
	return newFile(fd, name), nil
}

// Symlink makes a symbolic link with any target.
func (d *Dir) Symlink(target []byte, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return pathError("symlink", name, unix.Symlinkat(string(target), d.fd, name))
}

// Link gives the entry old of directory from another name in d. A symbolic
// link is linked itself.
func (d *Dir) Link(from *Dir, old, name string) error {
	if err := errors.Join(checkName(old), checkName(name)); err != nil {
		return err
	}
	return pathError("link", name, unix.Linkat(from.fd, old, d.fd, name, 0))
}

// MakeSpecial makes the fifo, socket or device that n describes. Devices need
// privilege; a socket is only its name, nobody listens on it.
func (d *Dir) MakeSpecial(n *tree.Node, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	for kernel, typ := range fileTypes {
		if typ == n.Type && typ >= tree.FIFO {
			return pathError("mknod", name, unix.Mknodat(d.fd, name, kernel|0o600, int(n.Rdev)))
		}
	}
	return pathError("mknod", name, fmt.Errorf("a %s cannot be made this way", n.Type))
}

// Rename gives the entry old the name name in the same directory, replacing
// what is there.
func (d *Dir) Rename(old, name string) error {
	if err := errors.Join(checkName(old), checkName(name)); err != nil {
		return err
	}
	return pathError("rename", name, unix.Renameat(d.fd, old, d.fd, name))
}

// Remove removes an entry that is not a directory. A missing one is not an error.
func (d *Dir) Remove(name string) error { return d.unlink(name, 0) }

// RemoveDir removes an empty directory. A missing one is not an error.
func (d *Dir) RemoveDir(name string) error { return d.unlink(name, unix.AT_REMOVEDIR) }

func (d *Dir) unlink(name string, flags int) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := unix.Unlinkat(d.fd, name, flags)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return pathError("remove", name, err)
}

// Unlock lets the owner of the directory called name read, enter and change it,
// if it does not already. Apply sets its mode back.
func (d *Dir) Unlock(name string) error {
	n, err := d.Lstat(name)
	if err != nil || n.Type != tree.Dir || n.Mode&0o700 == 0o700 {
		return err
	}
	h, err := d.handle(name, n.Type)
	if err != nil {
		return err
	}
	defer h.close()
	return pathError("chmod", name, h.chmod(n.Mode|0o700))
}

// SyncAll waits until everything written to the file system that holds d is on
// stable storage.
func (d *Dir) SyncAll() error { return pathError("syncfs", d.f.Name(), unix.Syncfs(d.fd)) }

// PunchHole gives back the storage of a range, which then reads as zeros.
func PunchHole(f *os.File, off, length int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return writeZeros(f, off, length)
	}
	return pathError("punch hole", f.Name(), err)
}

// Allocated returns the bytes of storage that an open file occupies.
func Allocated(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, pathError("stat", f.Name(), err)
	}
	return st.Blocks * 512, nil
}
