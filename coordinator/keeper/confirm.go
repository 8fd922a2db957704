package keeper

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/coordinator/standby"
)

// Remedy is what a person does about a member that could not be stopped, which is one whose
// keeper is [Fencing] and has a Trouble.
func Remedy(service, member string) string {
	return fmt.Sprintf("kill its process, or switch its machine off; then: mahavishnu failover confirm-stopped %s %s --reason WHAT-WAS-DONE", service, member)
}

// obeyConfirm believes a person who has stopped the member. It was not told so: it is when it
// answers again.
func (r *runner) obeyConfirm(q *request) {
	if now := r.Status(); !r.unfenced {
		if now.State == Fenced {
			q.reply(r.answer(now.Epoch, "it is fenced already"), nil)
			return
		}
		q.reply(Answer{}, fmt.Errorf("it is %s, and not one that could not be stopped", now.State))
		return
	}
	r.abort(ErrFenced) // which tries to stop it once more
	said := fmt.Errorf("%s says that it was stopped by hand: %s", q.command.By, q.command.Why)
	held := r.tenure != nil
	r.unfenced, r.letGo, r.retake = false, false, time.Time{}
	r.stopped(max(r.state.get().Tenure, r.highest), errors.Join(said, standby.ErrUndelivered))
	r.become(Fenced, strings.TrimSuffix(said.Error(), ": "))
	detail := "it counts as fenced"
	if held {
		detail = "it counts as fenced, and the lease is given back"
		r.release()
	} else {
		r.disarm()
	}
	err := r.state.change(func(m *memory) { m.Role = roleFenced })
	q.reply(r.answer(r.state.get().Tenure, detail), err)
}

// lacks tells what this machine lacks to control the member.
func (k *Keeper) lacks() error {
	d, ok := k.o.Driver.(standby.Checker)
	if !ok {
		return nil
	}
	return errors.Join(d.Check())
}

// countsAsStopped tells whether the member was stopped already, could not be told so, and has not
// answered since: to try once more would find out nothing, and of one that hangs a person said so.
func (r *runner) countsAsStopped() bool {
	owed, _ := r.state.owes()
	return owed != 0 && r.tenure == nil && r.op == nil && !r.unfenced && !r.Status().Health.Running
}
