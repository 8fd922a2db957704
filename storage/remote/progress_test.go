package remote

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// over runs both ends of a connection on a clock of their own; near has a minute's
// patience.
func over(t *testing.T, far func(c net.Conn), near func(t *testing.T, c net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			far(b)
			_ = b.Close()
		}()
		near(t, newProgress(a, time.Minute))
		_ = a.Close()
		<-ended
	})
}

// send writes n bytes in parts, each after a pause.
func send(c net.Conn, n, part int, pause time.Duration) {
	for ; n > 0; n -= part {
		time.Sleep(pause)
		if _, err := c.Write(make([]byte, min(part, n))); err != nil {
			return
		}
	}
}

func TestReadOfALinkThatStandsStill(t *testing.T) {
	over(t, func(c net.Conn) { send(c, 1000, 1000, 61*time.Second) }, func(t *testing.T, c net.Conn) {
		begun := time.Now()
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("Read = %v after %v, want a time-out after a minute", err, time.Since(begun))
		}
	})
}

// A byte now and then is no progress.
func TestReadOfALinkThatTrickles(t *testing.T) {
	over(t, func(c net.Conn) { send(c, 1<<20, 512, time.Second) }, func(t *testing.T, c net.Conn) {
		n, err := io.Copy(io.Discard, c)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > lowestProgress {
			t.Errorf("%d bytes read, %v; want a time-out before %d", n, err, lowestProgress)
		}
	})
}

func TestReadOfASlowLink(t *testing.T) {
	over(t, func(c net.Conn) { send(c, 1<<20, 2048, time.Second) }, func(t *testing.T, c net.Conn) {
		if n, err := io.Copy(io.Discard, c); err != nil || n != 1<<20 {
			t.Errorf("%d bytes read, %v; want all", n, err)
		}
	})
}

// Whoever reads may take his time: what waits is not the link.
func TestReaderThatPauses(t *testing.T) {
	over(t, func(c net.Conn) { send(c, 10000, 1000, time.Second) }, func(t *testing.T, c net.Conn) {
		buf := make([]byte, 1000)
		for range 10 {
			time.Sleep(10 * time.Minute)
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The read that waits for the answer began on the idle connection.
func TestAnswerHasItsTimeFromTheRequestOn(t *testing.T) {
	over(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		send(c, 10, 10, 50*time.Second)
	}, func(t *testing.T, c net.Conn) {
		go func() {
			time.Sleep(50 * time.Second)
			_, _ = c.Write([]byte("request"))
		}()
		if n, err := c.Read(make([]byte, 100)); err != nil || n != 10 {
			t.Errorf("Read = %d, %v; want the answer", n, err)
		}
	})
}

func TestWriteToASlowReader(t *testing.T) {
	over(t, func(c net.Conn) {
		buf := make([]byte, 2048)
		for {
			time.Sleep(time.Second)
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
		}
	}, func(t *testing.T, c net.Conn) {
		if n, err := c.Write(make([]byte, 1<<20)); err != nil || n != 1<<20 {
			t.Errorf("Write = %d, %v; want all", n, err)
		}
	})
}

func TestWriteToOneWhoStopsReading(t *testing.T) {
	over(t, func(c net.Conn) {
		_, _ = io.CopyN(io.Discard, c, 300<<10)
		time.Sleep(2 * time.Minute)
	}, func(t *testing.T, c net.Conn) {
		n, err := c.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != 300<<10 {
			t.Errorf("Write = %d, %v; want a time-out after what was read", n, err)
		}
	})
}
