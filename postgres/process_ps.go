//go:build !linux && !windows

package postgres

import (
	"context"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// psPatience bounds one run of ps.
const psPatience = 2 * time.Second

// processes returns the postmaster that the lock file names, if it runs postgres, and its children.
func (s *Server) processes() ([]process, error) {
	master, _, err := s.postmasterPID()
	if err != nil || master == 0 {
		return nil, err
	}
	listed, err := list()
	if err != nil {
		return nil, err
	}
	var found []process
	for _, p := range listed {
		if p.pid == master || p.parent == master {
			found = append(found, p)
		}
	}
	return found, nil
}

func (s *Server) ours(pid int) bool {
	all, err := s.processes()
	if err != nil {
		return false
	}
	for _, p := range all {
		if p.pid == pid {
			return true
		}
	}
	return false
}

// list returns all processes that run postgres.
func list() ([]process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), psPatience)
	defer cancel()
	text, err := exec.CommandContext(ctx, "ps", "-axo", "pid=,ppid=,stat=,comm=").Output()
	if err != nil {
		return nil, err
	}
	var found []process
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 4 || path.Base(f[3]) != "postgres" || strings.HasPrefix(f[2], "Z") {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		parent, err := strconv.Atoi(f[1])
		if err != nil {
			continue
		}
		found = append(found, process{pid: pid, parent: parent, frozen: strings.HasPrefix(f[2], "T")})
	}
	return found, nil
}
