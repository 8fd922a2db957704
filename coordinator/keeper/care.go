package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/coordinator/standby"
)

// care is what a primary knows about its standbys. Between two operations it belongs to the look
// that is under way, of which there is one at a time.
type care struct {
	known known
	// waitsFor are the members that writes wait for, which the record may not say yet.
	waitsFor []string
	// away is since when one of the record's members has not been connected.
	away time.Time
}

// nobody is whom writes wait for when no standby is secured.
func (k *Keeper) nobody() []string {
	if k.o.Mode == Strict {
		return []string{standby.Everyone}
	}
	return nil
}

// look begins a look at the member, unless one is under way or something is done to it.
func (r *runner) look() {
	if r.looking || r.op != nil && r.Status().State != Waiting {
		return
	}
	r.looking = true
	o := observation{at: r.o.Clock.Now()}
	state := r.Status().State
	leading, starting := r.tenure != nil && state == Leading, state == Starting
	ctx := r.ctx
	if leading {
		o.tenure, ctx = r.tenure.Epoch(), r.tenure.Context()
	}
	c := &r.care
	go func() {
		o.lacks = r.lacks()
		o.health, o.err = r.o.Driver.Health(ctx)
		if starting && o.err != nil {
			var now known
			now, o.ledErr = r.load(ctx)
			o.led = now.revision != 0
		}
		if leading && o.err == nil && o.health.Writable && r.o.Mode != Asynchronous {
			o.careErr = r.secure(ctx, c)
			o.secured = c.known.Members
		}
		r.observed <- o
	}()
}

// secure keeps the record true: its members have everything that is acknowledged. One that
// is away for too long is taken out of the record before writes stop waiting for it; one
// that is there is entered after they do and it has all that came before.
func (k *Keeper) secure(ctx context.Context, c *care) error {
	s, ok := k.o.Driver.(standby.Synchronizer)
	if !ok {
		return errors.New("the driver knows no standbys")
	}
	replicas, err := s.Replicas(ctx)
	if err != nil {
		return err
	}
	there := map[string]standby.Replica{}
	var names []string
	for _, r := range replicas {
		if r.Streaming && r.Name != k.o.Member {
			there[r.Name] = r
			names = append(names, r.Name)
		}
	}
	if len(c.known.Members) > 0 {
		return k.keepSecured(ctx, c, s, there, names)
	}
	if len(c.waitsFor) > 0 {
		switch r, ok := there[c.waitsFor[0]]; {
		case !ok:
			c.waitsFor = nil
			return s.SetSynchronous(ctx, k.nobody())
		case r.Secured:
			return k.note(ctx, c, c.waitsFor)
		}
		return nil
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	c.waitsFor = names[:1]
	return s.SetSynchronous(ctx, c.waitsFor)
}

// keepSecured looks after a member that is in the record.
func (k *Keeper) keepSecured(ctx context.Context, c *care, s standby.Synchronizer, there map[string]standby.Replica, names []string) error {
	if _, ok := there[c.known.Members[0]]; ok {
		c.away = time.Time{}
		return nil
	}
	now := k.o.Clock.Now()
	if c.away.IsZero() {
		c.away = now
	}
	// Strictly, only another one may take its place.
	if now.Sub(c.away) < k.o.SyncPatience || k.o.Mode == Strict && len(names) == 0 {
		return nil
	}
	if err := k.note(ctx, c, nil); err != nil {
		return err
	}
	c.away, c.waitsFor = time.Time{}, nil
	return s.SetSynchronous(ctx, k.nobody())
}

// note writes members into the record, in place of what this primary wrote last.
func (k *Keeper) note(ctx context.Context, c *care, members []string) error {
	next := c.known.Record
	next.Members = members
	saved, err := k.save(ctx, next, c.known.revision)
	if err == nil {
		c.known = saved
		return nil
	}
	if !errors.Is(err, ErrDeposed) {
		return err
	}
	// An own write that was never heard of counts; anybody else's ends the tenure.
	now, lerr := k.load(ctx)
	if lerr != nil {
		return lerr
	}
	if now.Primary != k.o.Member || now.Epoch != next.Epoch {
		return fmt.Errorf("%w: %s, since epoch %d", ErrDeposed, now.Primary, now.Epoch)
	}
	c.known = now
	return nil
}

// judge draws the conclusions from a look.
func (r *runner) judge(o observation) {
	tenure := uint64(0)
	leading := r.tenure != nil && r.Status().State == Leading
	if leading {
		tenure = r.tenure.Epoch()
	}
	if r.op != nil && r.Status().State != Waiting || r.unfenced || tenure != o.tenure {
		return // what was seen is over
	}
	r.update(func(s *Status) {
		s.Health, s.Seen, s.Trouble, s.Lacks = o.health, o.at, text(errors.Join(o.err, o.careErr)), text(o.lacks)
		if leading {
			s.Secured = slices.Clone(o.secured)
		}
	})
	owed, _ := r.state.owes()
	switch {
	case owed != 0 && o.health.Running:
		r.deliver(o.health)
	case leading:
		r.judgePrimary(o)
	case r.Status().State == Starting:
		r.judgeNewcomer(o)
	default:
		r.judgeStandby(o)
	}
}

// judgeNewcomer waits for the first answer of a member that this keeper knows nothing of. While
// its service has never had a primary there is none whose tenure it could be in the middle of,
// so that to stop it would only keep a new service from its first one.
func (r *runner) judgeNewcomer(o observation) {
	switch {
	case o.err == nil:
		if err := r.meet(o.health, o.at); err != nil {
			r.update(func(s *Status) { s.Trouble = err.Error() })
		}
	case o.led, o.ledErr != nil && !r.o.Clock.Now().Before(r.adopting):
		r.refuse(o.err)
	}
}

func (r *runner) judgePrimary(o observation) {
	switch {
	case errors.Is(o.careErr, ErrDeposed):
		r.giveUp(o.careErr.Error())
	case o.err != nil:
		if silent, enough := r.silent(); enough {
			r.giveUp(fmt.Sprintf("it has not answered for %v: %v", silent, o.err))
		}
	case !o.health.Running:
		r.giveUp("it is gone: " + o.health.Detail)
	case !o.health.Writable && o.health.Role == standby.Standby:
		r.giveUp("it takes no writes any more")
	case !o.health.Writable:
		// It is there, and of no use: a lease that is kept for it keeps others away.
		if silent, enough := r.silent(); enough {
			r.giveUp(strings.TrimSuffix(fmt.Sprintf("it has taken no writes for %v: %s", silent, o.health.Detail), ": "))
		}
	default:
		r.answered, r.unanswered = o.at, 0
	}
}

// silent counts a look at a primary that served nobody, and tells for how long it has been
// so, and whether that is long enough.
func (r *runner) silent() (time.Duration, bool) {
	r.unanswered++
	silent := r.o.Clock.Now().Sub(r.answered)
	return silent.Round(time.Millisecond), silent >= r.o.Patience && r.unanswered >= enoughSilence
}

// enoughSilence is how many looks without an answer count: one alone may have met a keeper that slept.
const enoughSilence = 2

func (r *runner) judgeStandby(o observation) {
	if o.err != nil {
		return
	}
	now := r.o.Clock.Now()
	role := r.state.get().Role
	switch state := r.Status().State; {
	case o.health.Writable:
		if r.tenure == nil && !now.Before(r.adopting) {
			r.fence("it takes writes without the lease")
			r.comeBack()
		}
	case state == Waiting:
	case o.health.Running && o.health.Role == standby.Standby:
		if role == "" {
			if err := r.state.change(func(m *memory) { m.Role = roleStandby }); err != nil {
				r.update(func(s *Status) { s.Trouble = err.Error() })
			}
		}
		if state == Down && role != rolePrimary && role != roleFenced {
			r.become(Following, "")
		}
	case !o.health.Running && o.health.Role == standby.Standby && (role == roleStandby || role == ""):
		r.restart(o)
	case state == Following && !o.health.Running:
		r.become(Down, o.health.Detail)
	}
}

// restart starts a standby that is down. It takes no writes.
func (r *runner) restart(o observation) {
	s, ok := r.o.Driver.(standby.Starter)
	if !ok || r.op != nil || r.tenure != nil {
		return
	}
	if r.o.Clock.Now().Before(r.resting) {
		return
	}
	r.start(r.ctx, Rejoining, "it was down: "+o.health.Detail, func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeout(ctx, r.o.PromoteTime)
		defer cancel()
		err := s.Start(ctx)
		return func() {
			if err != nil {
				// Not again at once.
				r.resting = r.o.Clock.Now().Add(r.o.Timing.Lease)
				r.become(Down, err.Error())
				return
			}
			r.become(Following, "")
		}
	})
}
