package retry

import (
	"context"
	"time"

	"mahavishnu/storage/backend"
)

// retainer tries again what concerns retention.
type retainer struct {
	b     *Backend
	inner backend.Retainer
}

func (r *retainer) Retain(ctx context.Context, name string, until time.Time) error {
	return r.b.do(ctx, "retain", name, func(ctx context.Context) error { return r.inner.Retain(ctx, name, until) })
}

func (r *retainer) Retained(ctx context.Context, name string) (until time.Time, err error) {
	err = r.b.do(ctx, "retained", name, func(ctx context.Context) error {
		until, err = r.inner.Retained(ctx, name)
		return err
	})
	return until, err
}

func (r *retainer) RetentionCheck(ctx context.Context) error {
	return r.b.do(ctx, "check retention", "", r.inner.RetentionCheck)
}

// thawer tries again what concerns archive tiers.
type thawer struct {
	b     *Backend
	inner backend.Thawer
}

func (t *thawer) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (state backend.ThawState, err error) {
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	asked := 0 // in tries that broke off, too
	err = t.b.do(ctx, "thaw", first, func(ctx context.Context) error {
		state, err = t.inner.Thaw(ctx, names, o)
		asked += state.Asked
		return err
	})
	state.Asked = asked
	return state, err
}
