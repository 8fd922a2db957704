package lease

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// self describes this process, or returns nil where that cannot be told for sure.
func self() *Process {
	boot := bootID()
	space, err := os.Readlink("/proc/self/ns/pid")
	if boot == "" || err != nil {
		return nil
	}
	started, _, err := readStat("self")
	if err != nil {
		return nil
	}
	clocks, _ := os.Readlink("/proc/self/ns/time") // "" before Linux 5.6, which has one for all
	return &Process{Boot: boot, Space: space, Clocks: clocks, PID: os.Getpid(), Start: started}
}

// bootID names this run of this machine's kernel. The machine id is not told as
// it is; where there is none, the boot id serves alone: it is random.
func bootID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(bytes.TrimSpace(boot)) < 32 {
		return ""
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine, _ = os.ReadFile("/var/lib/dbus/machine-id")
	}
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "mahavishnu boot\n%s\n%s\n%s\n", bytes.TrimSpace(machine), bytes.TrimSpace(boot), host))
	return hex.EncodeToString(sum[:16])
}

// gone tells whether a process has ended, for sure. False may also mean that it
// cannot be told.
func (p *Process) gone() bool {
	me := self()
	if !p.here(me) {
		return false
	}
	// A signal that is none asks the kernel by number, whatever of /proc this user
	// may see.
	err := syscall.Kill(p.PID, 0)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return true
	case err != nil && !errors.Is(err, syscall.EPERM):
		return false
	}
	// Some process has the number: the same, or one that got it since.
	if p.Clocks != me.Clocks || !ownProc(me.PID) {
		return false
	}
	started, ended, err := readStat(strconv.Itoa(p.PID))
	return err == nil && (ended || started != p.Start)
}

// ownProc tells whether /proc counts processes as this one is counted. Another
// space's may be mounted there; then this process has a number in each.
func ownProc(pid int) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return strings.TrimSpace(numbers) == strconv.Itoa(pid)
		}
	}
	return false
}

// readStat reads when a process started, and whether all of it has ended and is
// only waiting for its parent to ask how.
func readStat(pid string) (started uint64, ended bool, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, false, err
	}
	return parseStat(text)
}

// Fields of /proc/<pid>/stat after the name, which is in brackets and may hold
// anything: proc(5) counts the state as the third.
const (
	statState   = 0 // the third
	statThreads = 20 - 3
	statStart   = 22 - 3
)

func parseStat(text []byte) (started uint64, ended bool, err error) {
	at := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[at+1:]))
	if at < 0 || len(fields) <= statStart {
		return 0, false, errors.New("not what the system tells of a process")
	}
	started, startErr := strconv.ParseUint(fields[statStart], 10, 64)
	threads, threadsErr := strconv.Atoi(fields[statThreads])
	if err := errors.Join(startErr, threadsErr); err != nil {
		return 0, false, err
	}
	// Its first thread may have ended while others go on.
	ended = (fields[statState] == "Z" || fields[statState] == "X") && threads <= 1
	return started, ended, nil
}
