package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/retry"
)

// able is a backend with abilities that fail at first.
type able struct {
	storage.Backend
	fail int
	kept time.Time
}

func (a *able) try() error {
	if a.fail > 0 {
		a.fail--
		return errReset
	}
	return nil
}

func (a *able) Retain(_ context.Context, _ string, until time.Time) error {
	if err := a.try(); err != nil {
		return err
	}
	a.kept = until
	return nil
}

func (a *able) Retained(context.Context, string) (time.Time, error) { return a.kept, a.try() }
func (a *able) RetentionCheck(context.Context) error                { return a.try() }

type thawing struct{ *able }

func (t thawing) Thaw(context.Context, []string, storage.ThawOptions) (storage.ThawState, error) {
	return storage.ThawState{Asked: 2}, t.try()
}

// Abilities stay visible, those that are there and no others, and are tried again.
func TestAbilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := retry.Wrap(faults.NewMemory(), retry.Options{})
		if _, ok := plain.(storage.Retainer); ok {
			t.Error("a backend that keeps nothing became a Retainer")
		}
		if _, ok := plain.(storage.Thawer); ok {
			t.Error("a backend without archive became a Thawer")
		}
		inner := &able{Backend: faults.NewMemory()}
		keeps, ok := retry.Wrap(inner, retry.Options{}).(storage.Retainer)
		if !ok {
			t.Fatal("the Retainer is hidden")
		}
		if _, ok := keeps.(storage.Thawer); ok {
			t.Error("a backend without archive became a Thawer")
		}
		until := time.Now().Add(time.Hour)
		inner.fail = 2
		if err := keeps.Retain(t.Context(), "a", until); err != nil || !inner.kept.Equal(until) {
			t.Errorf("Retain: %v, kept until %v", err, inner.kept)
		}
		inner.fail = 2
		if got, err := keeps.Retained(t.Context(), "a"); err != nil || !got.Equal(until) {
			t.Errorf("Retained = %v, %v", got, err)
		}
		inner.fail = 2
		if err := keeps.RetentionCheck(t.Context()); err != nil {
			t.Errorf("RetentionCheck: %v", err)
		}
		both := retry.Wrap(thawing{inner}, retry.Options{})
		if _, ok := both.(storage.Retainer); !ok {
			t.Error("the Retainer is hidden beside the Thawer")
		}
		inner.fail = 1
		state, err := both.(storage.Thawer).Thaw(t.Context(), []string{"a", "b"}, storage.ThawOptions{Days: 1})
		if err != nil || state.Asked != 4 {
			t.Errorf("Thaw = %+v, %v; want what both tries asked for", state, err)
		}
		inner.fail = 100
		if err := keeps.RetentionCheck(t.Context()); !errors.Is(err, errReset) {
			t.Errorf("RetentionCheck of a dead server: %v", err)
		}
	})
}
