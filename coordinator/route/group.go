package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// defaultStraggle is how long Point waits for the rest once enough places took
// the change.
const defaultStraggle = 500 * time.Millisecond

// Place is a router with a name for people.
type Place struct {
	Name   string
	Router Router
	// Follows says that the place finds out by itself where clients belong, as a front
	// that follows the lease does. It is told as the others are, but nothing is made to
	// wait for it, unless all places are such.
	Follows bool
}

// GroupOptions say how places make one router.
type GroupOptions struct {
	// Need is how many places must take a change for Point to succeed, of those that do
	// not follow by themselves. 0 is a majority: then no stale coordinator can get as many places that a newer
	// one did not reach. Less than that prefers moving clients to agreeing.
	Need int
	// Straggle is how long the rest is waited for once Need have taken the
	// change; 0 is half a second.
	Straggle time.Duration
	// OnLag hears of each place that did not take a change that succeeded. It
	// must not block. Keep brings such places up to date later.
	OnLag func(place string, err error)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// Group is several places that are pointed at the same target: the primaries of
// a zone, or a front and a name server.
type Group struct {
	places []Place
	o      GroupOptions
	counts []bool // which places count for Need
	voters int    // how many do
}

// NewGroup makes one router of several.
func NewGroup(places []Place, o GroupOptions) (*Group, error) {
	g := &Group{places: slices.Clone(places)}
	all := !slices.ContainsFunc(places, func(p Place) bool { return !p.Follows })
	for _, p := range places {
		g.counts = append(g.counts, all || !p.Follows)
		if all || !p.Follows {
			g.voters++
		}
	}
	if o.Need == 0 {
		o.Need = g.voters/2 + 1
	}
	if o.Straggle == 0 {
		o.Straggle = defaultStraggle
	}
	if o.OnLag == nil {
		o.OnLag = func(string, error) {}
	}
	o.Clock = clock.Or(o.Clock)
	if len(places) == 0 || o.Need < 1 || o.Need > g.voters {
		return nil, fault.New("route by several places", "", fmt.Errorf("%d of %d places can never agree", o.Need, g.voters), "see need in the route's configuration")
	}
	g.o = o
	return g, nil
}

// told is what a place answered.
type told struct {
	place int
	state State
	err   error
}

// ask asks all places at once. The channel gets one answer each.
func (g *Group) ask(ctx context.Context, fn func(context.Context, Router) (State, error)) <-chan told {
	answers := make(chan told, len(g.places))
	for i, p := range g.places {
		go func() {
			state, err := fn(ctx, p.Router)
			if err != nil {
				err = fmt.Errorf("%s: %w", p.Name, err)
			}
			answers <- told{i, state, err}
		}()
	}
	return answers
}

// Point implements Router. It fails with ErrStale when any place knows a newer
// epoch, and otherwise succeeds when enough places took the change.
func (g *Group) Point(ctx context.Context, t Target, epoch uint64) error {
	if err := checkPoint(t, epoch); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := g.ask(ctx, func(ctx context.Context, r Router) (State, error) { return State{}, r.Point(ctx, t, epoch) })

	straggle := g.o.Clock.NewTimer(time.Hour)
	straggle.Stop()
	defer straggle.Stop()
	took, answered := 0, map[int]bool{}
	failed := map[int]error{}
	var waits error // why the rest is not waited for any longer
	for len(answered) < len(g.places) && waits == nil {
		select {
		case a := <-answers:
			answered[a.place] = true
			if a.err != nil {
				failed[a.place] = a.err
				continue
			}
			if g.counts[a.place] {
				took++
			}
			if took == g.o.Need {
				straggle.Reset(g.o.Straggle)
			}
		case <-straggle.C():
			waits = errors.New("the other places were faster")
			cancel(waits)
		case <-ctx.Done(): // a place may hang, whatever it is told
			waits = context.Cause(ctx)
		}
	}
	for i, p := range g.places {
		if !answered[i] {
			failed[i] = fmt.Errorf("%s: %w", p.Name, waits)
		}
	}
	errs := inOrder(failed)
	all := errors.Join(errs...)
	if took >= g.o.Need && !errors.Is(all, ErrStale) {
		for place, err := range failed {
			g.o.OnLag(g.places[place].Name, err)
		}
		return nil
	}
	return fault.New("point clients at", t.Member, all, g.shortHint(took))
}

func (g *Group) shortHint(took int) string {
	if took >= g.o.Need {
		return ""
	}
	return fmt.Sprintf("%d of %d places took the change and %d are needed; point again when they can be reached", took, g.voters, g.o.Need)
}

// Current implements Router: the newest state that as many places have reached as
// Point needs. A place that is ahead of the others does not count for all, so that
// whoever asks whether a change is done points again.
func (g *Group) Current(ctx context.Context) (Target, uint64, error) {
	states, err := g.current(ctx)
	for i, counts := range g.counts {
		if !counts {
			delete(states, i)
		}
	}
	if len(states) < g.o.Need {
		return Target{}, 0, fault.New("see where clients are led", "", err, fmt.Sprintf("%d of %d places answered and %d are needed", len(states), g.voters, g.o.Need))
	}
	newestFirst := slices.SortedFunc(maps.Values(states), func(a, b State) int { return cmp.Compare(b.Epoch, a.Epoch) })
	reached := newestFirst[g.o.Need-1]
	return reached.Target, reached.Epoch, nil
}

// current asks every place; what answered is in states.
func (g *Group) current(ctx context.Context) (states map[int]State, err error) {
	answers := g.ask(ctx, func(ctx context.Context, r Router) (State, error) {
		t, epoch, err := r.Current(ctx)
		return State{Epoch: epoch, Target: t}, err
	})
	straggle := g.o.Clock.NewTimer(time.Hour)
	straggle.Stop()
	defer straggle.Stop()
	states, failed, counted := map[int]State{}, map[int]error{}, 0
	for len(states)+len(failed) < len(g.places) {
		select {
		case a := <-answers:
			if g.counts[a.place] {
				counted++
			}
			if counted == g.voters { // the rest is good to know
				straggle.Reset(g.o.Straggle)
			}
			if a.err != nil {
				failed[a.place] = a.err
				continue
			}
			states[a.place] = a.state
		case <-straggle.C():
			return states, errors.Join(inOrder(failed)...)
		case <-ctx.Done(): // a place may hang, whatever it is told
			return states, errors.Join(append(inOrder(failed), context.Cause(ctx))...)
		}
	}
	return states, errors.Join(inOrder(failed)...)
}

// Check implements Router. Places that disagree are an error: clients are led to
// different members, depending on whom they ask.
func (g *Group) Check(ctx context.Context) error {
	answers := g.ask(ctx, func(ctx context.Context, r Router) (State, error) { return State{}, r.Check(ctx) })
	failed := map[int]error{}
	for range g.places {
		select {
		case a := <-answers:
			if a.err != nil {
				failed[a.place] = a.err
			}
		case <-ctx.Done(): // a place may hang, whatever it is told
			return errors.Join(append(inOrder(failed), context.Cause(ctx))...)
		}
	}
	states, _ := g.current(ctx) // who does not answer failed its Check already
	return errors.Join(append(inOrder(failed), g.disagreement(states))...)
}

func (g *Group) disagreement(states map[int]State) error {
	var said []string
	var first *State
	differ := false
	for _, place := range slices.Sorted(maps.Keys(states)) {
		s := states[place]
		if first == nil {
			first = &s
		}
		differ = differ || s.Epoch != first.Epoch || !s.Target.alike(first.Target)
		said = append(said, fmt.Sprintf("%s leads to %v with epoch %d", g.places[place].Name, s.Target, s.Epoch))
	}
	if !differ {
		return nil
	}
	return fault.New("compare the places that lead clients", "", errors.New(strings.Join(said, "; ")), "point again with the newest epoch")
}

// inOrder are the errors in the order of their places.
func inOrder(failed map[int]error) []error {
	var errs []error
	for _, place := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, failed[place])
	}
	return errs
}
