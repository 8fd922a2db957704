package netlab

import (
	"context"
	"io"
	"net"
	"sync"

	"mahavishnu/fault"
)

// Forward returns an address of this process's own network that leads to an address
// within a region, until the lab is closed. The way into the region is not one of the
// lab's links: it stands for a client that is in the region itself.
func (l *Lab) Forward(ctx context.Context, region, target string) (string, error) {
	l.index(region)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.New("lead into region", region, err, "")
	}
	f := &forward{lab: l, region: region, target: target, listener: listener, open: map[net.Conn]struct{}{}}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.serving.Go(f.accept)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forwards = append(l.forwards, f.stop)
	return listener.Addr().String(), nil
}

type forward struct {
	lab            *Lab
	region, target string
	listener       net.Listener
	ctx            context.Context
	cancel         context.CancelFunc
	serving        sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (f *forward) stop() {
	f.cancel()
	f.listener.Close()
	f.mu.Lock()
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.serving.Wait()
}

func (f *forward) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.serving.Go(func() { f.serve(c) })
	}
}

func (f *forward) serve(client net.Conn) {
	defer client.Close()
	server, err := f.lab.Dial(f.ctx, f.region, "tcp", f.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !f.note(client, server) {
		return
	}
	defer f.forget(client, server)
	var both sync.WaitGroup
	both.Go(func() { relay(server, client) })
	both.Go(func() { relay(client, server) })
	both.Wait()
}

// note makes stop close connections; false when it has been called.
func (f *forward) note(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		f.open[c] = struct{}{}
	}
	return f.ctx.Err() == nil
}

func (f *forward) forget(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		delete(f.open, c)
	}
}

// relay copies one way; its end ends both.
func relay(to, from net.Conn) {
	io.Copy(to, from) //nolint:errcheck // the other end sees that the connection is gone
	to.Close()
	from.Close()
}
