package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
)

// resisting is a member that is stopped by the attempt after the given errors.
type resisting struct {
	standby.Driver
	errs  []error
	epoch uint64
	tried []time.Time
}

func (r *resisting) Fence(_ context.Context, epoch uint64) error {
	r.epoch = epoch
	r.tried = append(r.tried, time.Now())
	if n := len(r.tried); n <= len(r.errs) {
		return r.errs[n-1]
	}
	return nil
}

// watchGone is Watch for a keeper that began a tenure and is gone.
func watchGone(t *testing.T, m standby.Driver, log io.Writer) {
	t.Helper()
	words := `{"spec":{}}` + "\n" + `{"epoch":3,"until":9223372036854775807}` + "\n"
	err := keeper.Watch(t.Context(), strings.NewReader(words), log, func(standby.Spec) (standby.Driver, error) { return m, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func again(err error, n int) []error { return slices.Repeat([]error{err}, n) }

// TestWatchTriesAgain lets a member resist: it must be stopped however long that takes, without
// a program started many times a second, and every reason is said once.
func TestWatchTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy, lost := errors.New("it is busy"), errors.New("no such program")
		m := &resisting{errs: slices.Concat(again(busy, 6), again(lost, 500), again(busy, 3))}
		var log bytes.Buffer
		watchGone(t, m, &log)
		if m.epoch != 3 || len(m.tried) != 510 {
			t.Errorf("stopped under epoch %d at attempt %d", m.epoch, len(m.tried))
		}
		want := []time.Duration{50, 100, 200, 400, 800, 1000, 1000, 1000}
		for i, pause := range want {
			if got := m.tried[i+1].Sub(m.tried[i]); got != pause*time.Millisecond {
				t.Errorf("attempt %d came %v after the one before, want %v", i+2, got, pause*time.Millisecond)
			}
		}
		for i := len(want); i+1 < len(m.tried); i++ {
			if got := m.tried[i+1].Sub(m.tried[i]); got != time.Second {
				t.Fatalf("attempt %d came %v after the one before, want 1s", i+2, got)
			}
		}
		said := log.String()
		for _, text := range []string{busy.Error(), lost.Error(), "stopped, after 509 attempts"} {
			if strings.Count(said, text) != 1 {
				t.Errorf("%q is not said once:\n%s", text, said)
			}
		}
		if lines := strings.Count(said, "\n"); lines != 3 {
			t.Errorf("%d lines:\n%s", lines, said)
		}
	})
}

// A member that is stopped at once is nothing to talk about.
func TestWatchSaysNothingOfWhatItCan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, errs := range [][]error{nil, {fmt.Errorf("fence: %w", standby.ErrStale)}} {
			var log bytes.Buffer
			m := &resisting{errs: errs}
			watchGone(t, m, &log)
			if len(m.tried) != 1 || log.Len() > 0 {
				t.Errorf("%d attempts: %s", len(m.tried), log.String())
			}
		}
	})
}

// unread is a pipe that nobody reads.
type unread struct{ context.Context }

func (u unread) Write([]byte) (int, error) {
	<-u.Done()
	return 0, u.Err()
}

// A log that takes nothing must not keep the watchdog from its work.
func TestWatchDoesNotWaitForItsLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		for n := range 200 {
			errs = append(errs, fmt.Errorf("reason %d", n))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := &resisting{errs: errs}
		watchGone(t, m, unread{ctx})
		if len(m.tried) != 201 {
			t.Errorf("stopped at attempt %d", len(m.tried))
		}
	})
}

// A keeper that hangs is no different, and a new tenure begins with short pauses again.
func TestWatchTriesAgainBesideAKeeper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		m := &resisting{errs: again(errors.New("it does not die"), 1000)}
		done := make(chan error, 1)
		go func() {
			done <- keeper.Watch(t.Context(), from, io.Discard, func(standby.Spec) (standby.Driver, error) { return m, nil }, nil)
		}()
		say := func(text string) {
			t.Helper()
			if _, err := io.WriteString(to, text+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		say(`{"spec":{}}`)
		say(`{"epoch":3,"until":1}`)
		time.Sleep(30*time.Second + 10*time.Millisecond)
		synctest.Wait()
		if n := len(m.tried); n < 30 || n > 36 {
			t.Errorf("%d attempts in half a minute", n)
		}
		before := len(m.tried)
		say(`{"epoch":4,"until":1}`)
		time.Sleep(160 * time.Millisecond)
		synctest.Wait()
		if n := len(m.tried) - before; n != 3 || m.epoch != 4 {
			t.Errorf("%d attempts under epoch %d in the tenure's first 160 ms, want 3: at once, after 50 ms and after 100 more", n, m.epoch)
		}
		say(`{}`)
		to.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
