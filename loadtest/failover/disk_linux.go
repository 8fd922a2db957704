package failover

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mahavishnu/fault"
)

// diskSize is that of a machine's disk, in bytes; the file is sparse.
const diskSize = 1 << 30

// What the kernel calls freezing and thawing a file system, of linux/fs.h.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// disk is a file system in a file. The loop device goes with the mount.
type disk struct {
	at  string   // where it is mounted
	top *os.File // keeps a hold of it while nothing can be opened
}

// mountDisk makes a disk in the file and mounts it.
func mountDisk(file, at string) (*disk, error) {
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
	d := &disk{at: at}
	if d.top, err = os.Open(at); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func makeSparse(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(diskSize), f.Close())
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // what is half mounted is worse than late
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return nil
}

// stall lets everybody hang who writes to the disk.
func (d *disk) stall() error {
	if err := unix.IoctlSetInt(int(d.top.Fd()), fiFreeze, 0); err != nil {
		return fault.New("freeze", d.at, err, "")
	}
	return nil
}

// thaw lets them go on. A disk that is not frozen is fine.
func (d *disk) thaw() error {
	err := unix.IoctlSetInt(int(d.top.Fd()), fiThaw, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fault.New("thaw", d.at, err, "run: fsfreeze --unfreeze "+d.at)
	}
	return nil
}

// close unmounts the disk, which detaches its loop device.
func (d *disk) close() error {
	var errs []error
	if d.top != nil {
		errs = append(errs, d.thaw(), d.top.Close())
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
