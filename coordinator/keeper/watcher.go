package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// Watch is the watchdog's side: it reads a keeper's words and stops the member when the
// keeper's time is up, or when the keeper is gone while the member may take writes. It returns
// when the keeper is gone and the member is stopped. A member that resists it tries to stop for
// ever, and says to log why it cannot, each reason once. The caller sees to it that a log that
// nobody reads any more does not end the process (SIGPIPE).
func Watch(ctx context.Context, from io.Reader, log io.Writer, open func(standby.Spec) (standby.Driver, error), clk clock.Clock) error {
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
	w := &watcher{driver: driver, clock: clock.Or(clk), teller: newTeller(log)}
	defer w.teller.close(w.clock)
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
	teller *teller
	epoch  uint64
	until  int64
	armed  bool

	// attempts that failed since the last word; the next is made at again, pause after the last.
	attempts int
	pause    time.Duration
	again    time.Time
}

const (
	// longestNap is after how long the watchdog looks at the clock again: a timer counts no time
	// that the machine was suspended.
	longestNap = 50 * time.Millisecond
	// biteTime bounds one attempt to stop the member.
	biteTime = 5 * time.Second
	// firstPause is how long it waits after the first attempt that fails; each pause is twice the
	// one before. What passes by itself (a server that is busy, a process just starting) is over after a
	// few of them, one and a half seconds in all.
	firstPause = longestNap
	// longestPause bounds that. A member that can be stopped again takes writes beside its
	// successor for no longer than this; starting one program a second costs a machine nothing.
	longestPause = time.Second
)

func (w *watcher) run(ctx context.Context, words <-chan word, ended <-chan error) error {
	timer := w.clock.NewTimer(longestNap)
	defer timer.Stop()
	var gone bool // the keeper
	var end error
	for {
		select {
		case said := <-words:
			w.armed, w.epoch, w.until = said.Epoch != 0, said.Epoch, said.Until
			w.attempts, w.pause, w.again = 0, 0, time.Time{}
		case end = <-ended:
			gone, ended = true, nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C():
		}
		if w.armed && (gone || ticks() >= w.until) && !w.clock.Now().Before(w.again) {
			w.bite(ctx)
		}
		if gone && !w.armed {
			return end
		}
		timer.Reset(longestNap)
	}
}

// bite tries once to stop the member.
func (w *watcher) bite(ctx context.Context) {
	attempt, cancel := context.WithTimeout(ctx, biteTime)
	defer cancel()
	err := w.driver.Fence(attempt, w.epoch)
	if errors.Is(err, standby.ErrStale) || errors.Is(err, standby.ErrUndelivered) {
		// A later tenure began, which has its own watchdog; or there is no member, and one that is
		// started takes no writes before a keeper promotes it.
		err = nil
	}
	w.armed = err != nil
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.attempts++
		w.pause = min(max(2*w.pause, firstPause), longestPause)
		w.again = w.clock.Now().Add(w.pause)
		w.teller.say(fmt.Sprintf("cannot stop a member whose time in epoch %d is over, and goes on trying: %v", w.epoch, err))
	case w.attempts > 0:
		w.teller.say(fmt.Sprintf("the member is stopped, after %d attempts that failed", w.attempts))
	}
}
