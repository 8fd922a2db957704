package config

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

// checkMachine refuses what a coordinator that starts on this machine refuses: routes
// whose programs are not here, and members beside this node that cannot be controlled.
func (l *loader) checkMachine(c *Config) {
	f := c.Failover
	votes := slices.ContainsFunc(f.Coordinators, func(v FailoverVoter) bool { return v.Node == c.Node.Name })
	for _, name := range sortedKeys(f.Services) {
		s, at := f.Services[name], "failover.services."+name
		if h := s.Routes.Hook; votes && len(h.Command) > 0 {
			l.checkProgram(at+".routes.hook.command", h.Command)
			l.checkProgram(at+".routes.hook.current", h.Current)
			l.checkProgram(at+".routes.hook.rehearse", h.Rehearse)
		}
		for _, member := range sortedKeys(s.Members) {
			if m := s.Members[member]; s.Kind == ServicePostgres && m.Node == c.Node.Name {
				l.checkServer(at+".members."+member+".postgres", m.Postgres)
			}
		}
	}
}

// checkServer refuses a PostgreSQL server on this machine that its keeper cannot control.
func (l *loader) checkServer(at string, p FailoverPostgres) {
	for _, f := range []struct{ key, value, what string }{
		{"bin_dir", p.BinDir, "name the directory of pg_ctl"},
		{"data_dir", p.DataDir, "name the server's data directory"},
		{"admin", p.Admin, "name a superuser of the database"},
		{"replication", p.Replication, "name a role that may stream"},
	} {
		if f.value == "" {
			l.value(at+"."+f.key, "is missing, and this member is beside this node: "+f.what)
		}
	}
	if p.BinDir == "" {
		return
	}
	controldata := "pg_controldata"
	if runtime.GOOS == "windows" {
		controldata += ".exe"
	}
	if err := program(filepath.Join(p.BinDir, controldata)); err != nil {
		l.value(at+".bin_dir", err.Error())
	}
}

func (l *loader) checkProgram(key string, argv []string) {
	if len(argv) == 0 {
		return
	}
	if err := program(argv[0]); err != nil {
		l.value(key, err.Error())
	}
}

// program returns an error unless this machine can run a program.
func program(name string) error {
	_, err := exec.LookPath(name)
	var why *exec.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound) && filepath.Base(name) == name:
		return fmt.Errorf("there is no program %q in PATH: install it, or write its whole path", name)
	case errors.As(err, &why):
		err = cause(why.Err)
	}
	return fmt.Errorf("%s cannot be run: %w", name, err)
}
