package main

import (
	"io"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/terminal"
)

// Snapshots that a newer key sealed are not damaged, and say so by the exit code.
func TestNewerSnapshotsAreNotDamaged(t *testing.T) {
	for _, json := range []bool{false, true} {
		e := &env{term: terminal.New(io.Discard, io.Discard, terminal.Options{JSON: json})}
		for _, c := range []struct {
			name    string
			damaged []error
			code    int
		}{
			{"none", nil, exitDone},
			{"newer", []error{keyring.ErrNoVersion, keyring.ErrNoVersion}, exitUsage},
			{"damaged", []error{repository.ErrDamaged}, exitIntegrity},
			{"both", []error{keyring.ErrNoVersion, repository.ErrDamaged}, exitIntegrity},
		} {
			if err := e.damagedSnapshots(c.damaged); exitCode(err) != c.code {
				t.Errorf("%s, JSON %v: exit code %d, want %d", c.name, json, exitCode(err), c.code)
			}
		}
	}
}
