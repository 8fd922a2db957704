package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// shortPatience is how long a queue is given in a region that may have two: the common one
// before the region's own is looked for, and that one; and a copy in another region once
// this one is known to be cut off.
const shortPatience = 4 * time.Second

// cutOff says that this machine's region is cut off from the queue: none of the servers
// that it reaches is with the majority.
type cutOff struct {
	Region string `json:"region"`
	// Since is when the queue acknowledged something last, as the region's nodes know; it
	// is missing when none of them was heard.
	Since time.Time `json:"since,omitzero"`
	// Queue is the region's own, of which the rest is; "" when it goes on with none.
	Queue string `json:"queue,omitempty"`
	// Why is what was wrong with the common one.
	Why string `json:"why"`
}

func (c *cutOff) String() string {
	if c.Queue == "" {
		return fmt.Sprintf("region %s is cut off from the majority of the queue's servers, or there is none, so nothing that is stored there can be read: %s", c.Region, c.Why)
	}
	since := ""
	if !c.Since.IsZero() {
		since = " since " + terminal.Moment(c.Since.Local())
	}
	return fmt.Sprintf("region %s is cut off%s and goes on with a queue of its own, %s", c.Region, since, c.Queue)
}

// err ends a command that showed what a region knows that is cut off; nil when it is not.
func (c *cutOff) err() error {
	if c == nil {
		return nil
	}
	return reported{errCutOff}
}

// view is the queue as far as it can be seen from here.
type view struct {
	// queue is the common one, or the own one of a region that is cut off; nil is neither.
	*queue
	// cut is set when the region is cut off.
	cut *cutOff
	// heard is then a server of the common queue that answers: what is not stored can be
	// asked for there. It may be nil.
	heard *bus.Conn
	// nodes are those that were heard at the region's own queue.
	nodes []messages.Heartbeat
}

func (v *view) Close() error {
	var errs []error
	if v.queue != nil {
		errs = append(errs, v.queue.Close())
	}
	if v.heard != nil {
		errs = append(errs, v.heard.Close())
	}
	return errors.Join(errs...)
}

// withView runs fn with what there is of the queue. When that stops answering, because the
// region was cut off a moment ago, fn runs again with what is left.
func (e *env) withView(ctx context.Context, fn func(*view) error) (err error) {
	v, err := e.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	err = fn(v)
	if v.cut != nil || !bus.Unanswered(err) || ctx.Err() != nil {
		return err
	}
	cfg, cfgErr := e.config()
	if cfgErr != nil {
		return cfgErr
	}
	v.heard, v.queue, v.cut = v.conn, nil, &cutOff{Region: cfg.Node.Region, Why: err.Error()}
	if alone := cfg.NATS.Island.After > 0 && v.findOwn(ctx, e, cfg); !alone && !bus.Undecided(err) {
		return err // it may be that this user has no right to ask
	}
	return fn(v)
}

// look opens the queue by whichever of its servers is with the majority, and where none is
// what there is instead. It is an error when there is nothing.
func (e *env) look(ctx context.Context) (*view, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	mayBeAlone := cfg.NATS.Island.After > 0
	var patience time.Duration
	if mayBeAlone {
		patience = shortPatience
	}
	conn, b, err := app.Reach(ctx, cfg, clientName(cfg), patience)
	if err == nil {
		return &view{queue: &queue{b, conn}}, nil
	}
	v := &view{heard: conn, cut: &cutOff{Region: cfg.Node.Region, Why: strings.ReplaceAll(err.Error(), "\n", "; ")}}
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(err, v.Close())
	case !mayBeAlone:
	case v.findOwn(ctx, e, cfg):
		return v, nil
	case v.heard == nil && unreached(cfg, err): // no server is there that others could elect
	default: // perhaps the servers were just electing a leader
		if err := v.Close(); err != nil {
			return nil, err
		}
		if v.heard, b, err = app.Reach(ctx, cfg, clientName(cfg), 0); err == nil {
			return &view{queue: &queue{b, v.heard}}, nil
		}
	}
	if v.heard == nil && !unreached(cfg, err) {
		return nil, err
	}
	return v, nil
}

// unreached reports whether a queue that several regions share is out of reach: nothing at
// all comes back from its servers.
func unreached(cfg *config.Config, err error) bool { return len(cfg.Regions) > 1 && bus.TimedOut(err) }

// findOwn looks for the queue that the region goes on with.
func (v *view) findOwn(ctx context.Context, e *env, cfg *config.Config) bool {
	own := app.IslandOf(cfg)
	conn, b, err := app.Reach(ctx, own, clientName(cfg), shortPatience)
	if err != nil {
		if conn != nil {
			_ = conn.Close() // nothing was entrusted to it
		}
		return false
	}
	q := &queue{b, conn}
	nodes, err := e.nodes(ctx, q)
	since, alone := aloneSince(nodes, cfg.Node.Region)
	// A second server of the region is always there; one inside a process only while it
	// is needed.
	if err != nil || !alone && cfg.NATS.Island.URL != "" {
		_ = q.Close() // as above
		return false
	}
	v.queue, v.nodes, v.cut.Since, v.cut.Queue = q, nodes, since, conn.Where()
	return true
}

// aloneSince tells whether nodes of a region go on alone, and since when.
func aloneSince(nodes []messages.Heartbeat, region string) (since time.Time, alone bool) {
	for _, h := range nodes {
		if !h.Island || h.Region != region {
			continue
		}
		alone = true
		if since.IsZero() || h.IslandSince.Before(since) {
			since = h.IslandSince
		}
	}
	return since, alone
}
