package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"mahavishnu/durable"
)

// program is the file name of one of PostgreSQL's programs.
func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

const (
	// reapAfter is how long a program that was killed may keep its pipes open.
	reapAfter = 5 * time.Second
	// saidMax is how much of what a program printed an error quotes, in bytes.
	saidMax = 2 << 10
)

// run runs one of PostgreSQL's programs as the server's owner and returns what it printed.
// The messages are in English, because some of them are read.
func (s *Server) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.o.BinDir, program(name)), args...)
	cmd.Env = append(environment(), "LC_ALL=C")
	return s.finish(ctx, cmd, name)
}

func (s *Server) finish(ctx context.Context, cmd *exec.Cmd, name string) (string, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.Dir = string(filepath.Separator)
	cmd.WaitDelay = reapAfter
	who, err := s.owner()
	if err != nil {
		return "", err
	}
	who.become(cmd)
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		said := strings.TrimSpace(complaints.String())
		if said == "" {
			said = strings.TrimSpace(out.String())
		}
		return out.String(), &toolError{program: name, err: err, said: tail(said, saidMax)}
	}
	return out.String() + complaints.String(), nil
}

// toolError is a program that failed, with its own words.
type toolError struct {
	program string
	err     error
	said    string
}

func (e *toolError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s: %v", e.program, e.err)
	}
	return fmt.Sprintf("%s: %v: %s", e.program, e.err, strings.ReplaceAll(e.said, "\n", " | "))
}

func (e *toolError) Unwrap() error { return e.err }

// environment is this process's without what changes PostgreSQL's programs.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			env = append(env, v)
		}
	}
	return env
}

// tail returns the end of a text, whole lines where it can.
func tail(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = text[len(text)-most:]
	if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
		return rest
	}
	return text
}

// put writes a file of the data directory so that it is whole and lasting when put
// returns, and belongs to the server's owner.
func (s *Server) put(name string, data []byte) error {
	who, err := s.owner()
	if err != nil {
		return err
	}
	return putFile(s.path(name), data, who)
}

func putFile(path string, data []byte, who owner) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = who.give(tmp)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return durable.SyncDir(dir)
}

func (s *Server) has(name string) bool {
	_, err := os.Lstat(s.path(name))
	return err == nil
}
