package metered

import (
	"context"
	"time"

	"mahavishnu/storage/backend"
)

// retainer watches what concerns retention.
type retainer struct {
	b     *Backend
	inner backend.Retainer
}

func (r *retainer) Retain(ctx context.Context, name string, until time.Time) error {
	return r.b.watch("retain", 0, func() error { return r.inner.Retain(ctx, name, until) })
}

func (r *retainer) Retained(ctx context.Context, name string) (until time.Time, err error) {
	err = r.b.watch("retained", 0, func() error {
		until, err = r.inner.Retained(ctx, name)
		return err
	})
	return until, err
}

func (r *retainer) RetentionCheck(ctx context.Context) error {
	return r.b.watch("check_retention", 0, func() error { return r.inner.RetentionCheck(ctx) })
}

// thawer watches what concerns archive tiers.
type thawer struct {
	b     *Backend
	inner backend.Thawer
}

func (t *thawer) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (state backend.ThawState, err error) {
	err = t.b.watch("thaw", 0, func() error {
		state, err = t.inner.Thaw(ctx, names, o)
		return err
	})
	return state, err
}
