package storage

import (
	"context"
	"net/url"
	"strings"
	"time"

	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/location"
)

// MemberNotice says of a storage, of those that a dispersed one is spread over, that it
// cannot be counted on, or can again.
type MemberNotice = dispersed.Notice

// dispersed opens a storage that is spread over several. As many of them as may be lost
// may fail to open.
func (o OpenOptions) dispersed(ctx context.Context, l dispersed.Layout) (Backend, error) {
	c := dispersed.Config{
		Data: l.Data, Parity: l.Parity, Quorum: l.Quorum, NoHedging: l.NoHedging, Clock: o.Clock, Tell: o.OnMember,
	}
	for _, at := range l.At {
		open, err := parse(at)
		if err != nil {
			return nil, err // a mistake in how it is written down
		}
		c.Places = append(c.Places, dispersed.Place{
			Location: shownMember(at),
			Open: func(ctx context.Context, failing func(error)) (Backend, error) {
				return open(ctx, o.told(failing))
			},
		})
	}
	all, err := dispersed.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return all.Able(), nil
}

// told has every failure told that is tried again.
func (o OpenOptions) told(failing func(error)) OpenOptions {
	before := o.Retry.Observe
	o.Retry.Observe = func(op string, err error, wait time.Duration) {
		failing(err)
		if before != nil {
			before(op, err, wait)
		}
	}
	return o
}

// shownMember names a storage, that was parsed, to people.
func shownMember(at string) string {
	u, err := url.Parse(at)
	if err != nil || !strings.Contains(at, "://") {
		return location.Masked(at)
	}
	return location.Shown(u)
}
