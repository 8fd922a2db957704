// Package natsserver runs a NATS server with JetStream inside this process.
package natsserver

import (
	"errors"
	"net"
	"time"
)

// Options say how the embedded server runs.
type Options struct {
	// StoreDir is required.
	StoreDir string
	// Host is the address to listen on; "" is 127.0.0.1.
	Host string
	// Port is the TCP port; 0 is 4222, -1 a free one.
	Port int
	// SyncInterval is how often written data is flushed to disk; 0 is the default (see docs/protocol.md); negative: after every write.
	SyncInterval time.Duration
	// User and Password, when set, are demanded from clients.
	User, Password string
	// Name is the server's name.
	Name string
	// Log hears what the server says; nil is silence.
	Log Logger
}

// Level is how serious a log line is.
type Level int

// Levels of a log line.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// Logger receives the server's log lines. It must not block.
type Logger interface{ Log(l Level, line string) }

// ErrInUse: another process uses the store directory.
var ErrInUse = errors.New("the store directory is in use")

// Server is a running server.
type Server struct{}

// Start returns once clients can connect and JetStream is ready.
func Start(o Options) (*Server, error) { return nil, errors.New("natsserver: not built yet") }
func (s *Server) ClientURL() string    { return "" }
func (s *Server) InProcessConn() (net.Conn, error) {
	return nil, errors.New("natsserver: not built yet")
}
func (s *Server) Shutdown() {}
