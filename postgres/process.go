package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mahavishnu/fault"
)

// process is one of the server's: a program called postgres that works in the data directory.
type process struct {
	pid, parent int
	// frozen: it was stopped by a signal and reads no other but SIGKILL.
	frozen bool
	// doomed: SIGKILL waits for it. It hangs in the kernel, mostly for a dead disk, and
	// will not run another instruction of its own.
	doomed bool
}

const (
	// pollKill is how often it is looked whether processes are gone.
	pollKill = 2 * time.Millisecond
	// killPatience is how long processes that were killed are awaited.
	killPatience = 10 * time.Second
)

// postmasterPID reads the process that the data directory's lock file names, and the state
// that the postmaster wrote there; 0 when there is no file. The number may be stale.
func (s *Server) postmasterPID() (pid int, status string, err error) {
	text, err := os.ReadFile(s.path("postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	return parsePID(string(text))
}

// parsePID reads postmaster.pid. Its lines are pid, directory, start time, port, socket
// directory, address, shared memory key and state; the later ones come as the server starts.
func parsePID(text string) (pid int, status string, err error) {
	lines := strings.Split(text, "\n")
	n, err := strconv.ParseInt(strings.TrimSpace(lines[0]), 10, 32)
	if err != nil {
		if strings.TrimSpace(text) == "" {
			return 0, "", nil // being written just now
		}
		return 0, "", fmt.Errorf("postmaster.pid begins with %q, which is no process", lines[0])
	}
	pid = int(max(n, -n)) // a single-user server writes its own with a minus
	if len(lines) > 7 {
		status = strings.TrimSpace(lines[7])
	}
	return pid, status, nil
}

// postmaster picks the postmaster among the server's processes: the one whom the lock file
// names, or else the one that has children.
func (s *Server) postmaster(all []process) (process, bool) {
	if named, _, err := s.postmasterPID(); err == nil {
		for _, p := range all {
			if p.pid == named {
				return p, true
			}
		}
	}
	for _, p := range all {
		for _, child := range all {
			if child.parent == p.pid {
				return p, true
			}
		}
	}
	return process{}, false
}

// Alive tells whether any process of the server is there that could still do something.
func (s *Server) Alive() (bool, error) {
	all, err := s.processes()
	return len(able(all)) > 0, err
}

// able are the processes that can still do something.
func able(all []process) []process {
	var able []process
	for _, p := range all {
		if !p.doomed {
			able = append(able, p)
		}
	}
	return able
}

// kill ends the server as an immediate shutdown does, and whatever of it does not end in
// the grace that it has by SIGKILL. It returns when nothing of it can do anything any more.
func (s *Server) kill(ctx context.Context) error {
	all, err := s.processes()
	if err != nil {
		return fault.New("stop PostgreSQL in", s.o.DataDir, err, "")
	}
	master, found := s.postmaster(all)
	if found && !master.frozen {
		// A postmaster that hangs may never read it; the processes that are left show it.
		if err := s.signal(master, syscall.SIGQUIT); err != nil {
			return fault.New("stop PostgreSQL in", s.o.DataDir, err, "run the keeper as root or as the owner of the data directory")
		}
		gone, err := s.awaitEnd(ctx, s.o.Grace, nil)
		if err != nil || gone {
			return err
		}
	}
	// The postmaster first, so that it starts nothing in place of what ends.
	_, err = s.awaitEnd(ctx, killPatience, func(all []process) error {
		if master, ok := s.postmaster(all); ok && !master.doomed {
			if err := s.signal(master, syscall.SIGKILL); err != nil {
				return err
			}
		}
		for _, p := range all {
			if err := s.signal(p, syscall.SIGKILL); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// awaitEnd waits until no able process is left, and calls each, which may be nil, with those that are.
// It reports false when they are still there after the patience and each is nil.
func (s *Server) awaitEnd(ctx context.Context, patience time.Duration, each func([]process) error) (bool, error) {
	start := s.clock.Now()
	for {
		all, err := s.processes()
		if err != nil {
			return false, fault.New("stop PostgreSQL in", s.o.DataDir, err, "")
		}
		left := able(all)
		if len(left) == 0 {
			return true, nil
		}
		if each != nil {
			if err := each(left); err != nil {
				return false, fault.New("kill PostgreSQL in", s.o.DataDir, err, "run the keeper as root or as the owner of the data directory")
			}
		}
		if s.clock.Now().Sub(start) > patience {
			if each == nil {
				return false, nil
			}
			return false, fault.New("kill PostgreSQL in", s.o.DataDir, fmt.Errorf("%w: pid %d and %d more", ErrAlive, left[0].pid, len(left)-1),
				"switch the machine off before another server is promoted")
		}
		if err := s.clock.Sleep(ctx, pollKill); err != nil {
			return false, fault.New("kill PostgreSQL in", s.o.DataDir, fmt.Errorf("%w: pid %d and %d more: %w", ErrAlive, left[0].pid, len(left)-1, err),
				"switch the machine off before another server is promoted")
		}
	}
}

// signal sends a signal to a process if it still is the server's. The handle is taken before
// the process is looked at, so that where handles are real (Linux) no other can get the signal.
func (s *Server) signal(p process, sig os.Signal) error {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return nil // it is gone
	}
	defer func() { _ = handle.Release() }()
	if !s.ours(p.pid) {
		return nil
	}
	err = handle.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
