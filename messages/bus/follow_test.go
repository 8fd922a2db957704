package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// The consumer of a watch is lost without a word, as with the server that had it: what is
// written then arrives all the same, once, and long before a watch is missed.
func TestFollowMissesNoChangeForLong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, err := r.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, "k", func(v bus.Value) error { told <- string(v.Data); return nil })
	}()
	want := func(text string) {
		t.Helper()
		select {
		case got := <-told:
			if got != text {
				t.Fatalf("told of %q, want %q", got, text)
			}
		case <-time.After(5 * time.Second): // a watch alone takes at least ten
			t.Fatalf("%q was not told", text)
		}
	}
	put := func(text string) {
		t.Helper()
		if _, err := s.Put(ctx, "k", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	want("one")
	stream, err := r.js.Stream(ctx, "KV_"+messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for name := range stream.ConsumerNames(ctx).Name() {
		if err := r.js.DeleteConsumer(ctx, "KV_"+messages.BucketLeases, name); err != nil {
			t.Fatal(err)
		}
		lost++
	}
	if lost == 0 {
		t.Fatal("the watch has no consumer that could be lost")
	}
	put("two")
	want("two")
	put("three")
	want("three")
	select {
	case again := <-told:
		t.Errorf("%q was told twice", again)
	case <-time.After(1500 * time.Millisecond):
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An error of who listens ends it, whoever brought the news.
func TestFollowEndsWithItsListener(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, err := r.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", []byte("one")); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	if err := s.Follow(t.Context(), "k", func(bus.Value) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}
