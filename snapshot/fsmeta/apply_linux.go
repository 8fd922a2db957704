package fsmeta

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/tree"
)

const (
	setuid = 0o4000
	setgid = 0o2000
)

// handle is a descriptor of one inode, so that all metadata goes to the same
// one even if its name is given to another meanwhile.
type handle struct {
	fd   int
	typ  tree.Type
	path bool // opened with O_PATH: some calls must go through /proc
	bare bool // it has no attributes yet
	link xattrs
}

// handle opens name as what it is believed to be.
func (d *Dir) handle(name string, typ tree.Type) (*handle, error) {
	if typ == tree.File || typ == tree.Dir {
		fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err == nil {
			return verify(&handle{fd: fd, typ: typ}, name)
		}
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			return nil, pathError("open", name, err)
		}
	}
	fd, err := openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	h := &handle{fd: fd, typ: typ, path: true}
	if typ == tree.Symlink {
		h.link = xattrByPath(d.proc + name)
	}
	return verify(h, name)
}

func verify(h *handle, name string) (*handle, error) {
	st, err := h.stat()
	if err == nil && fileTypes[st.Mode&unix.S_IFMT] != h.typ {
		err = fmt.Errorf("no longer a %s", h.typ)
	}
	if err != nil {
		h.close()
		return nil, pathError("open", name, err)
	}
	return h, nil
}

func (h *handle) close() { _ = unix.Close(h.fd) }

func (h *handle) proc() string { return "/proc/self/fd/" + strconv.Itoa(h.fd) }

func (h *handle) stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	return st, unix.Fstat(h.fd, &st)
}

func (h *handle) chown(uid, gid int) error {
	return unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

func (h *handle) chmod(mode uint32) error {
	if h.path {
		return unix.Chmod(h.proc(), mode)
	}
	return unix.Fchmod(h.fd, mode)
}

func (h *handle) xattrs() xattrs {
	switch {
	case h.link != nil:
		return h.link
	case h.path:
		return xattrByHandle(h.proc())
	}
	return xattrByFD(h.fd)
}

func (h *handle) utimes(mtime tree.Time) error {
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: mtime.Sec, Nsec: int64(mtime.Nsec)}}
	err := unix.UtimesNanoAt(h.fd, "", ts, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EINVAL) && h.typ != tree.Symlink {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, h.proc(), ts, 0) // kernels before 5.8
	}
	return err
}

// Apply gives the entry called name the metadata of n. The entry must be of n's
// type; the error says that nothing could be done.
func (d *Dir) Apply(name string, n *tree.Node, o Ownership) ([]Loss, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	h, err := d.handle(name, n.Type)
	if err != nil {
		return nil, err
	}
	defer h.close()
	return h.apply(n, o, d.owners)
}

// ApplySelf gives the directory itself the metadata of n.
func (d *Dir) ApplySelf(n *tree.Node, o Ownership) ([]Loss, error) {
	return (&handle{fd: d.fd, typ: tree.Dir}).apply(n, o, d.owners)
}

// ApplyFile gives a regular file of this directory, open and called name, the
// metadata of n. Writing to it later would spoil the times.
func (d *Dir) ApplyFile(f *os.File, _ string, n *tree.Node, o Ownership) ([]Loss, error) {
	return (&handle{fd: int(f.Fd()), typ: tree.File}).apply(n, o, d.owners)
}

// ApplyNew is ApplyFile for a file from Create. That has no attributes but what
// its directory hands down.
func (d *Dir) ApplyNew(f *os.File, _ string, n *tree.Node, o Ownership) ([]Loss, error) {
	return (&handle{fd: int(f.Fd()), typ: tree.File, bare: !d.handsDown()}).apply(n, o, d.owners)
}

// handsDown reports whether new entries of the directory get an access list.
// What the security modules give them is left alone in any case.
func (d *Dir) handsDown() bool {
	d.acl.Do(func() {
		n, err := unix.Fgetxattr(d.fd, "system.posix_acl_default", nil)
		d.hasACL = n > 0 || err != nil && !errors.Is(err, errNoXattr) && !xattrsUnsupported(err)
	})
	return d.hasACL
}

func (h *handle) apply(n *tree.Node, o Ownership, owners *Owners) ([]Loss, error) {
	st, err := h.stat()
	if err != nil {
		return nil, err
	}
	var lost []Loss
	made := st.Mode & 0o7777
	uid, gid := o.owner(n, owners)
	if o != OwnerNone {
		if err := h.setOwner(&st, uid, gid); err != nil {
			lost = append(lost, Loss{fmt.Sprintf("owner %d:%d", uid, gid), err})
		}
	}
	mode, stripped := safeMode(n, &st, uid, gid)
	if stripped != nil {
		lost = append(lost, *stripped)
	}
	if !h.bare || len(n.Xattrs) > 0 {
		lost = append(lost, h.setXattrs(n, &st)...)
	}
	right := h.bare && len(n.Xattrs) == 0 && mode == made && mode <= 0o777
	if h.typ != tree.Symlink && !right {
		if err := h.setMode(mode); err != nil {
			lost = append(lost, Loss{fmt.Sprintf("mode %04o", mode), err})
		}
	}
	if err := h.utimes(n.ModTime); err != nil {
		lost = append(lost, Loss{"times", err})
	} else if l := h.checkTime(n.ModTime); l != nil {
		lost = append(lost, *l)
	}
	return lost, nil
}

// setOwner changes what differs and leaves in st what the inode then has. A
// group that may be given is given even when the owner may not.
func (h *handle) setOwner(st *unix.Stat_t, uid, gid uint32) error {
	if st.Uid == uid && st.Gid == gid {
		return nil
	}
	err := h.chown(int(uid), int(gid))
	if err == nil {
		st.Uid, st.Gid = uid, gid
		return nil
	}
	if st.Gid != gid && h.chown(-1, int(gid)) == nil {
		st.Gid = gid
	}
	return err
}

// safeMode drops setuid and setgid bits from a file that does not have the
// owner they were meant for: they would grant somebody else's rights. On a
// directory they only pass the group on.
func safeMode(n *tree.Node, st *unix.Stat_t, uid, gid uint32) (uint32, *Loss) {
	if n.Type == tree.Dir {
		return n.Mode, nil
	}
	drop := uint32(0)
	if st.Uid != uid {
		drop |= n.Mode & setuid
	}
	if st.Gid != gid {
		drop |= n.Mode & setgid
	}
	if drop == 0 {
		return n.Mode, nil
	}
	return n.Mode &^ drop, &Loss{fmt.Sprintf("mode bits %04o", drop), errors.New("dropped, because the owner they act for could not be set")}
}

// setXattrs works on a file that its owner may not write by letting it be
// written meanwhile; setMode follows.
func (h *handle) setXattrs(n *tree.Node, st *unix.Stat_t) []Loss {
	if h.typ != tree.Symlink && st.Mode&0o200 == 0 && unix.Geteuid() != 0 {
		if err := h.chmod(st.Mode&0o7777 | 0o600); err != nil {
			return []Loss{{"attributes", err}}
		}
	}
	return syncXattrs(h.xattrs(), n.Xattrs)
}

func (h *handle) setMode(mode uint32) error {
	if err := h.chmod(mode); err != nil {
		return err
	}
	if mode&(setuid|setgid) == 0 {
		return nil
	}
	// The kernel drops these silently for a group the caller is not in.
	st, err := h.stat()
	if err == nil && st.Mode&0o7777 != mode {
		err = fmt.Errorf("the system made it %04o", st.Mode&0o7777)
	}
	return err
}

// checkTime notices file systems whose times are coarser or narrower.
func (h *handle) checkTime(want tree.Time) *Loss {
	if want.Sec >= 0 && want.Sec < 1<<31 {
		return nil // every file system in use holds these seconds
	}
	st, err := h.stat()
	if err == nil && int64(st.Mtim.Sec) != want.Sec {
		err = fmt.Errorf("the file system made it %d seconds", st.Mtim.Sec)
	}
	if err != nil {
		return &Loss{fmt.Sprintf("time of %d seconds", want.Sec), err}
	}
	return nil
}
