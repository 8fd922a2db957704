//go:build !windows

// Windows lets nobody rename a directory of open files, which is how the test
// makes writing fail.

package natsserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages/natsserver/natstest"
)

// TestRestartMendsAStreamThatCouldNotBeWritten takes a stream's directory away
// until a write has failed: the stream stays broken when it is back.
func TestRestartMendsAStreamThatCouldNotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := natstest.StartIn(t, dir, -1)
	_, js := client(t, s.ClientURL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(); err != nil {
		t.Fatalf("a sound server: %v", err)
	}
	publish := func(size int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "s", make([]byte, size))
		return err
	}
	files := filepath.Join(dir, "jetstream", "$G", "streams", "S", "msgs")
	if err := errors.Join(publish(1), os.Rename(files, files+".away")); err != nil {
		t.Fatal(err)
	}
	stored := 1
	for publish(6<<20) == nil { // until a new file is needed
		if stored++; stored > 20 {
			t.Fatal("writing never failed")
		}
	}
	if err := os.Rename(files+".away", files); err != nil {
		t.Fatal(err)
	}
	if publish(1) == nil || s.Health() == nil {
		t.Fatal("the stream is not broken: the server mends it by itself now")
	}
	was := s.ClientURL()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(); err != nil || s.ClientURL() != was {
		t.Errorf("after the restart: %v; at %s, before at %s", err, s.ClientURL(), was)
	}
	for end := time.Now().Add(30 * time.Second); publish(1) != nil; { // the client reconnects
		if time.Now().After(end) {
			t.Fatal("nothing can be stored after the restart")
		}
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil || stream.CachedInfo().State.Msgs < uint64(stored) {
		t.Errorf("the stream holds %+v, %v; want the %d messages from before, too", stream.CachedInfo().State, err, stored)
	}
}
