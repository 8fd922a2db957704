//go:build !linux

package fsmeta

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"mahavishnu/snapshot/tree"
)

// Mkdir makes a directory that only its owner may enter; Apply opens it up
// once everything is in it.
func (d *Dir) Mkdir(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return d.root.Mkdir(name, 0o700)
}

// Create makes a regular file for n's content; it must not exist. Nobody may read
// it who may not read n.
func (d *Dir) Create(name string, n *tree.Node) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fs.FileMode(newMode(n)))
}

// OpenWrite opens the regular file called name for reading and writing.
func (d *Dir) OpenWrite(name string) (*os.File, error) {
	if err := d.expect(name, 0); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, os.O_RDWR, 0)
}

// Symlink makes a symbolic link with any target.
func (d *Dir) Symlink(target []byte, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return d.root.Symlink(string(target), name)
}

// Link gives the entry old of directory from another name in d. The standard
// library links only within one opened root, so the paths are joined here.
func (d *Dir) Link(from *Dir, old, name string) error {
	if err := errors.Join(checkName(old), checkName(name)); err != nil {
		return err
	}
	return os.Link(from.root.Name()+string(os.PathSeparator)+old, d.root.Name()+string(os.PathSeparator)+name)
}

// MakeSpecial would make a fifo, socket or device; that is done on Linux only.
func (d *Dir) MakeSpecial(n *tree.Node, name string) error {
	return &os.PathError{Op: "mknod", Path: name, Err: fmt.Errorf("a %s: %w on this system", n.Type, errors.ErrUnsupported)}
}

// Rename gives the entry old the name name in the same directory, replacing
// what is there.
func (d *Dir) Rename(old, name string) error {
	if err := errors.Join(checkName(old), checkName(name)); err != nil {
		return err
	}
	return d.root.Rename(old, name)
}

// Remove removes an entry that is not a directory. A missing one is not an error.
func (d *Dir) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	info, err := d.root.Lstat(name)
	if err == nil && info.IsDir() {
		return &os.PathError{Op: "remove", Path: name, Err: errors.New("is a directory")}
	}
	return missingIsFine(d.root.Remove(name))
}

// RemoveDir removes an empty directory. A missing one is not an error.
func (d *Dir) RemoveDir(name string) error {
	if err := d.expect(name, fs.ModeDir); err != nil {
		return missingIsFine(err)
	}
	return missingIsFine(d.root.Remove(name))
}

func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Unlock lets the owner of the directory called name read, enter and change it,
// if it does not already. Apply sets its mode back.
func (d *Dir) Unlock(name string) error {
	n, err := d.Lstat(name)
	if err != nil || n.Type != tree.Dir || n.Mode&0o700 == 0o700 {
		return err
	}
	return d.root.Chmod(name, fileMode(n.Mode|0o700))
}

// SyncAll asks for the directory itself to be on stable storage; files are
// synced by whoever writes them.
func (d *Dir) SyncAll() error {
	if err := d.f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// PunchHole makes a range read as zeros.
func PunchHole(f *os.File, off, length int64) error { return writeZeros(f, off, length) }

// Allocated returns the bytes of storage that an open file occupies, here its size.
func Allocated(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Apply gives the entry called name the metadata of n. The entry must be of n's
// type; the error says that nothing could be done.
func (d *Dir) Apply(name string, n *tree.Node, o Ownership) ([]Loss, error) {
	have, err := d.Lstat(name)
	if err != nil {
		return nil, err
	}
	if have.Type != n.Type {
		return nil, &os.PathError{Op: "apply", Path: name, Err: fmt.Errorf("no longer a %s", n.Type)}
	}
	return d.apply(name, n, &have, o), nil
}

// ApplySelf gives the directory itself the metadata of n.
func (d *Dir) ApplySelf(n *tree.Node, o Ownership) ([]Loss, error) {
	have, err := d.Stat()
	if err != nil {
		return nil, err
	}
	return d.apply(".", n, &have, o), nil
}

// ApplyNew is ApplyFile for a file from Create.
func (d *Dir) ApplyNew(f *os.File, name string, n *tree.Node, o Ownership) ([]Loss, error) {
	return d.ApplyFile(f, name, n, o)
}

// ApplyFile gives a regular file of this directory, open and called name, the
// metadata of n. Writing to it later would spoil the times.
func (d *Dir) ApplyFile(f *os.File, name string, n *tree.Node, o Ownership) ([]Loss, error) {
	var lost []Loss
	lose := func(what string, err error) {
		if err != nil {
			lost = append(lost, Loss{what, err})
		}
	}
	uid, gid := o.owner(n, d.owners)
	if o != OwnerNone && keepsOwners {
		lose(fmt.Sprintf("owner %d:%d", uid, gid), f.Chown(int(uid), int(gid)))
	}
	if keepsXattrs {
		lost = append(lost, syncXattrs(xattrByFD(f.Fd()), n.Xattrs)...)
	} else if len(n.Xattrs) > 0 {
		lose("attributes", errors.ErrUnsupported)
	}
	mode := n.Mode
	if len(lost) > 0 {
		mode &^= 0o6000 // the owner these act for may not be the one set
	}
	lose(fmt.Sprintf("mode %04o", mode), f.Chmod(fileMode(mode)))
	return append(lost, d.setTimes(name, n)...), nil
}

func (d *Dir) apply(name string, n, have *tree.Node, o Ownership) []Loss {
	if n.Type == tree.File || n.Type == tree.Dir && keepsXattrs {
		f, err := d.root.Open(name)
		if err == nil {
			defer f.Close()
			lost, _ := d.ApplyFile(f, name, n, o) // it reports losses only
			return lost
		}
	}
	var lost []Loss
	if uid, gid := o.owner(n, d.owners); o != OwnerNone && keepsOwners && (uid != have.UID || gid != have.GID) {
		if err := d.root.Lchown(name, int(uid), int(gid)); err != nil {
			lost = append(lost, Loss{fmt.Sprintf("owner %d:%d", uid, gid), err})
		}
	}
	if len(n.Xattrs) > 0 {
		lost = append(lost, Loss{"attributes", errors.ErrUnsupported})
	}
	if n.Type == tree.Symlink {
		return lost // links have no mode, and their times cannot be set here
	}
	if err := d.root.Chmod(name, fileMode(n.Mode)); err != nil {
		lost = append(lost, Loss{fmt.Sprintf("mode %04o", n.Mode), err})
	}
	return append(lost, d.setTimes(name, n)...)
}

func (d *Dir) setTimes(name string, n *tree.Node) []Loss {
	if err := d.root.Chtimes(name, time.Time{}, n.ModTime.Time()); err != nil {
		return []Loss{{"times", err}}
	}
	return nil
}

// fileMode translates permission and special bits.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, goBit := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= goBit
		}
	}
	return m
}
