package failover

import (
	"io"
	"os/exec"

	"mahavishnu/fault"
)

// sweeper is a shell that takes a system away when this process is gone before it could:
// it thaws disks, ends processes, unmounts and removes.
type sweeper struct {
	cmd *exec.Cmd
	// stdin is closed with this process.
	stdin io.Closer
}

const sweep = `read _
for d in "$0"/*/disk; do fsfreeze -u "$d"; done 2>/dev/null
for p in /proc/[0-9]*; do
  if tr '\0' '\n' <"$p/environ" | grep -qxF "` + marker + `=$0"; then kill -9 "${p#/proc/}"; continue; fi
  case "$(readlink "$p/cwd")" in "$0"/*/disk/pg) kill -9 "${p#/proc/}";; esac
done 2>/dev/null
sleep 1
for d in "$0"/*/disk; do umount "$d" || umount -l "$d"; done 2>/dev/null
rm -rf "$0"`

// startSweeper is called before anything is made that would have to be swept.
func startSweeper(dir string) (*sweeper, error) {
	s := &sweeper{cmd: exec.Command("sh", "-c", sweep, dir)} //nolint:noctx // it outlives this process
	apart(s.cmd)
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fault.New("see to it that nothing is left of", dir, err, "")
	}
	return s, nil
}

// dismiss ends it: everything has been taken away.
func (s *sweeper) dismiss() {
	_ = s.cmd.Process.Kill() // it waits, and has nothing to lose
	_ = s.cmd.Wait()         // killed is an error
	_ = s.stdin.Close()      // of a process that is gone
}
