package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mahavishnu/fault"
)

// size is that of a disk, in bytes; the file is sparse. A server that is promoted hundreds of times
// keeps nearly 1 GiB of write-ahead log.
const size = 4 << 30

// What the kernel calls freezing and thawing a file system, of linux/fs.h.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// Disk is a file system in a file. The loop device goes with the mount.
type Disk struct {
	at  string   // where it is mounted
	top *os.File // keeps a hold of it while nothing can be opened
}

// Mount makes a disk in the file, in place of what that held, and mounts it at a directory, which
// it makes. It takes the rights of root.
func Mount(file, at string) (*Disk, error) {
	err := os.MkdirAll(at, 0o755)
	if err == nil {
		err = makeSparse(file)
	}
	if err == nil {
		err = command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", file)
	}
	if err == nil {
		err = command("mount", "-o", "loop,noatime", file, at)
	}
	if err != nil {
		return nil, fault.New("make a disk in", file, err, "see that loop devices are there: losetup --find")
	}
	d := &Disk{at: at}
	if d.top, err = os.Open(at); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func makeSparse(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // what is half mounted is worse than late
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return nil
}

// Stall lets everybody hang who writes to the disk, until it is thawed.
func (d *Disk) Stall() error {
	if err := unix.IoctlSetInt(int(d.top.Fd()), fiFreeze, 0); err != nil {
		return fault.New("freeze", d.at, err, "")
	}
	return nil
}

// Thaw lets them go on. A disk that is not frozen is fine.
func (d *Disk) Thaw() error {
	err := unix.IoctlSetInt(int(d.top.Fd()), fiThaw, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fault.New("thaw", d.at, err, "run: fsfreeze --unfreeze "+d.at)
	}
	return nil
}

// Close unmounts the disk, which detaches its loop device. One that is frozen is thawed.
func (d *Disk) Close() error {
	var errs []error
	if d.top != nil {
		errs = append(errs, d.Thaw(), d.top.Close())
	}
	err := unix.Unmount(d.at, 0)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(d.at, unix.MNT_DETACH) // it goes when the last process does
	}
	if err != nil {
		errs = append(errs, fault.New("unmount", d.at, err, "end what uses it, and run: umount "+d.at))
	}
	return errors.Join(errs...)
}
