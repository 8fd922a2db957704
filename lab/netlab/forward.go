package netlab

import (
	"context"
	"net"

	"mahavishnu/fault"
	"mahavishnu/lab/wire"
)

// Forward returns an address of this process's own network that leads to an address
// within a region, until the lab is closed. The way into the region is not one of the
// lab's links: it stands for a client that is in the region itself.
func (l *Lab) Forward(region, target string) (string, error) {
	l.index(region)
	w, err := wire.Through(func(ctx context.Context) (net.Conn, error) { return l.Dial(ctx, region, "tcp", target) })
	if err != nil {
		return "", fault.New("lead into region", region, err, "")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forwards = append(l.forwards, w)
	return w.Addr(), nil
}
