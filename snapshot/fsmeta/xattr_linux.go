package fsmeta

import (
	"errors"

	"golang.org/x/sys/unix"
)

var (
	errNoXattr    error = unix.ENODATA
	errXattrRange error = unix.ERANGE
)

func xattrsUnsupported(err error) bool { return errors.Is(err, unix.ENOTSUP) }

// xattrByPath reaches the attributes of a path's last component itself, even
// when it is a symbolic link.
type xattrByPath string

func (p xattrByPath) list(buf []byte) (int, error) { return unix.Llistxattr(string(p), buf) }
func (p xattrByPath) get(name string, buf []byte) (int, error) {
	return unix.Lgetxattr(string(p), name, buf)
}

func (p xattrByPath) set(name string, value []byte) error {
	return unix.Lsetxattr(string(p), name, value, 0)
}
func (p xattrByPath) remove(name string) error { return unix.Lremovexattr(string(p), name) }

// xattrByFD reaches the attributes of an open file or directory.
type xattrByFD int

func (fd xattrByFD) list(buf []byte) (int, error) { return unix.Flistxattr(int(fd), buf) }
func (fd xattrByFD) get(name string, buf []byte) (int, error) {
	return unix.Fgetxattr(int(fd), name, buf)
}

func (fd xattrByFD) set(name string, value []byte) error {
	return unix.Fsetxattr(int(fd), name, value, 0)
}
func (fd xattrByFD) remove(name string) error { return unix.Fremovexattr(int(fd), name) }

// xattrByHandle reaches the attributes of the inode a path-only descriptor
// stands for: its link under /proc is followed, and leads nowhere else.
type xattrByHandle string

func (p xattrByHandle) list(buf []byte) (int, error) { return unix.Listxattr(string(p), buf) }
func (p xattrByHandle) get(name string, buf []byte) (int, error) {
	return unix.Getxattr(string(p), name, buf)
}

func (p xattrByHandle) set(name string, value []byte) error {
	return unix.Setxattr(string(p), name, value, 0)
}
func (p xattrByHandle) remove(name string) error { return unix.Removexattr(string(p), name) }
