package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{repository.ErrNotRepository, 1},
		{usagef("mahavishnu", "wrong"), 2},
		{config.Errors{{Message: "bad"}}, 2},
		{&messages.RefusedError{Reason: "no"}, 2},
		{keyring.ErrNoRing, 2},
		{keyring.ErrMode, 2},
		{keyring.ErrNoVersion, 2},
		{errors.Join(keyring.ErrNoVersion, repository.ErrDamaged), 4},
		{repository.ErrWrongKey, 2},
		{errUnreadable, 3},
		{errIntegrity, 4},
		{repository.ErrDamaged, 4},
		{&repository.BlobError{Err: repository.ErrBlobMissing}, 4},
		{repository.ErrUnreadable, 4},
		{repository.ErrUnreachable, 1},
		{errors.Join(errUnreadable, errIntegrity), 4},
		{messages.ErrFenced, 5},
		{bus.ErrLeaseLost, 5},
		{repository.ErrFenced, 5},
		{errMissed, 6},
		{errCutOff, 7},
		{context.Canceled, 130},
		{&interruptedError{os.Interrupt}, 130},
		{errors.Join(&interruptedError{os.Interrupt}, repository.ErrDamaged), 130},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("while doing something: %w", err)
		}
		if got := exitCode(err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", err, got, c.want)
		}
		if exitMeaning(c.want) == "" {
			t.Errorf("exit code %d has no meaning", c.want)
		}
	}
}
