// Package named runs a real BIND with one zone that takes signed updates: for tests of
// routes, and for whoever measures how long clients are led astray.
//
// It is the program of the system, which must be installed; its files are in a directory
// of its own, and it answers where it is told and nowhere else.
package named

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/lab/process"
)

// patience is how long a server may take to answer first.
const patience = 30 * time.Second

// Options say how the server runs. Dir, Address and Zone are required.
type Options struct {
	// Dir keeps its files. It must exist.
	Dir string
	// Address is where it answers, as "host:port".
	Address string
	// Zone is the name of the zone, without the dot at its end.
	Zone string
	// Records are more lines of the zone's file.
	Records string
	// Keys may change the zone.
	Keys []Key
	// Run starts the process another way than exec does, in a network of its own say;
	// nil is cmd.Start. Dial reaches the server from here; nil is a net.Dialer's.
	Run  func(*exec.Cmd) error
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// Key signs updates.
type Key struct {
	Name string
	// Algorithm is BIND's word for it, "hmac-sha256" say; Secret is in base64.
	Algorithm, Secret string
	// Grants are what it may change, in the words of an update-policy:
	// "name db.example.com A AAAA".
	Grants []string
}

// File is the key as `tsig-keygen` writes it.
func (k Key) File() string {
	return fmt.Sprintf("key \"%s\" {\n\talgorithm %s;\n\tsecret \"%s\";\n};\n", k.Name, k.Algorithm, k.Secret)
}

// Server is a BIND.
type Server struct {
	o   Options
	cmd *exec.Cmd
	log *process.Output
}

// Start starts a server and returns when it answers for its zone.
func Start(ctx context.Context, o Options) (*Server, error) {
	o.Clock = clock.Or(o.Clock)
	if o.Run == nil {
		o.Run = (*exec.Cmd).Start
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	s := &Server{o: o}
	if err := s.configure(); err != nil {
		return nil, fault.New("configure a name server in", o.Dir, err, "")
	}
	return s, s.Restart(ctx)
}

// configure writes the server's files.
func (s *Server) configure() error {
	host, port, err := net.SplitHostPort(s.o.Address)
	if err != nil {
		return err
	}
	files := map[string]string{"zone": fmt.Sprintf("$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A %s\n%s", host, s.o.Records)}
	var include, grants strings.Builder
	for _, k := range s.o.Keys {
		files[k.Name+".key"] = k.File()
		fmt.Fprintf(&include, "include %q;\n", s.KeyFile(k.Name))
		for _, g := range k.Grants {
			fmt.Fprintf(&grants, "\t\tgrant %s %s;\n", k.Name, g)
		}
	}
	files["named.conf"] = fmt.Sprintf(`
options {
	directory "%[1]s";
	listen-on port %[2]s { %[3]s; };
	listen-on-v6 { none; };
	pid-file "%[1]s/named.pid";
	session-keyfile "%[1]s/session.key";
	recursion no;
	dnssec-validation no;
	notify no;
	allow-transfer { none; };
	minimal-responses yes;
};
controls { };
%[4]szone "%[5]s" {
	type primary;
	file "%[1]s/zone";
	update-policy {
%[6]s	};
};
`, s.o.Dir, port, host, include.String(), s.o.Zone, grants.String())
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.o.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// KeyFile is where a key of the server's is.
func (s *Server) KeyFile(name string) string { return filepath.Join(s.o.Dir, name+".key") }

// Address is where it answers.
func (s *Server) Address() string { return s.o.Address }

// Restart starts a server that was stopped, over what it had.
func (s *Server) Restart(ctx context.Context) error {
	path, err := Program("named")
	if err != nil {
		return err
	}
	s.log = &process.Output{}
	s.cmd = exec.Command(path, "-g", "-4", "-n", "1", "-c", filepath.Join(s.o.Dir, "named.conf")) //nolint:noctx // it is stopped by Stop
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.o.Run(s.cmd); err != nil {
		s.cmd = nil
		return fault.New("start", path, err, "")
	}
	resolver := s.Resolver()
	until := s.o.Clock.Now().Add(patience)
	for {
		asking, cancel := context.WithTimeout(ctx, time.Second)
		_, err := resolver.LookupNS(asking, s.o.Zone+".")
		cancel()
		if err == nil {
			return nil
		}
		if s.o.Clock.Now().After(until) {
			s.Stop()
			return fault.New("start", path, fmt.Errorf("it does not answer: %w\n%s", err, s.Log()), "")
		}
		if err := s.o.Clock.Sleep(ctx, 20*time.Millisecond); err != nil {
			s.Stop()
			return err
		}
	}
}

// Resolver asks this server and no other, and remembers nothing.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return s.o.Dial(ctx, network, s.o.Address)
	}}
}

// Stop kills the server, as a power cut would.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may be gone already
	_ = s.cmd.Wait()         // killed is an error
	s.cmd = nil
}

// Log is what the server said since it was started.
func (s *Server) Log() string { return s.log.String() }

// Program finds a program of BIND's, which are not on everybody's path.
func Program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fault.New("find", name, errors.New("the program is not there"), "install BIND: .ci/packages does")
	}
	return path, nil
}
