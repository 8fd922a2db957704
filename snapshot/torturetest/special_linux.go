package torturetest

import (
	"bytes"
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func (b *builder) attributes() {
	b.write("xattrs/file", []byte("with attributes"))
	b.mkdir("xattrs/dir")
	for name, value := range map[string][]byte{
		"user.plain": []byte("value"), "user.empty": {}, "user.bytes": {0, 1, 0xff, '\n'},
		"user.\xff\xfe name": []byte("odd name"), "user.long": bytes.Repeat([]byte("0123456789"), 150),
	} {
		b.xattr("xattrs/file", name, value)
	}
	b.xattr("xattrs/dir", "user.on-dir", []byte("yes"))
	b.write("acl/file", []byte("with an ACL"))
	b.write("acl/dir/inside", []byte("in a directory with a default ACL"))
	access := acl(aclEntry{1, 7, ^uint32(0)}, aclEntry{2, 4, 12345}, aclEntry{4, 4, ^uint32(0)},
		aclEntry{8, 5, 54321}, aclEntry{16, 5, ^uint32(0)}, aclEntry{32, 0, ^uint32(0)})
	b.xattr("acl/file", "system.posix_acl_access", access)
	b.xattr("acl/dir", "system.posix_acl_access", access)
	b.xattr("acl/dir", "system.posix_acl_default", access)
	if b.priv {
		b.xattr("xattrs/file", "trusted.hidden", []byte("only root sees this"))
		b.xattr("xattrs/file", "security.capability", capability(1<<10)) // cap_net_bind_service
		b.try(os.Symlink("target", b.path("xattrs/link")))
		b.try(unix.Lsetxattr(b.path("xattrs/link"), "trusted.on-link", []byte("kept"), 0))
	}
}

func (b *builder) xattr(name, attr string, value []byte) {
	b.Helper()
	b.try(unix.Setxattr(b.path(name), attr, value, 0))
}

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// acl is the kernel's form of a POSIX ACL.
func acl(entries ...aclEntry) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.perm)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return out
}

// capability is the kernel's form (revision 2) of permitted file capabilities.
func capability(permitted uint32) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	out = binary.LittleEndian.AppendUint32(out, permitted)
	return append(out, make([]byte, 12)...)
}

func (b *builder) modes() {
	for name, mode := range map[string]uint32{
		"setuid": 0o4755, "setgid": 0o2755, "sticky": 0o1644, "all": 0o7777,
		"read-only": 0o400, "write-only-group": 0o420, "private": 0o600, "exec": 0o111 | 0o400,
	} {
		b.write("modes/"+name, []byte(name))
		b.try(unix.Chmod(b.path("modes/"+name), mode))
	}
	b.write("modes/read-only-dir/inside", []byte("kept"))
	b.xattr("modes/read-only-dir/inside", "user.in", []byte("x"))
	b.try(os.Chmod(b.path("modes/read-only-dir/inside"), 0o400))
	b.try(os.Chmod(b.path("modes/read-only-dir"), 0o555))
	b.mkdir("modes/setgid-dir")
	b.try(unix.Chmod(b.path("modes/setgid-dir"), 0o2775))
	b.mkdir("modes/sticky-dir")
	b.try(unix.Chmod(b.path("modes/sticky-dir"), 0o1777))
	if b.priv {
		b.write("owners/file", []byte("somebody else's"))
		b.write("owners/setuid", []byte("somebody else's program"))
		b.mkdir("owners/dir")
		b.try(os.Symlink("x", b.path("owners/link")))
		for _, name := range []string{"file", "setuid", "dir", "link"} {
			b.try(os.Lchown(b.path("owners/"+name), 12345, 54321))
		}
		b.try(unix.Chmod(b.path("owners/setuid"), 0o6711))
	}
}

func (b *builder) specials() {
	b.mkdir("special")
	b.try(unix.Mkfifo(b.path("special/fifo"), 0o640))
	b.try(unix.Mknod(b.path("special/socket"), unix.S_IFSOCK|0o755, 0))
	b.try(os.Link(b.path("special/fifo"), b.path("special/fifo-again")))
	if b.priv {
		b.try(unix.Mknod(b.path("special/char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		b.try(unix.Mknod(b.path("special/block"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 70000))))
		b.try(unix.Mknod(b.path("special/zero"), unix.S_IFCHR|0o600, 0))
	}
}

func (b *builder) times() {
	for name, ts := range map[string]unix.Timespec{
		"epoch": {}, "one-nanosecond": {Nsec: 1}, "before-1970": {Sec: -1, Nsec: 999_999_999}, "1901": {Sec: -1 << 31},
		"2038": {Sec: 1 << 31}, "2446": {Sec: 15032385535, Nsec: 999_999_999}, "nanoseconds": {Sec: 1_600_000_000, Nsec: 123_456_789},
	} {
		b.write("times/"+name, []byte(name))
		b.mkdir("times/dir-" + name)
		b.write("times/dir-"+name+"/inside", []byte("younger than its directory"))
		b.try(os.Symlink("x", b.path("times/link-"+name)))
		for _, prefix := range []string{"", "dir-", "link-"} {
			both := []unix.Timespec{ts, ts}
			b.try(unix.UtimesNanoAt(unix.AT_FDCWD, b.path("times/"+prefix+name), both, unix.AT_SYMLINK_NOFOLLOW))
		}
	}
	b.try(os.Chtimes(b.path("times"), time.Time{}, time.Unix(981173106, 7)))
}
