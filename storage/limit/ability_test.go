package limit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/limit"
)

type keeping struct{ storage.Backend }

func (keeping) Retain(context.Context, string, time.Time) error { return nil }
func (keeping) Retained(context.Context, string) (t time.Time, err error) {
	return time.Unix(7, 0), nil
}
func (keeping) RetentionCheck(context.Context) error { return nil }

type thawing struct{ keeping }

func (thawing) Thaw(context.Context, []string, storage.ThawOptions) (storage.ThawState, error) {
	return storage.ThawState{Ready: 3}, nil
}

// Abilities stay visible, those that are there and no others, and count as requests.
func TestAbilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := limit.Options{Rates: limit.Rates{Requests: 1}}
		plain := wrap(faults.NewMemory(), o)
		if _, ok := plain.(storage.Retainer); ok {
			t.Error("a backend that keeps nothing became a Retainer")
		}
		be := wrap(thawing{keeping{faults.NewMemory()}}, o)
		keeps, ok := be.(storage.Retainer)
		if !ok {
			t.Fatal("the Retainer is hidden")
		}
		begun := time.Now()
		for range 3 {
			if err := keeps.Retain(t.Context(), "a", time.Now()); err != nil {
				t.Error(err)
			}
			if until, err := keeps.Retained(t.Context(), "a"); err != nil || until != time.Unix(7, 0) {
				t.Error(until, err)
			}
			if err := keeps.RetentionCheck(t.Context()); err != nil {
				t.Error(err)
			}
			if state, err := be.(storage.Thawer).Thaw(t.Context(), []string{"a"}, storage.ThawOptions{}); err != nil || state.Ready != 3 {
				t.Error(state, err)
			}
		}
		about(t, "12 requests at one a second", time.Since(begun), 12*time.Second)
	})
}
