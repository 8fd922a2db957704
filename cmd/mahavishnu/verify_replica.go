package main

import (
	"context"
	"errors"

	"mahavishnu/app"
	"mahavishnu/replication"
	"mahavishnu/terminal"
)

// recoverConfig brings the repository's configuration back from a copy in another region,
// when nothing of it is left. It comes before the repository is opened, which takes it.
func (e *env) recoverConfig(ctx context.Context) error {
	a, err := e.access()
	if err != nil || e.Replica != "" {
		return err
	}
	done, err := a.RecoverConfig(ctx)
	if err != nil {
		return err
	}
	if done.From != "" {
		e.term.Printf("%s config, config.copy of repository %s: both were lost; mended from %s", e.term.Mark(terminal.Good, "MENDED"), done.ID, done.From)
	}
	return nil
}

// tellCopyProtection says until when the copy that is verified is kept from being
// deleted, where the configuration asks for it. Every object is asked for: what somebody
// put there by hand, or an older program, is not kept by what is configured.
func (e *env) tellCopyProtection(ctx context.Context) (err error) {
	if e.Replica == "" {
		return nil
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	pair, place, err := cfg.Replica(e.Replica)
	if err != nil || app.CopyRetention(cfg, pair).For <= 0 {
		return err
	}
	a, err := e.access()
	if err != nil {
		return err
	}
	be, err := a.Storage.Open(ctx, place.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, be.Close()) }()
	progress := e.term.Progress("looking until when the copy is kept")
	p, err := replication.Protected(ctx, be, e.clock.Now())
	progress.Stop()
	if err != nil {
		return err
	}
	e.term.Event("protection", p)
	if p.Open > 0 {
		e.term.Warnf("%d of %s of the copy can be deleted by whoever has the credentials, such as %s; runs of replication keep what is needed for longer, half-way through, where the storage can: mahavishnu doctor",
			p.Open, terminal.Plural(p.Objects, "object"), p.Example)
		return nil
	}
	e.term.Sayf("all %s of the copy that are needed are kept from being deleted until %s; each run of replication keeps them for longer, half-way through",
		terminal.Plural(p.Objects, "object"), terminal.Moment(p.Until.Local()))
	return nil
}
