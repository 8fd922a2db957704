//go:build linux

package faults

import (
	"net"
	"sync"
	"testing"
)

// way is a direction of a wire, from the machine to the server or back.
type way int

const (
	there way = iota
	back
)

// wire is the line between a machine and the server. While a way is cut its bytes vanish
// and connections stay, as when a cable is pulled.
type wire struct {
	to       string
	listener net.Listener
	all      sync.WaitGroup

	mu   sync.Mutex
	cut  [2]bool
	open map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: to, listener: l, open: map[net.Conn]bool{}}
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.reset()
		w.all.Wait()
	})
	return w
}

func (w *wire) url() string { return "nats://" + w.listener.Addr().String() }

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer s.Close()
	w.mu.Lock()
	w.open[c], w.open[s] = true, true
	w.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { w.copy(there, c, s) })
	both.Go(func() { w.copy(back, s, c) })
	both.Wait()
	w.mu.Lock()
	delete(w.open, c)
	delete(w.open, s)
	w.mu.Unlock()
}

func (w *wire) copy(d way, from, to net.Conn) {
	data := make([]byte, 32<<10)
	for {
		n, err := from.Read(data)
		if n > 0 && !w.lost(d) {
			if _, werr := to.Write(data[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			// A connection that ends says so to the other side, unless that is cut.
			if !w.lost(d) {
				to.Close()
			}
			from.Close()
			return
		}
	}
}

func (w *wire) lost(d way) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[d]
}

func (w *wire) sever(ways ...way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range ways {
		w.cut[d] = true
	}
}

// mend closes what had lost bytes: that cannot be continued.
func (w *wire) mend() {
	w.mu.Lock()
	was := w.cut
	w.cut = [2]bool{}
	w.mu.Unlock()
	if was[there] || was[back] {
		w.reset()
	}
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
}
