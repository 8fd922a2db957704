package remote

import (
	"net"
	"sync"
	"time"

	"mahavishnu/clock"
)

// lowestProgress is how many bytes have to move within the patience for progress,
// in whichever direction is busy: about 1 KB/s.
const lowestProgress = 64 << 10

// progress is a connection that fails when it stands still, or nearly so. Only
// the time spent waiting for the other side counts, not that in which nobody here
// reads; and an answer has its time counted from the last byte of the request,
// since the read that waits for it may have begun long before, on an idle
// connection.
type progress struct {
	net.Conn
	wait time.Duration

	mu    sync.Mutex
	left  int           // bytes to be read until the time starts anew
	spent time.Duration // waited for them, in reads that returned
	began time.Time     // the read that is under way, or the write after which it waits
}

func newProgress(c net.Conn, wait time.Duration) *progress {
	return &progress{Conn: c, wait: wait, left: lowestProgress}
}

// Read reads, and fails when the rate stays below the lowest.
func (p *progress) Read(b []byte) (int, error) {
	if err := p.readBegins(); err != nil {
		return 0, err
	}
	n, err := p.Conn.Read(b)
	p.readEnded(n)
	return n, err
}

func (p *progress) readBegins() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = clock.System().Now()
	return p.SetReadDeadline(p.began.Add(p.wait - p.spent))
}

func (p *progress) readEnded(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += clock.System().Now().Sub(p.began)
	p.left -= n
	if p.left <= 0 {
		p.spent, p.left = 0, lowestProgress
	}
}

// wrote gives the answer its full time from now on.
func (p *progress) wrote() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.spent, p.left = clock.System().Now(), 0, lowestProgress
	return p.SetReadDeadline(p.began.Add(p.wait))
}

// Write writes in pieces, each with its own time, so that a large body on a slow
// link is no failure.
func (p *progress) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(len(b), written+lowestProgress)]
		if err := p.SetWriteDeadline(clock.System().Now().Add(p.wait)); err != nil {
			return written, err
		}
		n, err := p.Conn.Write(piece)
		written += n
		if n > 0 && err == nil {
			err = p.wrote()
		}
		if err != nil || written == len(b) {
			return written, err
		}
	}
}
