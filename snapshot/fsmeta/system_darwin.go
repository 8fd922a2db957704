package fsmeta

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/tree"
)

const (
	keepsOwners = true
	keepsXattrs = true
)

var (
	errNoXattr    error = unix.ENOATTR
	errXattrRange error = unix.ERANGE
)

func localName(string) bool { return true }

func addSystem(n *tree.Node, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	n.UID, n.GID = st.Uid, st.Gid
	n.Inode, n.Device = st.Ino, uint64(uint32(st.Dev))
	n.ChangeTime = tree.Time{Sec: st.Ctimespec.Sec, Nsec: uint32(st.Ctimespec.Nsec)}
	if n.Type == tree.CharDev || n.Type == tree.BlockDev {
		n.Rdev = uint64(uint32(st.Rdev))
	}
	if n.Type != tree.Dir && st.Nlink > 1 {
		n.Links = uint64(st.Nlink)
	}
}

func xattrsUnsupported(err error) bool { return err == unix.ENOTSUP }

// xattrByFD reaches the attributes of an open file or directory.
type xattrByFD uintptr

func (fd xattrByFD) list(buf []byte) (int, error) { return unix.Flistxattr(int(fd), buf) }
func (fd xattrByFD) get(name string, buf []byte) (int, error) {
	return unix.Fgetxattr(int(fd), name, buf)
}

func (fd xattrByFD) set(name string, value []byte) error {
	return unix.Fsetxattr(int(fd), name, value, 0)
}
func (fd xattrByFD) remove(name string) error { return unix.Fremovexattr(int(fd), name) }
