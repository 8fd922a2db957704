package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/lab/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers every line, and tells what it heard.
type server struct {
	net.Listener
	heard chan string
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l, make(chan string, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					s.heard <- lines.Text()
					fmt.Fprintln(c, "you said", lines.Text())
				}
				s.heard <- "the end"
			}()
		}
	}()
	return s
}

// client is one end of a connection.
type client struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, w *wire.Wire) *client {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer waits for a line; a time of 0 waits as long as it takes.
func (c *client) answer(at time.Duration) (string, error) {
	c.t.Helper()
	if at == 0 {
		at = time.Minute
	}
	if err := c.SetReadDeadline(time.Now().Add(at)); err != nil {
		c.t.Fatal(err)
	}
	return c.in.ReadString('\n')
}

func (c *client) talks(text string) {
	c.t.Helper()
	c.say(text)
	if got, err := c.answer(0); got != "you said "+text+"\n" {
		c.t.Fatalf("%q, %v", got, err)
	}
}

// silent is how long nothing must come for a test to believe that nothing does.
const silent = 100 * time.Millisecond

func (c *client) hearsNothing() {
	c.t.Helper()
	if got, err := c.answer(silent); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%q, %v, want silence", got, err)
	}
}

func (s *server) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s.heard:
		if got != want {
			t.Fatalf("it heard %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("it did not hear %q", want)
	}
}

func (s *server) hearsNothing(t *testing.T) {
	t.Helper()
	select {
	case got := <-s.heard:
		t.Fatalf("it heard %q", got)
	case <-time.After(silent):
	}
}

func lay(t *testing.T, s *server) *wire.Wire {
	t.Helper()
	w, err := wire.To(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestCutWaysLoseBytesAndKeepConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ways          []wire.Way
		heard, closes bool
	}{
		"both":                {nil, false, false},
		"there":               {[]wire.Way{wire.There}, false, false},
		"back":                {[]wire.Way{wire.Back}, true, true},
		"one after the other": {[]wire.Way{wire.Back, wire.There}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			w := lay(t, s)
			one, other := dial(t, w), dial(t, w)
			one.talks("hello")
			s.hears(t, "hello")
			w.Cut(c.ways...)
			one.say("are you there?")
			if c.heard {
				s.hears(t, "are you there?")
			} else {
				s.hearsNothing(t)
			}
			one.hearsNothing()
			// Nor does the server hear that a client is gone, unless that way works.
			other.Close()
			if c.closes {
				s.hears(t, "the end")
			} else {
				s.hearsNothing(t)
			}
			w.Mend()
			if got, err := one.answer(0); !errors.Is(err, io.EOF) && !isReset(err) {
				t.Errorf("%q, %v: it went on with what had lost bytes", got, err)
			}
			dial(t, w).talks("hello again")
		})
	}
}

func isReset(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && !failed.Timeout()
}

// Mending what is whole disturbs nobody.
func TestWholeWiresStay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	w := lay(t, s)
	c := dial(t, w)
	c.talks("a")
	w.Mend()
	c.talks("b")
	c.Close()
	for _, want := range []string{"a", "b", "the end"} {
		s.hears(t, want)
	}
}

// Closing ends connections, also one that is still being made, and calls nothing afterwards.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	dialling := make(chan struct{})
	slow, err := wire.Through(func(ctx context.Context) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	waits := dial(t, slow)
	<-dialling
	s := newServer(t)
	w := lay(t, s)
	c := dial(t, w)
	c.talks("hello")
	for what, x := range map[*wire.Wire]*client{slow: waits, w: c} {
		if err := what.Close(); err != nil {
			t.Error(err)
		}
		if got, err := x.answer(0); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q, %v", got, err)
		}
		if c, err := net.Dial("tcp", what.Addr()); err == nil {
			c.Close()
			t.Error("a wire that is closed is answered")
		}
	}
}

// Nobody behind the wire is like nobody at its end.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	w := lay(t, s)
	s.Close()
	if got, err := dial(t, w).answer(0); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", got, err)
	}
}
