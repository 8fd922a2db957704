package postgres

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"mahavishnu/fault"
)

const (
	autoConf      = "postgresql.auto.conf"
	standbySignal = "standby.signal"
)

// setting is one that this package keeps in postgresql.auto.conf.
type setting struct{ name, value string }

// configure sets values that a start reads, and a running server when it is told to
// reload. The file is the one that ALTER SYSTEM writes, so that whoever looks for a
// setting's source finds it there.
func (s *Server) configure(values ...setting) error {
	old, err := os.ReadFile(s.path(autoConf))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.New("configure PostgreSQL in", s.o.DataDir, err, "")
	}
	text := withSettings(string(old), values)
	if text == string(old) {
		return nil
	}
	if err := s.put(autoConf, []byte(text)); err != nil {
		return fault.New("configure PostgreSQL in", s.o.DataDir, err, "")
	}
	return nil
}

// withSettings returns the text of a settings file with values in place of those that it had.
func withSettings(text string, values []setting) string {
	replaced := map[string]bool{}
	for _, v := range values {
		replaced[v.name] = true
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		name, _, ok := strings.Cut(line, "=")
		if ok && replaced[strings.ToLower(strings.TrimSpace(name))] {
			continue
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	for _, v := range values {
		fmt.Fprintf(&b, "%s = %s\n", v.name, quoteSetting(v.value))
	}
	return b.String()
}

// quoteSetting renders a value as a settings file wants it. What breaks lines has no place there.
func quoteSetting(v string) string {
	v = strings.NewReplacer("\\", "\\\\", "'", "''", "\n", " ", "\r", " ", "\x00", "").Replace(v)
	return "'" + v + "'"
}

// reload makes a running server read its settings; a server that is down reads them as it starts.
func (s *Server) reload() error {
	all, err := s.processes()
	if err != nil {
		return fault.New("reload PostgreSQL in", s.o.DataDir, err, "")
	}
	if master, ok := s.postmaster(all); ok {
		if err := s.signal(master, syscall.SIGHUP); err != nil {
			return fault.New("reload PostgreSQL in", s.o.DataDir, err, "")
		}
	}
	return nil
}

// connection renders a libpq connection string.
func connection(values ...setting) string {
	var parts []string
	for _, v := range values {
		if v.value != "" {
			value := strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(v.value)
			parts = append(parts, v.name+"='"+value+"'")
		}
	}
	return strings.Join(parts, " ")
}

// streaming is how this member streams from another.
func (s *Server) streaming(from Peer) string {
	return connection(
		setting{"host", from.Host}, setting{"port", fmt.Sprint(from.Port)},
		setting{"user", s.o.Replication.User}, setting{"passfile", s.o.Replication.PasswordFile},
		setting{"application_name", s.o.Name}, setting{"sslmode", s.o.SSLMode}, setting{"sslrootcert", s.o.SSLRootCert},
		setting{"connect_timeout", "5"},
	)
}

// copying is how pg_basebackup reaches a peer: not by this member's name, or a commit could
// wait for a copy that is being made.
func (s *Server) copying(from Peer) string {
	return connection(
		setting{"host", from.Host}, setting{"port", fmt.Sprint(from.Port)},
		setting{"user", s.o.Replication.User}, setting{"passfile", s.o.Replication.PasswordFile},
		setting{"sslmode", s.o.SSLMode}, setting{"sslrootcert", s.o.SSLRootCert},
		setting{"connect_timeout", "5"},
	)
}

// administering is how Admin reaches a server, for programs and for this one.
func (s *Server) administering(host string, port int) string {
	return connection(
		setting{"host", host}, setting{"port", fmt.Sprint(port)}, setting{"dbname", s.o.Database},
		setting{"user", s.o.Admin.User}, setting{"passfile", s.o.Admin.PasswordFile},
		setting{"sslmode", s.o.SSLMode}, setting{"sslrootcert", s.o.SSLRootCert},
		setting{"connect_timeout", "5"},
	)
}

// guard puts the file in place that makes every start one of a standby.
func (s *Server) guard() error {
	if s.has(standbySignal) {
		return nil
	}
	if err := s.put(standbySignal, nil); err != nil {
		return fault.New("keep from writing", s.o.DataDir, err, "do not start this server before "+standbySignal+" is in its data directory")
	}
	return nil
}
