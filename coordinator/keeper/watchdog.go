package keeper

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// word is a line that a keeper writes to its watchdog.
type word struct {
	// Spec is the member's, in the first line.
	Spec *standby.Spec `json:"spec,omitempty"`
	// Epoch is the tenure's; 0 in a word that says that the member takes no writes.
	Epoch uint64 `json:"epoch,omitempty"`
	// Until is when the member is to be stopped, in nanoseconds of the clock that both
	// processes read (see ticks).
	Until int64 `json:"until,omitempty"`
}

// dog is a watchdog in a process of its own.
type dog struct {
	cmd  *exec.Cmd
	to   *os.File
	gone chan struct{}

	mu sync.Mutex
}

// StartWatchdog runs a program, which calls [Watch], and tells it which member it watches. The
// program's standard error goes to log; what it says when this process is gone arrives only if
// that is a file, as os.Stderr is.
func StartWatchdog(argv []string, spec standby.Spec, log io.Writer) (Watchdog, error) {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it must outlive this process, and ends by itself when that does
	cmd.Stderr = log
	apart(cmd)
	from, to, err := os.Pipe() // only this process holds the end that is written to
	if err != nil {
		return nil, fault.New("start the watchdog", argv[0], err, "")
	}
	cmd.Stdin = from
	err = cmd.Start()
	if cerr := from.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, errors.Join(fault.New("start the watchdog", argv[0], err, ""), to.Close())
	}
	d := &dog{cmd: cmd, to: to, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // that it ended is what counts
		close(d.gone)
	}()
	if err := d.say(word{Spec: &spec}); err != nil {
		return nil, errors.Join(fault.New("start the watchdog", argv[0], err, ""), d.Close())
	}
	return d, nil
}

func (d *dog) say(w word) error {
	line, err := json.Marshal(w)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// A watchdog that does not read for a while must not stop the keeper: a pipe takes
	// thousands of words, and what does not fit any more ends it.
	if err := d.to.SetWriteDeadline(clock.System().Now().Add(sayTime)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return err
	}
	_, err = d.to.Write(append(line, '\n'))
	return err
}

// sayTime bounds one write to a watchdog.
const sayTime = 50 * time.Millisecond

func (d *dog) Arm(epoch uint64, left time.Duration) error {
	return d.say(word{Epoch: epoch, Until: ticks() + int64(left)})
}

func (d *dog) Disarm() error { return d.say(word{}) }

func (d *dog) Gone() <-chan struct{} { return d.gone }

func (d *dog) Close() error {
	err := d.to.Close()
	<-d.gone
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
