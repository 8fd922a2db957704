package config

import (
	"iter"
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

// Who makes a member follow that was stopped, or left behind.
const (
	RejoinAutomatic = "automatic"
	RejoinByHand    = "by_hand"
)

// RejoinsByItself reports whether members that were stopped, or left behind by a
// failover, are made standbys without a person's word. Members that have no command for
// it never are.
func (s FailoverService) RejoinsByItself(member string) bool {
	return s.Rejoin != RejoinByHand && (s.Kind != ServiceCommand || len(s.Members[member].Commands.Rejoin) > 0)
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
	// A superuser of the database, here and on the other members.
	Admin string `yaml:"admin"`
	// A file in the form of .pgpass with its password, which the server's user can read.
	// Empty where the addresses are trusted.
	AdminPasswordFile string `yaml:"admin_password_file"`
	// A role that may stream from the other members.
	Replication string `yaml:"replication"`
	// The same for its password.
	ReplicationPasswordFile string `yaml:"replication_password_file"`
	// libpq's sslmode for all connections. Empty: libpq's default.
	SSLMode string `yaml:"ssl_mode"`
	// libpq's sslrootcert for all connections. Empty: libpq's default.
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
	// Prints how the member is, as JSON: role, writable, position.
	Health []string `yaml:"health"`
	// Stops it at once, and keeps it from taking writes by itself.
	Fence []string `yaml:"fence"`
	// Makes it take writes.
	Promote []string `yaml:"promote"`
	// Stops a primary in an orderly way.
	Demote []string `yaml:"demote"`
	// Makes it follow a primary. Empty: that is done by hand.
	Rejoin []string `yaml:"rejoin"`
}

// verbs are the commands by what they do, in the order in which they are told.
func (c FailoverCommands) verbs() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		_ = yield("health", c.Health) && yield("fence", c.Fence) && yield("promote", c.Promote) &&
			yield("demote", c.Demote) && yield("rejoin", c.Rejoin)
	}
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
	if s.Rejoin != "" {
		l.oneOf(at+".rejoin", s.Rejoin, "who makes a member follow again", RejoinAutomatic, RejoinByHand)
	}
}

func (l *loader) checkControl(at, kind string, m FailoverMember) {
	p := m.Postgres
	if kind != ServicePostgres && p != (FailoverPostgres{}) {
		l.valuef(at+".postgres", "is for services of kind postgres")
	}
	switch {
	case kind == ServicePostgres && len(m.Stop) > 0:
		l.valuef(at+".stop", "is for services of kind http and command: a server of kind postgres is ended without it")
	case len(m.Stop) > 0 && m.Stop[0] == "":
		l.valuef(at+".stop", "has to begin with a program")
	}
	for _, f := range []struct{ key, path string }{{"bin_dir", p.BinDir}, {"data_dir", p.DataDir}} {
		if f.path != "" && !filepath.IsAbs(f.path) && !strings.HasPrefix(f.path, "/") {
			l.valuef(at+".postgres."+f.key, "%q must be an absolute path", f.path)
		}
	}
	if kind == ServiceCommand && m.Node != "" {
		for verb, argv := range m.Commands.verbs() {
			if verb != "rejoin" && (len(argv) == 0 || argv[0] == "") {
				l.missing(at+".commands."+verb, "is missing: without a command for it the member cannot be failed over", at)
			}
		}
	}
}

// maxKeep is longer than anybody waits; more is a mistyped unit.
const maxKeep = Duration(24 * time.Hour)
