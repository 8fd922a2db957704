package keeper

import (
	"io"
	"time"

	"mahavishnu/clock"
)

const (
	// tellerLines is how many lines wait to be written; what comes then is not said.
	tellerLines = 16
	// tellerTexts is how many different lines are remembered as said.
	tellerTexts = 64
	// tellerTime is how long the last lines may take to be written.
	tellerTime = time.Second
)

// teller says every line once, and never waits for whom it tells: that may be a pipe that
// nobody reads, and a watchdog has a member to stop.
type teller struct {
	lines chan string
	done  chan struct{}
	said  map[string]bool
}

func newTeller(to io.Writer) *teller {
	t := &teller{lines: make(chan string, tellerLines), done: make(chan struct{}), said: map[string]bool{}}
	go func() {
		defer close(t.done)
		for line := range t.lines {
			_, _ = io.WriteString(to, "watchdog: "+line+"\n") // nobody is left to hear that it cannot be said
		}
	}()
	return t
}

func (t *teller) say(line string) {
	if t.said[line] {
		return
	}
	if len(t.said) >= tellerTexts {
		clear(t.said)
	}
	t.said[line] = true
	select {
	case t.lines <- line:
	default:
	}
}

// close waits a moment for what is not written yet.
func (t *teller) close(c clock.Clock) {
	close(t.lines)
	timer := c.NewTimer(tellerTime)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C():
	}
}
