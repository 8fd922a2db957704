//go:build unix

package worker

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/messages"
)

// TestPausedWorkerCommitsNothing stops a worker for longer than its lease. The
// job is finished by another; the first, continued, must not commit it again,
// must not disturb the message, and must go on working.
func TestPausedWorkerCommitsNothing(t *testing.T) {
	r := newRig(t, 3*time.Second)
	zombie := r.process("zombie")
	id := r.submit("hold")
	// The work begins while the event is on its way; the stop must not overtake that.
	r.eventually("the job began", func() bool { return zombie.has("began "+id) && len(r.events(id)) == 1 })
	if err := zombie.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// A busy machine stops its threads some time later.
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(zombie.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it is not stopped: %v, %v", status, err)
	}
	fmt.Fprintln(zombie.in, "go on") // it reads this when it wakes up
	other := r.process("other")
	r.eventually("another worker took it over", func() bool { return other.has("began " + id) })

	// The zombie wakes up while the other has the job.
	if err := zombie.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.eventually("the zombie is fenced", func() bool { return zombie.has("fenced " + id) })
	fmt.Fprintln(other.in, "go on")
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if string(e.Result) != `"other"` || e.Attempt != 2 {
		t.Errorf("result %s of attempt %d", e.Result, e.Attempt)
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 started/2 succeeded/2" {
		t.Errorf("events %s", got)
	}
	if zombie.has("committed " + id) {
		t.Error("the zombie committed")
	}
	other.Process.Kill()
	next := r.submit("home")
	r.eventually("the former zombie does the next job", func() bool { return zombie.has("committed " + next) })
	if err := zombie.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-zombie.done
}
