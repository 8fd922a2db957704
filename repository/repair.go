package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage"
)

// RepairOptions says what Repair looks at. The zero value compares what is there
// with what should be there and reads small objects only.
type RepairOptions struct {
	// Packs also reads every pack, Parity every parity object.
	Packs, Parity bool
	// Objects to read whole in any case: those that a check named.
	Objects []string
	// Replicas are asked, in this order, for what nothing here mends.
	Replicas []Replica
	// OnAction is called for each object that was not right, once it is mended or
	// given up. Never from two goroutines at once.
	OnAction func(Action)
	// OnProgress is called with the packs looked at so far and in all.
	OnProgress func(done, total int)
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
}

// Action is what Repair did about an object.
type Action struct {
	// Object is its name, Kind one of the Object constants.
	Object string
	Kind   string
	// Found says what was wrong.
	Found error
	// By says what the object was mended from: one of the By constants. "" when it
	// could not be mended.
	By string
	// Left says why it could not be mended.
	Left error
	// Blobs of a pack that can be read neither from it nor from elsewhere.
	Blobs []ID
	// Harmless is true when nothing is lost by what is left.
	Harmless bool
}

// Mended tells whether the object is right now.
func (a Action) Mended() bool { return a.Left == nil }

// String is a line for people.
func (a Action) String() string {
	switch {
	case a.Mended():
		return fmt.Sprintf("%s: %v; mended from %s", a.Object, a.Found, by[a.By])
	case a.Harmless:
		return fmt.Sprintf("%s: %v; cannot be mended, and no data needs it: %v", a.Object, a.Found, a.Left)
	}
	return fmt.Sprintf("%s: %v; cannot be mended: %v", a.Object, a.Found, a.Left)
}

// by says for people what things are mended from.
var by = map[string]string{
	ByParity: "its parity", ByStripe: "the other packs of its stripe", ByName: "where it was misplaced",
	ByCopy: "its second copy", ByReplica: "a replica", ByPacks: "the packs", ByNothing: "nothing: it was not needed",
}

// RepairReport counts what Repair did.
type RepairReport struct {
	Mended   int // objects that are right now
	Left     int // objects that are not, and that something may need
	Harmless int // objects that are not, and that nothing needs
	Packs    int // read whole
	Bytes    int64
}

// ErrLeft means that Repair found something that it cannot mend.
var ErrLeft = errors.New("not everything could be mended")

// Repair makes right what is damaged, missing or misplaced: small objects from
// their copies, packs by parity, parity from packs, index fragments from the tables of
// packs. What it writes is durable, read back and compared before it counts as
// mended, and has the very bytes that were there before the damage, but for index
// fragments both objects of which are lost. Packs that have less parity than the
// repository wants get it. An error about an object is an Action and does not end
// it; afterwards the error wraps ErrLeft when something is left. Interrupted at any
// step, it can be run again.
func (r *Repository) Repair(ctx context.Context, o RepairOptions) (RepairReport, error) {
	if err := r.mayChange(ctx, "repair"); err != nil {
		return RepairReport{}, err
	}
	x := &repairer{r: r, o: o, named: map[string]bool{}}
	for _, name := range o.Objects {
		x.named[name] = true
	}
	for _, step := range []func(context.Context) error{
		x.configs, x.small, x.lostSnapshots, x.look, x.packs, x.settle, x.index, x.parity, x.stripes,
	} {
		if err := step(ctx); err != nil {
			return x.report, err
		}
	}
	if err := x.look(ctx); err != nil {
		return x.report, err
	}
	if x.report.Left > 0 {
		return x.report, fault.New("repair", r.be.Location(), fmt.Errorf("%w: %d objects", ErrLeft, x.report.Left),
			"bring back what is left from a replica of the repository; the next full backup stores again what the source still has")
	}
	return x.report, nil
}

// repairer is one run of Repair.
type repairer struct {
	r         *Repository
	o         RepairOptions
	named     map[string]bool
	report    RepairReport
	fragments []string        // index fragments both objects of which are lost
	broken    map[PackID]bool // packs that are not whole
	mended    []PackID
}

// look learns what is there after something was mended.
func (x *repairer) look(ctx context.Context) error { return x.r.refreshAll(ctx, "repair") }

func (x *repairer) did(a Action) {
	switch {
	case a.Mended():
		x.report.Mended++
	case a.Harmless:
		x.report.Harmless++
	default:
		x.report.Left++
	}
	if x.o.OnAction != nil {
		x.o.OnAction(a)
	}
}

// mend writes an object back and notes what came of it. Only a context that
// ended is an error.
func (x *repairer) mend(ctx context.Context, a Action, data []byte) error {
	err := x.write(ctx, a.Object, data)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		a.By, a.Left = "", err
	}
	x.did(a)
	return nil
}

// write replaces an object by one step, durably, and compares what comes back.
func (x *repairer) write(ctx context.Context, object string, data []byte) error {
	if err := x.r.be.Put(ctx, object, data, storage.PutOptions{Sync: true}); err != nil {
		return err
	}
	back := x.r.scratch.get(len(data))
	defer x.r.scratch.put(back)
	info, err := x.r.be.Stat(ctx, object)
	if err == nil && info.Size == int64(len(data)) {
		err = storage.ReadRange(ctx, x.r.be, object, 0, back.b)
	}
	if err == nil && (info.Size != int64(len(data)) || !bytes.Equal(back.b, data)) {
		err = fmt.Errorf("%w: other bytes come back than were written", ErrDamaged)
	}
	if err != nil {
		return fault.New("read back", object, err, "the storage or this machine is failing: use another one")
	}
	return nil
}

// configs mends either copy of the configuration by the other. One of them is
// whole, or the repository would not be open.
func (x *repairer) configs(ctx context.Context) error {
	want, err := encodeConfig(x.r.cfg)
	if err != nil {
		return fault.New("repair", configName, err, "")
	}
	for _, name := range []string{configName, configCopy} {
		data, err := storage.ReadAll(ctx, x.r.be, name, maxConfigSize, nil)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			if _, err = decodeConfig(data); err == nil && !bytes.Equal(data, want) {
				err = fmt.Errorf("%w: it differs from the other copy", ErrDamaged)
			}
		}
		if err == nil {
			continue
		}
		a := Action{Object: name, Kind: ObjectConfig, Found: gone(readCause(ctx, err)), By: ByCopy}
		if err := x.mend(ctx, a, want); err != nil {
			return err
		}
	}
	return nil
}
