package fsmeta

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/tree"
)

// localName reports whether the platform takes name as one entry. On Linux
// every byte string without a slash or a zero byte is.
func localName(string) bool { return true }

// fileTypes pairs the kernel's types with ours.
var fileTypes = map[uint32]tree.Type{
	unix.S_IFREG: tree.File, unix.S_IFDIR: tree.Dir, unix.S_IFLNK: tree.Symlink,
	unix.S_IFIFO: tree.FIFO, unix.S_IFSOCK: tree.Socket,
	unix.S_IFCHR: tree.CharDev, unix.S_IFBLK: tree.BlockDev,
}

func nodeOf(st *unix.Stat_t) (tree.Node, error) {
	typ, ok := fileTypes[st.Mode&unix.S_IFMT]
	if !ok {
		return tree.Node{}, fmt.Errorf("file type %o is not known", st.Mode&unix.S_IFMT)
	}
	n := tree.Node{
		Type:       typ,
		Mode:       st.Mode & 0o7777,
		UID:        st.Uid,
		GID:        st.Gid,
		ModTime:    tree.Time{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)},
		ChangeTime: tree.Time{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)},
		Inode:      st.Ino,
		Device:     uint64(st.Dev),
	}
	switch typ {
	case tree.File:
		n.Size = uint64(st.Size)
	case tree.CharDev, tree.BlockDev:
		n.Rdev = uint64(st.Rdev)
	}
	if typ != tree.Dir && st.Nlink > 1 {
		n.Links = uint64(st.Nlink)
	}
	return n, nil
}
