// Package natsserver runs a NATS server with JetStream inside this process.
//
// It is what `mahavishnu up` and `mahavishnu demo` stand on when no nats.url
// is configured, and what tests use for every real server they need. It
// listens on the loopback address unless told otherwise, keeps streams in
// files, and owns its store directory: a second process that wants the same
// one is refused with [ErrInUse].
//
// # Durability
//
// A JetStream server acknowledges a write before the disk has it and flushes
// every two minutes by default: a power cut loses what was acknowledged since.
// Here job records decide whether a backup ran, and the revision of a lease is
// a fencing token that must never be given out twice. So the default is to
// flush every write before it is acknowledged ([SyncAlways]), at the price of
// one disk flush a write. Where that price is too high and a power cut of all
// replicas at once is acceptable, Options.SyncInterval sets an interval.
package natsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// SyncAlways as a sync interval flushes every write before it is acknowledged.
const SyncAlways time.Duration = -1

const (
	defaultHost = "127.0.0.1"
	readyIn     = 30 * time.Second
	readyStep   = 100 * time.Millisecond
)

// Options say how the server runs. Only StoreDir is required.
type Options struct {
	// StoreDir holds the streams. It is created with mode 0700.
	StoreDir string
	// Name is the server's name, unique in a cluster; "" makes one up.
	Name string
	// Host is the address to listen on; "" is the loopback address.
	Host string
	// Port is the TCP port; 0 is 4222, -1 any free one.
	Port int
	// SyncInterval is how often written data is flushed to disk. 0 and
	// SyncAlways flush every write before it is acknowledged.
	SyncInterval time.Duration
	// MaxStore bounds the stored bytes; 0 is three quarters of the free disk.
	MaxStore int64
	// User and Password, when set, are demanded from clients.
	User, Password string
	// TLS, when set, is demanded from clients.
	TLS *tls.Config
	// Cluster, when set, makes the server one of several.
	Cluster *Cluster
	// Log hears what the server says; nil is silence. Errors of Start carry
	// the server's last complaint either way.
	Log Logger
}

// Cluster says how a server finds its peers.
type Cluster struct {
	Name string
	// Host and Port are where peers connect; "" is the loopback address.
	Host string
	Port int
	// Routes are the peers, as host:port.
	Routes []string
}

// Server is a running server.
type Server struct {
	lock    *dirLock
	mu      sync.RWMutex
	nats    *server.Server
	options Options
}

// Start returns once clients can connect and, alone, streams can be used. In a
// cluster, streams need a majority of servers first; see Server.Ready.
func Start(o Options) (*Server, error) {
	if o.StoreDir == "" {
		return nil, fault.New("start NATS server", "", errors.New("no store directory is set"), "set nats.store_dir")
	}
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fault.New("start NATS server in", o.StoreDir, err, "make the directory writable for this user, or set another nats.store_dir")
	}
	lock, err := lockDir(o.StoreDir)
	if err != nil {
		return nil, fault.New("start NATS server in", o.StoreDir, err, "stop the other process, connect to it with nats.url, or set another nats.store_dir")
	}
	s, err := start(o)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Server{nats: s, lock: lock, options: o}, nil
}

func start(o Options) (*server.Server, error) {
	opts := serverOptions(o)
	listen := net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port))
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fault.New("start NATS server on", listen, err, "")
	}
	log := &logAdapter{to: o.Log}
	s.SetLoggerV2(log, false, false, false)
	go s.Start()
	ready := false
	for waited := time.Duration(0); !ready && !log.fatal() && waited < readyIn; waited += readyStep {
		ready = s.ReadyForConnections(readyStep)
	}
	if ready && s.JetStreamEnabled() {
		return s, nil
	}
	s.Shutdown()
	s.WaitForShutdown()
	err = fmt.Errorf("it was not ready within %v", readyIn)
	if last := log.complaint(); last != "" {
		err = errors.New(last)
	}
	return nil, fault.New("start NATS server on", listen, err, "see that the port is free (nats.listen) and the store directory has space")
}

func serverOptions(o Options) *server.Options {
	opts := &server.Options{
		ServerName:             o.Name,
		Host:                   o.Host,
		Port:                   o.Port,
		Username:               o.User,
		Password:               o.Password,
		NoSigs:                 true, // signals belong to the process
		MaxPayload:             messages.ServerMaxPayload,
		JetStream:              true,
		StoreDir:               o.StoreDir,
		JetStreamMaxStore:      o.MaxStore,
		SyncInterval:           o.SyncInterval,
		SyncAlways:             o.SyncInterval <= 0,
		DisableJetStreamBanner: true,
	}
	if opts.Host == "" {
		opts.Host = defaultHost
	}
	if opts.SyncAlways {
		opts.SyncInterval = time.Minute // the sweep that flushes what is idle; writes do not wait for it
	}
	if o.TLS != nil {
		opts.TLSConfig = o.TLS
		opts.TLS = true
		opts.TLSTimeout = 5
	}
	if c := o.Cluster; c != nil {
		opts.Cluster = server.ClusterOpts{Name: c.Name, Host: c.Host, Port: c.Port, PingInterval: 5 * time.Second}
		if c.Host == "" {
			opts.Cluster.Host = defaultHost
		}
		for _, r := range c.Routes {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: r})
		}
	}
	return opts
}

// ClientURL is where clients of this machine connect, without credentials.
func (s *Server) ClientURL() string { return s.running().ClientURL() }

// Name is the server's name.
func (s *Server) Name() string { return s.running().Name() }

// InProcessConn is a connection to the server that uses no network.
func (s *Server) InProcessConn() (net.Conn, error) { return s.running().InProcessConn() }

// Ready reports whether streams can be used now: always when alone, with a
// leader and caught up in a cluster.
func (s *Server) Ready() bool {
	n := s.running()
	return !n.JetStreamIsClustered() || n.JetStreamIsCurrent()
}

// Shutdown ends the server: leaders step down, clients are disconnected, files
// are flushed and the store directory is free when it returns. Calling it
// again does nothing.
func (s *Server) Shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return s.lock.release()
}
