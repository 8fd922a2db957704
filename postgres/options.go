package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// Errors callers decide on.
var (
	// ErrNotStandby: the server is not a standby and cannot be promoted.
	ErrNotStandby = errors.New("not a standby")
	// ErrPrimary: the server takes writes; fence or demote it first.
	ErrPrimary = errors.New("the server takes writes")
	// ErrForeign: the two servers never had a common history.
	ErrForeign = errors.New("the servers belong to different database clusters")
	// ErrUnresponsive: processes are there and do not answer.
	ErrUnresponsive = errors.New("the server runs and does not answer")
	// ErrAlive: processes of the server are left though they were killed.
	ErrAlive = errors.New("processes of the server are still there")
	// ErrOccupied: there is something where a data directory is to be made.
	ErrOccupied = errors.New("the directory is not empty")
	// ErrPlatform: servers cannot be controlled on this operating system.
	ErrPlatform = errors.New("PostgreSQL cannot be controlled on this operating system")
)

// Login is a role of the database.
type Login struct {
	User string `json:"user"`
	// PasswordFile is a file in the form of .pgpass that the server's owner can read;
	// empty where the address is trusted or a certificate is used.
	PasswordFile string `json:"password_file,omitempty"`
}

// Peer is another member of the group, as this one reaches it.
type Peer struct {
	Name string `json:"name"`
	Host string `json:"host"`
	Port int    `json:"port"`
}

func (p Peer) String() string {
	return p.Name + " at " + net.JoinHostPort(p.Host, strconv.Itoa(p.Port))
}

// Options say which server, and how to reach it. They hold no secrets.
type Options struct {
	// BinDir is where pg_ctl, pg_basebackup, pg_rewind and pg_controldata are.
	BinDir string `json:"bin_dir"`
	// DataDir is the server's data directory. It need not be there before
	// [Server.Create]. It must not be a mount point itself: it may have to be moved aside.
	DataDir string `json:"data_dir"`
	// Name is this member's, which a primary knows it by (application_name) and its slot is named after.
	Name string `json:"name"`
	// Host and Port are where this server listens; Host may be a directory of sockets.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Admin is a superuser, here and on the peers; Replication may stream from them.
	Admin       Login `json:"admin"`
	Replication Login `json:"replication"`
	// Database is what Admin connects to; empty is "postgres".
	Database string `json:"database,omitempty"`
	// SSLMode and SSLRootCert are libpq's, for all connections; empty is libpq's default.
	SSLMode     string `json:"ssl_mode,omitempty"`
	SSLRootCert string `json:"ssl_root_cert,omitempty"`
	// RunAs is the user that the programs run as when this process is root; empty is the
	// owner of the data directory.
	RunAs string `json:"run_as,omitempty"`
	// LogFile receives what the server prints; empty is DataDir with ".log" appended.
	LogFile string `json:"log_file,omitempty"`
	// Settings are passed to the server on its command line and cannot be changed while it runs.
	Settings map[string]string `json:"settings,omitempty"`
	// Grace is how long an immediate shutdown may take before processes are killed;
	// 0 is 100 ms. It is a part of the time to stop that leases reckon with.
	Grace time.Duration `json:"grace,omitempty"`
	// ProbeTimeout bounds one look at a server; 0 is one second.
	ProbeTimeout time.Duration `json:"probe_timeout,omitempty"`
	// WriteProbe lets each look at a primary flush a record of a few bytes to its disk, so
	// that a stalled disk is noticed.
	WriteProbe bool `json:"write_probe,omitempty"`
	// Discard deletes data directories that are copied anew instead of moving them aside.
	Discard bool `json:"discard,omitempty"`
	// Clock is nil outside tests.
	Clock clock.Clock `json:"-"`
}

const (
	defaultGrace = 100 * time.Millisecond
	defaultProbe = time.Second
)

var memberName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// check fills in what is left out, and returns what is wrong.
func (o *Options) check() error {
	switch {
	case !memberName.MatchString(o.Name):
		return fmt.Errorf("%q cannot be the name of a member: letters, digits, - and _ only", o.Name)
	case o.BinDir == "" || o.DataDir == "":
		return errors.New("the programs' and the data directory must be given")
	case o.Host == "" || o.Port <= 0 || o.Port > 65535:
		return fmt.Errorf("%q and %d is no address of a server", o.Host, o.Port)
	case o.Admin.User == "" || o.Replication.User == "":
		return errors.New("the roles for control and for replication must be given")
	}
	if _, err := os.Stat(filepath.Join(o.BinDir, program("pg_controldata"))); err != nil {
		return fmt.Errorf("the programs of PostgreSQL: %w", err)
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return err
	}
	// As the kernel says where a process works; the directory itself may not be there yet.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	} else if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	o.DataDir = dir
	if o.LogFile == "" {
		o.LogFile = dir + ".log"
	}
	if o.Database == "" {
		o.Database = "postgres"
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.ProbeTimeout <= 0 {
		o.ProbeTimeout = defaultProbe
	}
	o.Clock = clock.Or(o.Clock)
	return nil
}

// Server controls one PostgreSQL server. Its methods may be called at the same time;
// Fence waits for none of the others.
type Server struct {
	o     Options
	clock clock.Clock
}

// NewServer returns the control of a server, which it does not touch.
func NewServer(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fault.New("control PostgreSQL in", o.DataDir, err, "see the failover section of the configuration")
	}
	return &Server{o: o, clock: o.Clock}, nil
}

// Name returns the member's name.
func (s *Server) Name() string { return s.o.Name }

// DataDir returns the data directory, without symbolic links when it is there.
func (s *Server) DataDir() string { return s.o.DataDir }

// path returns a file of the data directory.
func (s *Server) path(name ...string) string {
	return filepath.Join(append([]string{s.o.DataDir}, name...)...)
}

// slot is the name of the replication slot of a member; slots allow no capitals and no dashes.
func slot(member string) string {
	return slotPrefix + strings.NewReplacer("-", "_").Replace(strings.ToLower(member))
}

const slotPrefix = "mahavishnu_"
