package plan

import (
	"reflect"
	"slices"
	"time"
)

const (
	// settle is how long a desk waits after a change before it evaluates: changes come
	// in flocks.
	settle = 3 * time.Second
	// soon is after what time plans are evaluated again while one of them is broken;
	// it doubles up to the interval. Who has just begun to lead has not heard everybody.
	soon = 10 * time.Second
)

// evaluate evaluates the plans at once, when something changes, by interval, and
// sooner while something is in the way, until the term ends.
func (d *Desk) evaluate(t *term) {
	wait := soon
	for t.ctx.Err() == nil {
		d.reload()
		all, err := d.x.EvaluateAll(t.ctx, d.Plans())
		if err != nil && t.ctx.Err() == nil {
			d.failed(err)
		}
		if _, err := d.x.Forget(t.ctx, t.epoch, d.o.Keep); err != nil && t.ctx.Err() == nil {
			d.failed(err)
		}
		next := d.o.Every
		if slices.ContainsFunc(all, func(e Evaluation) bool { return e.Broken() != "" }) {
			next = min(wait, next)
		}
		wait = min(2*wait, d.o.Every)
		woken, err := d.x.pause(t.ctx, next, d.changed)
		if woken {
			wait = soon
			err = d.x.clock.Sleep(t.ctx, min(settle, d.o.Every))
			select {
			case <-d.changed: // the evaluation that follows sees that, too
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// reload reads the plans anew. When they cannot be read, those from before stay, and
// the returned text says so. An error is told once, not at every look.
func (d *Desk) reload() (trouble string, changed bool) {
	if d.o.Reload == nil {
		return "", false
	}
	d.reading.Lock()
	defer d.reading.Unlock()
	plans, err := d.o.Reload()
	before := d.Trouble()
	if err != nil {
		if before != err.Error() {
			d.setTrouble(err.Error())
			d.failed(err)
			d.x.tell(Event{Kind: EventUnreadable, Text: err.Error()})
		}
		return "the plan files cannot be used, so those read before are: " + err.Error(), false
	}
	if before != "" {
		d.setTrouble("")
		d.x.tell(Event{Kind: EventReadable})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if reflect.DeepEqual(plans, d.plans) {
		return "", false
	}
	d.plans = plans
	return "", true
}

// fresh is reload for an order: a change is evaluated soon, too.
func (d *Desk) fresh() (trouble string) {
	trouble, changed := d.reload()
	if changed {
		d.Changed()
	}
	return trouble
}

// Reread reads the plans anew, whether it leads or not; a change is evaluated soon.
func (d *Desk) Reread() { d.fresh() }

// Trouble says why the plans could not be read the last time; "" when they could.
func (d *Desk) Trouble() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trouble
}

func (d *Desk) setTrouble(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = text
}
