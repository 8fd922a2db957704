package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
)

// hear takes a command that has come: one that may be obeyed takes the place of others
// that wait, which were given before it.
func (r *runner) hear(q *request) {
	switch {
	case !r.heed(q) || q.command.Verb == Heed:
		return
	case q.command.Verb == Confirm:
		r.obeyConfirm(q)
		return
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(before *request) bool {
		if before.command.Verb == q.command.Verb {
			return false
		}
		before.reply(Answer{}, fmt.Errorf("%w: it was ordered to %s meanwhile", ErrBusy, q.command.Verb))
		return true
	})
	r.obey(q)
}

// heed remembers a command's epoch, or refuses the command. That of a fence is written down
// when the member is stopped: a disk that hangs, or is full, must not keep it running.
func (r *runner) heed(q *request) bool {
	if q.command.Verb == Heed {
		r.promise(q)
		return true
	}
	remember := r.state.obey
	if q.command.Verb == Fence || q.command.Verb == Confirm {
		remember = r.state.hear
	}
	if err := remember(q.command.Epoch); err != nil {
		q.refuse(err)
		return false
	}
	r.update(func(s *Status) { s.CommandEpoch = q.command.Epoch })
	return true
}

// promise obeys nobody older from now on, and answers when that is written down. It is written
// beside the loop: a coordinator asks this before it orders a fence, which must come through when
// the disk hangs.
func (r *runner) promise(q *request) {
	if err := r.state.hear(q.command.Epoch); err != nil {
		q.refuse(err)
		return
	}
	r.update(func(s *Status) { s.CommandEpoch = q.command.Epoch })
	epoch := r.state.get().Tenure
	if r.tenure != nil {
		epoch = r.tenure.Epoch()
	}
	r.beside.Go(func() {
		if err := r.state.obey(q.command.Epoch); err != nil {
			q.refuse(err)
			return
		}
		q.reply(r.answer(epoch, "it obeys nobody older from now on"), nil)
	})
}

// refuse tells whoever ordered something that it is not obeyed.
func (q *request) refuse(err error) {
	q.reply(Answer{}, fault.WithHint(err, "another coordinator leads now"))
}

// later puts a command off until what is being done is over. Whatever that is, it ends
// soon, and mostly it is the very thing that is ordered: begun by the keeper
// itself, or by order of a coordinator that is no more.
func (r *runner) later(q *request) { r.waiting = append(r.waiting, q) }

// takeUp carries out what was put off, unless whoever ordered it has given up.
func (r *runner) takeUp() {
	for range len(r.waiting) {
		if r.op != nil || r.unfenced {
			return
		}
		q := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		if q.ctx.Err() == nil && r.heed(q) {
			r.obey(q)
		}
	}
}

// obey carries out a command, or begins to.
func (r *runner) obey(q *request) {
	switch q.command.Verb {
	case Fence:
		r.obeyFence(q)
	case Promote:
		r.obeyPromote(q)
	case Demote:
		r.obeyDemote(q)
	case Rejoin:
		r.obeyRejoin(q)
	}
}

// meant tells whether a command is about the tenure that is, or about one before.
func (r *runner) meant(c Command) error {
	if r.tenure != nil && c.Tenure != 0 && r.tenure.Epoch() > c.Tenure {
		return fmt.Errorf("%w: it is about tenures up to %d, and this is %d", ErrStale, c.Tenure, r.tenure.Epoch())
	}
	return nil
}

func (r *runner) obeyFence(q *request) {
	if err := r.meant(q.command); err != nil {
		q.reply(Answer{}, err)
		return
	}
	const why = "by order"
	if r.countsAsStopped() {
		r.retake = time.Time{}
		r.become(Fenced, r.Status().Reason)
		err := r.state.change(func(m *memory) { m.Role = roleFenced })
		q.reply(r.answer(r.state.get().Tenure, "it counts as stopped, and is told so when it answers"), err)
		return
	}
	// An operation may be what makes the member writable: first stop the member, then
	// wait for the operation, then look that it did nothing meanwhile.
	op := r.op
	if op != nil {
		op.cancel(fmt.Errorf("%w %s", ErrFenced, why))
	}
	held := r.tenure != nil
	r.fence(why)
	if op != nil {
		r.complete()
		r.fence(why)
	}
	r.retake = time.Time{}
	r.letGo = r.tenure != nil
	if r.unfenced {
		q.reply(Answer{}, fault.WithHint(errors.New(r.Status().Trouble), Remedy(r.o.Service, r.o.Member)))
		return
	}
	if r.letGo {
		r.letGo = false
		r.release()
	}
	err := r.state.change(func(m *memory) { m.Role = roleFenced })
	detail := "it was fenced"
	if held {
		detail = "it was fenced, and the lease given back"
	}
	q.reply(r.answer(r.state.get().Tenure, detail), err)
}

func (r *runner) obeyPromote(q *request) {
	switch {
	case r.tenure != nil && r.Status().State == Leading:
		q.reply(r.answer(r.tenure.Epoch(), "it is the primary already"), nil)
	case r.op != nil && r.tenure == nil && r.Status().State == Waiting:
		// A campaign of its own, or one whose caller has gone: this one has an epoch.
		r.abort(ErrBusy)
		r.campaign(q)
	case r.unfenced || r.op != nil || r.tenure != nil:
		r.later(q)
	default:
		r.campaign(q)
	}
}

func (r *runner) obeyDemote(q *request) {
	if err := r.meant(q.command); err != nil {
		q.reply(Answer{}, err)
		return
	}
	switch {
	case r.op != nil && r.tenure == nil && r.Status().State == Waiting:
		r.abort(ErrFenced)
	case r.unfenced || r.op != nil:
		r.later(q)
		return
	}
	if r.tenure == nil {
		r.retake = time.Time{}
		var err error
		if r.state.get().Role == rolePrimary {
			err = r.state.change(func(m *memory) { m.Role = roleFenced })
		}
		q.reply(r.answer(r.state.get().Tenure, "it is no primary"), err)
		return
	}
	t := r.tenure
	r.start(t.Context(), Demoting, "by order", func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeoutCause(ctx, r.o.ShutdownTime, errors.New("the orderly stop took too long"))
		defer cancel()
		err := r.o.Driver.Demote(ctx, t.Epoch())
		h, herr := r.o.Driver.Health(context.WithoutCancel(ctx))
		return func() {
			if err == nil && (herr != nil || h.Writable) {
				err = fmt.Errorf("it may still take writes: %w", errors.Join(herr, ErrFenced))
			}
			if r.tenure == nil { // lost meanwhile
				q.reply(Answer{}, errors.Join(ErrFenced, err))
				return
			}
			if err != nil {
				r.giveUp("the orderly stop failed: " + err.Error())
				r.retake = time.Time{}
				q.reply(Answer{}, fault.WithHint(fmt.Errorf("it was stopped at once, because the orderly stop failed: %w", err), "its standbys may lack what it wrote last"))
				return
			}
			r.update(func(s *Status) { s.Health, s.Seen, s.Trouble = h, r.o.Clock.Now(), "" })
			err := r.state.change(func(m *memory) { m.Role = roleFenced })
			r.release()
			r.become(Fenced, "it was demoted")
			q.reply(r.answer(t.Epoch(), "it was demoted"), err)
		}
	})
}

func (r *runner) obeyRejoin(q *request) {
	switch {
	case q.command.Primary.Name == r.o.Member:
		q.reply(Answer{}, errors.New("it cannot follow itself"))
		return
	case r.op != nil && r.Status().State == Waiting:
		r.abort(ErrFenced)
	case r.unfenced || r.op != nil:
		r.later(q)
		return
	case r.tenure != nil:
		q.reply(Answer{}, fault.WithHint(errors.New("it is the primary"), "demote or fence it first"))
		return
	}
	r.retake = time.Time{}
	// Should this end in the middle, it does not come back as a primary.
	if r.state.get().Role != roleStandby {
		if err := r.state.change(func(m *memory) { m.Role = roleFenced }); err != nil {
			q.reply(Answer{}, err)
			return
		}
	}
	to := q.command.Primary
	r.start(r.ctx, Rejoining, "to follow "+to.Name, func(ctx context.Context) func() {
		epoch := r.state.get().Tenure
		if known, err := r.load(ctx); err == nil {
			epoch = max(epoch, known.Epoch) // the tenure that it joins
		}
		err := r.state.change(func(m *memory) { m.Tenure = max(m.Tenure, epoch) })
		if err == nil {
			err = r.o.Driver.Rejoin(ctx, to, epoch)
		}
		return func() {
			if err == nil {
				r.state.owe(0)
				err = r.state.change(func(m *memory) { m.Role = roleStandby })
			}
			if err != nil {
				r.become(Down, "it could not follow "+to.Name+": "+err.Error())
				q.reply(Answer{}, err)
				return
			}
			r.become(Following, to.Name)
			q.reply(r.answer(r.state.get().Tenure, "it follows "+to.Name), nil)
			r.look()
		}
	})
}
