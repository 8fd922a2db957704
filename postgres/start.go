package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mahavishnu/fault"
)

// pollState is how often a start, a stop or a promotion is looked at.
const pollState = 10 * time.Millisecond

// appears is how long the postmaster may take to write its lock file.
const appears = 10 * time.Second

// Start starts the server as a standby, whatever it was, and returns when it answers
// queries or, if those are switched off, when it replays. A server that runs is left alone.
func (s *Server) Start(ctx context.Context) error {
	if s.halfRewound() {
		return fault.New("start PostgreSQL in", s.o.DataDir, errors.New("a rewind was cut off in it"), "rejoin it: it is copied anew")
	}
	all, err := s.processes()
	if err != nil {
		return fault.New("start PostgreSQL in", s.o.DataDir, err, "")
	}
	if _, running := s.postmaster(all); !running {
		if len(all) > 0 { // orphans would hold the shared memory
			if err := s.kill(ctx); err != nil {
				return err
			}
		}
		if err := s.clearLock(); err != nil {
			return err
		}
		if err := s.guard(); err != nil {
			return err
		}
		if _, err := s.run(ctx, "pg_ctl", "start", "-W", "-s", "-D", s.o.DataDir, "-l", s.o.LogFile, "-o", s.commandLine()); err != nil {
			return fault.New("start PostgreSQL in", s.o.DataDir, err, "")
		}
	}
	return s.awaitStart(ctx)
}

// clearLock removes the lock file of a server that is gone when its number still names some
// process: another program, or one that ended and that its parent has not asked about, as happens
// in containers. PostgreSQL would take it for a server that runs.
func (s *Server) clearLock() error {
	pid, _, err := s.postmasterPID()
	if err != nil || pid == 0 {
		return nil // PostgreSQL says what is wrong with the file
	}
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil // nothing has that number
	}
	defer func() { _ = handle.Release() }()
	if err := handle.Signal(syscall.Signal(0)); err != nil || s.ours(pid) {
		return nil // nothing has that number: PostgreSQL looks for what else may be left
	}
	if err := os.Remove(s.path("postmaster.pid")); err != nil {
		return fault.New("start PostgreSQL in", s.o.DataDir, err, "")
	}
	return nil
}

// commandLine are the settings that nobody may change while the server runs.
func (s *Server) commandLine() string {
	settings := map[string]string{"port": strconv.Itoa(s.o.Port), "hot_standby": "on"}
	maps.Copy(settings, s.o.Settings)
	// After a backend crashed, the postmaster would start over without asking anybody.
	settings["restart_after_crash"] = "off"
	var words []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		// pg_ctl hands the line to a shell.
		words = append(words, "-c", name+"='"+strings.ReplaceAll(settings[name], "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// awaitStart waits until the postmaster says that it serves.
func (s *Server) awaitStart(ctx context.Context) error {
	began := s.clock.Now()
	seen := false
	for {
		pid, status, err := s.postmasterPID()
		if err != nil {
			return fault.New("start PostgreSQL in", s.o.DataDir, err, "")
		}
		alive := pid > 0 && s.ours(pid)
		switch {
		case alive && (status == "ready" || status == "standby"):
			return nil
		case !alive && (seen || s.clock.Now().Sub(began) > appears):
			return fault.New("start PostgreSQL in", s.o.DataDir, fmt.Errorf("it ended: %s", s.lastWords()), "the whole log is "+s.o.LogFile)
		}
		seen = seen || alive
		if err := s.clock.Sleep(ctx, pollState); err != nil {
			return fault.New("start PostgreSQL in", s.o.DataDir, fmt.Errorf("it does not serve yet: %w: %s", err, s.lastWords()), "the whole log is "+s.o.LogFile)
		}
	}
}

// lastWords is the end of what the server printed.
func (s *Server) lastWords() string {
	f, err := os.Open(s.o.LogFile)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(info.Size()-saidMax, 0)
	text := make([]byte, info.Size()-from)
	n, err := f.ReadAt(text, from)
	if n == 0 && err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	if len(lines) > lastLines {
		lines = lines[len(lines)-lastLines:]
	}
	return strings.Join(lines, " | ")
}

// lastLines is how many lines of the log an error quotes.
const lastLines = 6
