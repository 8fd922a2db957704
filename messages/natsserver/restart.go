package natsserver

import (
	"errors"
	"net"
	"net/http"

	"github.com/nats-io/nats-server/v2/server"

	"mahavishnu/fault"
)

// running is the server that runs now, or ran last.
func (s *Server) running() *server.Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.nats
}

// Health is nil while the server can store what it is given. A stream whose
// file could not be written, on a full disk mostly, refuses everything from then
// on, also when there is space again: only Restart mends that.
func (s *Server) Health() error {
	h := s.running().Healthz(nil)
	if h.StatusCode == http.StatusOK {
		return nil
	}
	return fault.New("store in", s.options.StoreDir, errors.New(h.Error), "see that its disk has space")
}

// Restart ends the server and starts it again on the same address, with what
// its store directory holds. Clients reconnect by themselves. After an error
// nothing runs, and it may be called again.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.options
	if at, ok := s.nats.Addr().(*net.TCPAddr); ok {
		o.Port = at.Port
	}
	s.options = o // the address is gone once it has ended
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	fresh, err := start(o)
	if err != nil {
		return err
	}
	s.nats = fresh
	return nil
}
