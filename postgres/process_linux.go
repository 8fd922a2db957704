package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pendingKill is SIGKILL in the masks of /proc/PID/status, whose lowest bit is signal 1.
const pendingKill = 1 << (int(syscall.SIGKILL) - 1)

// processes returns the server's processes, in no order. Those of which only the
// exit status is left (zombies) are not among them.
func (s *Server) processes() ([]process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := proc.Readdirnames(-1)
	proc.Close()
	if err != nil {
		return nil, err
	}
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || !s.ours(pid) {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", name, "status"))
		if err != nil {
			continue // it ended just now
		}
		p, dead := parseStatus(string(status))
		if !dead {
			p.pid = pid
			found = append(found, p)
		}
	}
	return found, nil
}

// ours tells whether a process is the server's: it runs postgres in the data
// directory, where the postmaster goes as it starts and its children stay. What belongs to a
// process that is gone cannot be read.
func (s *Server) ours(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	program, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return false // it ends, and has let go of its memory already
	}
	switch filepath.Base(strings.TrimSuffix(program, " (deleted)")) {
	case "postgres", "postmaster":
	default:
		return false
	}
	where, err := os.Readlink(filepath.Join(dir, "cwd"))
	return err == nil && strings.TrimSuffix(where, " (deleted)") == s.o.DataDir
}

// parseStatus reads /proc/PID/status.
func parseStatus(text string) (p process, dead bool) {
	var waits, killed bool
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "State":
			switch {
			case strings.HasPrefix(value, "Z"), strings.HasPrefix(value, "X"):
				dead = true
			case strings.HasPrefix(value, "T"):
				p.frozen = true
			case strings.HasPrefix(value, "D"):
				waits = true
			}
		case "PPid":
			p.parent, _ = strconv.Atoi(value) // 0, nobody's child, when it is no number
		case "SigPnd", "ShdPnd":
			mask, err := strconv.ParseUint(value, 16, 64)
			killed = killed || err == nil && mask&pendingKill != 0
		}
	}
	// One that is not in the kernel may run on another processor for a moment.
	p.doomed = waits && killed
	return p, dead
}
