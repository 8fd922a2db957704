package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
)

// urlFile is where a process with an embedded server says how to reach it, in
// node.data_dir: with port 0 nobody else could know.
const urlFile = "nats.url"

// startServer runs the embedded NATS server of the configuration.
func startServer(cfg *config.Config, log zerolog.Logger) (*natsserver.Server, error) {
	host, port, err := splitListen(cfg.NATS.Listen)
	if err != nil {
		return nil, err
	}
	secure, err := serverTLS(cfg.NATS.TLS)
	if err != nil {
		return nil, err
	}
	server, err := natsserver.Start(natsserver.Options{
		StoreDir:     cfg.NATS.StoreDir,
		Name:         cfg.Node.Name,
		Host:         host,
		Port:         port,
		SyncInterval: time.Duration(cfg.NATS.SyncInterval),
		User:         cfg.NATS.User,
		Password:     cfg.NATS.Password.Reveal(),
		TLS:          secure,
		Log:          serverLog{log},
	})
	if err != nil {
		return nil, err
	}
	if err := announce(cfg.Node.DataDir, server.ClientURL()); err != nil {
		return nil, errors.Join(err, server.Shutdown())
	}
	return server, nil
}

// splitListen reads nats.listen; port 0 becomes natsserver's "any".
func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fault.New("read nats.listen", listen, err, `write it as "host:port"`)
	}
	if port == 0 {
		port = -1
	}
	return host, port, nil
}

func announce(dataDir, url string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fault.New("create data directory", dataDir, err, "make it writable for this user, or set another node.data_dir")
	}
	path := filepath.Join(dataDir, urlFile)
	err := os.WriteFile(path+".new", []byte(url+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path) // whoever reads it finds all of it
	}
	if err != nil {
		return fault.New("write", path, err, "")
	}
	return nil
}

// QueueURL is where the configuration's queue is reached from this machine:
// nats.url, or the embedded server of a process that runs here.
func QueueURL(cfg *config.Config) string {
	if cfg.NATS.URL != "" {
		return cfg.NATS.URL
	}
	if host, port, err := splitListen(cfg.NATS.Listen); err == nil && port > 0 {
		return "nats://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	text, err := os.ReadFile(filepath.Join(cfg.Node.DataDir, urlFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Dial connects to the configuration's queue under a name people see in the
// server's connection list.
func Dial(ctx context.Context, cfg *config.Config, name string, notice func(bus.Notice)) (*bus.Conn, error) {
	o, err := dialing(cfg, name)
	if err != nil {
		return nil, err
	}
	o.OnNotice = notice
	return bus.Connect(ctx, o)
}

// Reach is [bus.Reach] for the configuration's queue: by any of its servers, for so long;
// 0 is as long as the bus does by itself.
func Reach(ctx context.Context, cfg *config.Config, name string, patience time.Duration) (*bus.Conn, *bus.Bus, error) {
	o, err := dialing(cfg, name)
	if err != nil {
		return nil, nil, err
	}
	o.Patience = patience
	return bus.Reach(ctx, o)
}

// dialing is how the configuration's queue is connected to.
func dialing(cfg *config.Config, name string) (bus.Options, error) {
	url := QueueURL(cfg)
	if url == "" {
		return bus.Options{}, fault.New("connect to the queue", "", errors.New("nothing is running with this configuration"), "start it with `mahavishnu up`, or set nats.url")
	}
	o := bus.Options{
		URL:         url,
		Name:        name,
		User:        cfg.NATS.User,
		Password:    cfg.NATS.Password.Reveal(),
		CredsFile:   cfg.NATS.CredsFile,
		InboxPrefix: cfg.NATS.InboxPrefix,
	}
	if strings.Contains(url, "tls://") || cfg.NATS.TLS != (config.TLS{}) {
		secure, err := clientTLS(cfg.NATS.TLS)
		if err != nil {
			return bus.Options{}, err
		}
		o.TLS = secure
	}
	return o, nil
}

// clientTLS is the client's side of a connection: TLS 1.3 or nothing.
func clientTLS(t config.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if err := certificates(c, t); err != nil {
		return nil, err
	}
	pool, err := authority(t.CAFile)
	c.RootCAs = pool
	return c, err
}

// serverTLS is the embedded server's side; nil when no certificate is
// configured. With an authority, clients must show a certificate of it.
func serverTLS(t config.TLS) (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil //nolint:nilnil // no certificate is a configuration, not a failure
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if err := certificates(c, t); err != nil {
		return nil, err
	}
	pool, err := authority(t.CAFile)
	if pool != nil {
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, err
}

func certificates(c *tls.Config, t config.TLS) error {
	if t.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return fault.New("read certificate", t.CertFile, err, "nats.tls.cert_file and key_file must be a pair of PEM files")
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

func authority(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the system's authorities
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New("read certificate authority", file, err, "see nats.tls.ca_file")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fault.New("read certificate authority", file, fmt.Errorf("it holds no PEM certificate"), "see nats.tls.ca_file")
	}
	return pool, nil
}
