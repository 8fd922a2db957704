package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := System()
		start := c.Now()
		if err := c.Sleep(context.Background(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(start); got != time.Hour {
			t.Fatalf("slept %v, want 1h", got)
		}
	})
}

func TestSleepReturnsTheCause(t *testing.T) {
	want := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(want)
	if err := System().Sleep(ctx, 0); !errors.Is(err, want) {
		t.Fatalf("Sleep on an ended context = %v, want %v", err, want)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			time.Sleep(time.Second)
			cancel(want)
		}()
		if err := System().Sleep(ctx, time.Hour); !errors.Is(err, want) {
			t.Fatalf("interrupted Sleep = %v, want %v", err, want)
		}
	})
}

func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Or(nil)
		timer := c.NewTimer(time.Hour)
		if !timer.Stop() {
			t.Fatal("Stop on a running timer reported false")
		}
		timer.Reset(time.Minute)
		start := c.Now()
		<-timer.C()
		if got := c.Now().Sub(start); got != time.Minute {
			t.Fatalf("timer fired after %v, want 1m", got)
		}
	})
}
