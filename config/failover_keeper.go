package config

import (
	"path/filepath"
	"strings"
	"time"
)

// What a service's writes wait for.
const (
	ModeAsynchronous = "asynchronous"
	ModeSynchronous  = "synchronous"
	ModeStrict       = "strict"
)

// FailoverKeep says how a service is kept.
type FailoverKeep struct {
	// What a write waits for, for kind postgres: "asynchronous", the primary's own disk
	// alone, so that a failover loses what no standby had received; "synchronous", one
	// standby, too, while there is one; "strict", one standby always, so that nothing is
	// written without one. Empty: asynchronous.
	Mode string `yaml:"mode"`
	// How long a primary may give no answer before it is stopped and its lease given
	// up. 0s: 2s.
	Patience Duration `yaml:"patience"`
	// How long a primary that was stopped leaves the service to others before it comes
	// back by itself. 0s: 10s.
	Retake Duration `yaml:"retake"`
}

// FailoverControl says how the node beside a member controls it.
type FailoverControl struct {
	// For kind postgres.
	Postgres FailoverPostgres `yaml:"postgres"`
	// For kind command: programs with their arguments, without a shell.
	Commands FailoverCommands `yaml:"commands"`
	// For kind http: a file with a token that orders carry ("Authorization: Bearer").
	TokenFile string `yaml:"token_file"`
}

// FailoverPostgres is a PostgreSQL server on this machine.
type FailoverPostgres struct {
	// Where pg_ctl, pg_basebackup, pg_rewind and pg_controldata are, for example
	// /usr/lib/postgresql/15/bin.
	BinDir string `yaml:"bin_dir"`
	// The server's data directory. It must not be a mount point itself.
	DataDir string `yaml:"data_dir"`
	// The user that the server runs as, when this program runs as root. Empty: the
	// owner of data_dir.
	RunAs string `yaml:"run_as"`
	// A superuser of the database, here and on the other members, and a file in the form
	// of .pgpass with the password; empty where the address is trusted.
	Admin             string `yaml:"admin"`
	AdminPasswordFile string `yaml:"admin_password_file"`
	// A role that may stream from the other members, and its file.
	Replication             string `yaml:"replication"`
	ReplicationPasswordFile string `yaml:"replication_password_file"`
	// libpq's sslmode and sslrootcert for all connections. Empty: libpq's defaults.
	SSLMode     string `yaml:"ssl_mode"`
	SSLRootCert string `yaml:"ssl_root_cert"`
	// A file for what the server prints. Empty: data_dir with ".log" appended.
	LogFile string `yaml:"log_file"`
	// Whether each look at a primary writes a few bytes, so that a disk that hangs is
	// noticed.
	WriteProbe bool `yaml:"write_probe"`
	// Whether a data directory that has to be copied anew is deleted instead of moved
	// aside.
	Discard bool `yaml:"discard"`
}

// FailoverCommands control a member of kind command.
type FailoverCommands struct {
	// Prints how the member is; stops it at once; makes it the primary; stops a primary
	// in an orderly way; makes it follow a primary.
	Health  []string `yaml:"health"`
	Fence   []string `yaml:"fence"`
	Promote []string `yaml:"promote"`
	Demote  []string `yaml:"demote"`
	Rejoin  []string `yaml:"rejoin"`
}

func (l *loader) checkKeep(at string, s FailoverService) {
	if s.Mode != "" {
		l.oneOf(at+".mode", s.Mode, "what writes wait for", ModeAsynchronous, ModeSynchronous, ModeStrict)
		if s.Kind != ServicePostgres && s.Mode != ModeAsynchronous {
			l.valuef(at+".mode", "%s is for kind postgres only: what a service of kind %s waits for is its own business", s.Mode, s.Kind)
		}
	}
	l.durationBetween(at+".patience", s.Patience, 0, maxKeep)
	l.durationBetween(at+".retake", s.Retake, 0, maxKeep)
}

func (l *loader) checkControl(at, kind string, m FailoverMember) {
	p := m.Postgres
	if kind != ServicePostgres && p != (FailoverPostgres{}) {
		l.valuef(at+".postgres", "is for services of kind postgres")
	}
	for _, f := range []struct{ key, path string }{{"bin_dir", p.BinDir}, {"data_dir", p.DataDir}} {
		if f.path != "" && !filepath.IsAbs(f.path) && !strings.HasPrefix(f.path, "/") {
			l.valuef(at+".postgres."+f.key, "%q must be an absolute path", f.path)
		}
	}
	if kind == ServiceCommand && m.Node != "" {
		c := m.Commands
		for _, f := range []struct {
			verb string
			argv []string
		}{{"health", c.Health}, {"fence", c.Fence}, {"promote", c.Promote}, {"demote", c.Demote}} {
			if len(f.argv) == 0 || f.argv[0] == "" {
				l.missing(at+".commands."+f.verb, "is missing: without a command for it the member cannot be failed over", at)
			}
		}
	}
}

// maxKeep is longer than anybody waits; more is a mistyped unit.
const maxKeep = Duration(24 * time.Hour)
