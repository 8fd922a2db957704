package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"mahavishnu/fault"
)

// Finding is the result of one check of a set-up.
type Finding struct {
	// Check names what was looked at: "key ring", "storage".
	Check string `json:"check"`
	// OK reports that nothing is wrong.
	OK bool `json:"ok"`
	// Cause says what is wrong, as a sentence; what was found when OK.
	Cause string `json:"cause"`
	// Fix is the command or the change that mends it; empty when OK.
	Fix string `json:"fix,omitempty"`
}

// leastSpace is the free space below which a disk counts as full: room for a
// few packs, so that a backup in progress can still commit.
const leastSpace = 256 << 20

// Diagnose loads the file at path as [Load] does and checks what it names on
// this machine. The configuration is nil when it is bad; then the only finding
// says why.
func Diagnose(path string, opts ...Option) (*Config, []Finding) {
	c, err := Load(path, opts...)
	if err != nil {
		fix := "edit " + path + ", then run `mahavishnu config check`"
		if hints := fault.Hints(err); len(hints) > 0 {
			fix = hints[0]
		}
		return nil, []Finding{{Check: "configuration", Cause: err.Error(), Fix: fix}}
	}
	return c, c.CheckUp()
}

// CheckUp checks the files and directories that the configuration names on
// this machine. It writes nothing but a probe file, which it removes.
func (c *Config) CheckUp() []Finding {
	from := "no file: the defaults are in force"
	if c.File() != "" {
		from = "read from " + c.File()
	}
	all := []Finding{{Check: "configuration", OK: true, Cause: from}}
	all = append(all, checkKeyRing(c.Backup.Encryption.KeyPath))
	if own := c.Own(); own.Spread == nil {
		if dir, ok := own.directory(); ok {
			all = append(all, checkDirectory("storage", dir, own.Key+".local.path"))
		}
	}
	all = append(all,
		checkDirectory("data directory", c.Node.DataDir, "node.data_dir"),
		checkDirectory("staging", c.Node.StagingDir, "node.staging_dir"))
	for _, name := range c.sourceNames() {
		if s := c.Sources[name]; s.Region == c.Node.Region || s.Region == AnyRegion {
			all = append(all, checkSource(name, s.Path))
		}
	}
	return all
}

// checkKeyRing looks at the file only; whether it is the repository's key is for
// the repository to say.
func checkKeyRing(path string) Finding {
	bad := func(fix, format string, args ...any) Finding {
		return Finding{Check: "key ring", Cause: fmt.Sprintf(format, args...), Fix: fix}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("put your copy of the key ring there, or, before the first backup: mahavishnu key create --key "+path, "there is no key ring at %s", path)
	case err != nil:
		return bad("run as the owner of "+path, "%v", plainly(path, err))
	case !info.Mode().IsRegular():
		return bad("set backup.encryption.key_path to the key ring's file", "%s is not a file", path)
	case tooOpenForKey(info.Mode().Perm()):
		return bad("chmod 600 "+path+", and mahavishnu key rotate --key "+path+" if others may have read it",
			"%s has mode %04o: only its owner may read a key ring", path, info.Mode().Perm())
	}
	f, err := os.Open(path)
	if err != nil {
		return bad("run as the owner of "+path, "%v", plainly(path, err))
	}
	f.Close()
	return Finding{Check: "key ring", OK: true, Cause: path}
}

// checkDirectory tries whether a directory, or the one it would be made in, can
// be written to and has room.
func checkDirectory(check, path, key string) Finding {
	bad := func(fix, format string, args ...any) Finding {
		return Finding{Check: check, Cause: fmt.Sprintf(format, args...), Fix: fix}
	}
	there, found := existing(path)
	info, err := os.Stat(there)
	if err != nil {
		return bad("run as a user who may read "+there, "%v", plainly(there, err))
	}
	if !info.IsDir() {
		return bad("set "+key+" to a directory", "%s is not a directory", there)
	}
	if err := probe(there); err != nil {
		return bad(mendDirectory(path, found, key, err), "%s cannot be written to: %v", there, cause(err))
	}
	if free, known := freeSpace(there); known && free < leastSpace {
		return bad("make room on its disk, or set "+key+" to another one", "%s has only %d MiB free", there, free>>20)
	}
	if !found {
		return Finding{Check: check, OK: true, Cause: path + " will be made when it is needed"}
	}
	return Finding{Check: check, OK: true, Cause: path}
}

// mendDirectory returns what lets a directory be written to, by why it cannot.
func mendDirectory(path string, found bool, key string, err error) string {
	other := ", or set " + key + " to another directory"
	switch {
	case isFull(err):
		return "make room on its disk" + other
	case errors.Is(err, syscall.EROFS):
		return "find the mount with `findmnt -T " + path + "` and make it writable: sudo mount -o remount,rw MOUNT" + other
	case errors.Is(err, syscall.EPERM):
		return "see with `lsattr -d " + path + "` whether it is immutable (sudo chattr -i undoes that)" + other
	case errors.Is(err, fs.ErrPermission) && found:
		return fmt.Sprintf("sudo chown -R $USER %[1]s && chmod -R u+rwX %[1]s%[2]s", path, other)
	case errors.Is(err, fs.ErrPermission):
		return "sudo install -d -o $USER " + path + other
	}
	return "set " + key + " to another directory"
}

// existing returns path, or the nearest directory above it that exists, and
// whether path itself does.
func existing(path string) (there string, found bool) {
	for there = path; ; there = filepath.Dir(there) {
		if _, err := os.Lstat(there); !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there) {
			return there, there == path
		}
	}
}

// probe writes a block into a new file of dir and removes it.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".mahavishnu-probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// cause strips the path from a file system error that names it already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func checkSource(name, path string) Finding {
	check := "source " + name
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Finding{Check: check, Cause: plainly(path, err).Error(), Fix: "mount it, or correct sources." + name + ".path"}
	case !info.IsDir():
		return Finding{Check: check, Cause: path + " is not a directory", Fix: "set sources." + name + ".path to a directory"}
	}
	if _, err := os.ReadDir(path); err != nil {
		return Finding{
			Check: check, Cause: plainly(path, err).Error(),
			Fix: "run as a user who may read " + path + ", or give the process CAP_DAC_READ_SEARCH",
		}
	}
	return Finding{Check: check, OK: true, Cause: path}
}
