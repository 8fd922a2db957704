// Package sandbox makes PostgreSQL servers that may be hurt: data directories that come
// with as little as possible, signals to all processes of a server at once, and clients
// that count what was acknowledged. Tests and measurements stand on it; nothing that
// runs in earnest does.
//
// As root, servers run as the user postgres, because PostgreSQL refuses root.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"mahavishnu/fault"
)

// BinDir returns where the programs of PostgreSQL are.
func BinDir() (string, error) {
	if path, err := exec.LookPath("pg_controldata"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(real) == "pg_controldata" {
			return filepath.Dir(real), nil
		}
	}
	// Debian keeps versions side by side and none of them on the path.
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_controldata")
	if err != nil || len(found) == 0 {
		return "", fault.New("find", "PostgreSQL", errors.Join(errors.New("its programs are not there"), err), "install it: .ci/packages does")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// Init makes a data directory whose superuser is postgres and trusts every address of
// this machine. What is in it when this returns need not be on the disk.
func Init(ctx context.Context, binDir, dir string) error {
	return Run(ctx, filepath.Dir(dir), filepath.Join(binDir, "initdb"),
		"-D", dir, "-U", "postgres", "-A", "trust", "-k", "--no-sync", "--no-instructions", "-E", "UTF8", "--no-locale", "--wal-segsize=4")
}

// Run runs a program as the servers' owner, in a directory.
func Run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if err := become(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fault.New("run", name, fmt.Errorf("%w\n%s", err, out), "")
	}
	return nil
}

// Append adds to a file of a data directory.
func Append(dir, name, text string) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

// Postmaster returns the first process of the server of a data directory, 0 when there
// is none.
func Postmaster(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || workingDir(pid) != dir {
		return 0
	}
	return pid
}

// Processes returns all processes of the server of a data directory that run a program;
// those that are just ending do not. The directory is named without symbolic links.
func Processes(dir string) ([]int, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil || workingDir(pid) != dir {
			continue
		}
		if _, err := os.Readlink(filepath.Join("/proc", n.Name(), "exe")); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func workingDir(pid int) string {
	dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return ""
	}
	return dir
}

// Kill ends the postmaster with SIGKILL, as a program that went wrong would; its
// children follow.
func Kill(dir string) {
	if pid := Postmaster(dir); pid != 0 {
		signal(pid, syscall.SIGKILL)
	}
}

// KillAll ends every process of the server with SIGKILL.
func KillAll(dir string) error {
	Kill(dir) // first, so that it starts no more
	return each(dir, syscall.SIGKILL)
}

// FreezePostmaster stops only the first process: open connections go on.
func FreezePostmaster(dir string) {
	if pid := Postmaster(dir); pid != 0 {
		Freeze(pid)
	}
}

// FreezeAll stops all of the server's processes, which stay where they are.
func FreezeAll(dir string) error {
	FreezePostmaster(dir) // first, so that it starts no more
	pids, err := Processes(dir)
	for _, pid := range pids {
		Freeze(pid)
	}
	return err
}

// ThawAll lets what was frozen go on.
func ThawAll(dir string) error {
	pids, err := Processes(dir)
	for _, pid := range pids {
		Thaw(pid)
	}
	return err
}

func each(dir string, s syscall.Signal) error {
	pids, err := Processes(dir)
	for _, pid := range pids {
		signal(pid, s)
	}
	return err
}
