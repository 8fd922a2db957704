package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
// program's standard error goes to log.
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

// Watch is the watchdog's side: it reads a keeper's words and stops the member when the
// keeper's time is up, or when the keeper is gone while the member may take writes. It returns
// when the keeper is gone and the member is stopped.
func Watch(ctx context.Context, from io.Reader, open func(standby.Spec) (standby.Driver, error), clk clock.Clock) error {
	words := make(chan word)
	ended := make(chan error, 1)
	go func() { ended <- listen(from, words) }()
	var first word
	select {
	case first = <-words:
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if first.Spec == nil {
		return fault.New("watch", "", errors.New("the first line does not say what"), "this command is started by a keeper, not by people")
	}
	driver, err := open(*first.Spec)
	if err != nil {
		return err
	}
	w := &watcher{driver: driver, clock: clock.Or(clk)}
	return w.run(ctx, words, ended)
}

func listen(from io.Reader, words chan<- word) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var w word
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			return fault.New("watch", "", fmt.Errorf("a word that is none: %w", err), "")
		}
		words <- w
	}
	return lines.Err()
}

// watcher stops a member unless it is told otherwise in time.
type watcher struct {
	driver standby.Driver
	clock  clock.Clock
	epoch  uint64
	until  int64
	armed  bool
}

const (
	// longestNap is after how long the watchdog looks at the clock again: a timer counts no time
	// that the machine was suspended.
	longestNap = 50 * time.Millisecond
	// biteTime bounds one attempt to stop the member.
	biteTime = 5 * time.Second
)

func (w *watcher) run(ctx context.Context, words <-chan word, ended <-chan error) error {
	timer := w.clock.NewTimer(longestNap)
	defer timer.Stop()
	for {
		select {
		case said := <-words:
			w.armed, w.epoch, w.until = said.Epoch != 0, said.Epoch, said.Until
		case err := <-ended:
			for w.armed { // there is nobody left to hear of an error
				if w.bite(ctx) != nil {
					if serr := w.clock.Sleep(ctx, longestNap); serr != nil {
						return serr
					}
				}
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C():
		}
		if w.armed && ticks() >= w.until {
			_ = w.bite(ctx) // tried again in a moment
		}
		timer.Reset(longestNap)
	}
}

// bite tries once to stop the member.
func (w *watcher) bite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, biteTime)
	defer cancel()
	err := w.driver.Fence(ctx, w.epoch)
	if errors.Is(err, standby.ErrStale) {
		err = nil // a later tenure began, which has its own watchdog
	}
	w.armed = err != nil
	return err
}
