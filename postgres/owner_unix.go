//go:build !windows

package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is who the server runs as.
type owner struct {
	uid, gid uint32
	groups   []uint32
	home     string
	// switches says that this process is somebody else, who may become the owner.
	switches bool
}

// owner finds out who the server runs as: this process's user, or as root the one that was
// named or whom the data directory belongs to. PostgreSQL refuses to run as root.
func (s *Server) owner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	name, uid := s.o.RunAs, ""
	if name == "" {
		info, err := os.Stat(s.o.DataDir)
		if errors.Is(err, os.ErrNotExist) {
			info, err = os.Stat(filepath.Dir(s.o.DataDir))
		}
		if err != nil {
			return owner{}, err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid == 0 {
			return owner{}, fmt.Errorf("%s belongs to root, as whom PostgreSQL does not run: say which user it runs as (run_as)", s.o.DataDir)
		}
		uid = strconv.FormatUint(uint64(st.Uid), 10)
	}
	return lookUp(name, uid)
}

func lookUp(name, uid string) (owner, error) {
	var u *user.User
	var err error
	if name != "" {
		u, err = user.Lookup(name)
	} else if u, err = user.LookupId(uid); err != nil {
		// Containers run as numbers that no file names.
		id, perr := strconv.ParseUint(uid, 10, 32)
		return owner{uid: uint32(id), gid: uint32(id), switches: true}, perr
	}
	if err != nil {
		return owner{}, err
	}
	o := owner{home: u.HomeDir, switches: true}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return owner{}, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return owner{}, err
	}
	o.uid, o.gid = uint32(id), uint32(group)
	if ids, err := u.GroupIds(); err == nil { // only a certificate's group could be missed
		for _, text := range ids {
			if id, err := strconv.ParseUint(text, 10, 32); err == nil {
				o.groups = append(o.groups, uint32(id))
			}
		}
	}
	return o, nil
}

// become makes a program run as the owner, out of reach of the signals that a terminal
// sends to this process's group.
func (o owner) become(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.switches {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: o.groups}
		if o.home != "" {
			cmd.Env = append(cmd.Env, "HOME="+o.home)
		}
	}
}

// give makes a file that this process created the owner's.
func (o owner) give(f *os.File) error {
	if !o.switches {
		return nil
	}
	return f.Chown(int(o.uid), int(o.gid))
}
