// Package wire is the line between a program and a server that a test cuts.
//
// While a way is cut its bytes vanish and connections stay, as when a cable is pulled: nobody is
// told, and whoever waits for an answer waits. Each direction is cut apart from the other, so that a
// server may hear a client whom it cannot answer. What is mended does not go on where it was:
// connections that lost bytes are closed, and the next ones work.
//
//	w, err := wire.To("127.0.0.1:4222")
//	defer w.Close()
//	connect("nats://" + w.Addr())
//	w.Cut(wire.Back) // the server hears the client, and is not heard
//	w.Mend()
//
// Package netlab has lines between regions with delay, loss and rates, which need
// namespaces and the rights to make them.
package wire

import (
	"context"
	"net"
	"sync"

	"mahavishnu/fault"
)

// Way is a direction.
type Way int

// The ways: from the client to the server, and back.
const (
	There Way = iota
	Back
)

// Dial makes the connection that goes on to the server.
type Dial func(context.Context) (net.Conn, error)

// Wire is a line that many connections use at once.
type Wire struct {
	listener net.Listener
	dial     Dial
	ctx      context.Context // over when the wire is closed
	cancel   context.CancelFunc
	carrying sync.WaitGroup

	mu   sync.Mutex
	cut  [2]bool
	open map[net.Conn]bool
}

// To leads from a free port of the loopback interface to a server.
func To(server string) (*Wire, error) {
	return Through(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server)
	})
}

// Through is To for a server that is reached in a way of its own.
func Through(dial Dial) (*Wire, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.New("lay a wire", "", err, "")
	}
	return Between(l, dial), nil
}

// Between leads on what a listener accepts. It closes the listener in the end.
func Between(l net.Listener, dial Dial) *Wire {
	w := &Wire{listener: l, dial: dial, open: map[net.Conn]bool{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.carrying.Go(w.accept)
	return w
}

// Addr is where the wire begins, as "host:port".
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Close ends the wire and its connections.
func (w *Wire) Close() error {
	w.cancel()
	err := w.listener.Close()
	w.hangUp()
	w.carrying.Wait()
	return err
}

// Cut loses everything that goes these ways from now on; none are both.
func (w *Wire) Cut(ways ...Way) {
	if len(ways) == 0 {
		ways = []Way{There, Back}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, way := range ways {
		w.cut[way] = true
	}
}

// Mend lets both ways work again.
func (w *Wire) Mend() {
	w.mu.Lock()
	was := w.cut
	w.cut = [2]bool{}
	w.mu.Unlock()
	if was[There] || was[Back] {
		w.hangUp()
	}
}

func (w *Wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		_ = c.Close() // nothing is written any more
	}
}

func (w *Wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carrying.Go(func() { w.carry(c) })
	}
}

// carry serves one connection to its end.
func (w *Wire) carry(client net.Conn) {
	defer client.Close()
	if !w.note(client) {
		return
	}
	defer w.forget(client)
	server, err := w.dial(w.ctx)
	if err != nil {
		return
	}
	defer server.Close()
	if !w.note(server) {
		return
	}
	defer w.forget(server)
	var both sync.WaitGroup
	both.Go(func() { w.copy(There, client, server) })
	both.Go(func() { w.copy(Back, server, client) })
	both.Wait()
}

// note makes sure that a connection is closed with the wire; false when that has been.
func (w *Wire) note(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[c] = true
	return w.ctx.Err() == nil
}

func (w *Wire) forget(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
}

// copy carries one way to its end, which ends the other way as well, unless nobody may hear of it.
func (w *Wire) copy(way Way, from, to net.Conn) {
	data := make([]byte, 32<<10)
	for {
		n, err := from.Read(data)
		if n > 0 && !w.lost(way) {
			if _, werr := to.Write(data[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if !w.lost(way) {
				_ = to.Close() // as the other end did
			}
			_ = from.Close() // it has ended
			return
		}
	}
}

func (w *Wire) lost(way Way) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[way]
}
