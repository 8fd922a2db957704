package keeper

import "fmt"

// dogShare is which part of the time to stop passes before the watchdog acts: the keeper
// comes first when it can.
const dogShare = 4

// arm starts the watchdog, if there is none, and sets it.
func (r *runner) arm() error {
	if r.o.Watchdog == nil {
		return nil
	}
	if r.dog != nil {
		select {
		case <-r.dog.Gone():
			_ = r.dog.Close() // it has ended; the next one counts
			r.dog = nil
		default:
		}
	}
	if r.dog == nil {
		dog, err := r.o.Watchdog()
		if err != nil {
			return fmt.Errorf("start the watchdog, without which a keeper that is killed leaves a primary behind: %w", err)
		}
		r.dog = dog
	}
	left := r.tenure.Deadline().Sub(r.o.Clock.Now()) + r.o.Timing.StopTime/dogShare
	if err := r.dog.Arm(r.tenure.Epoch(), left); err != nil {
		return fmt.Errorf("set the watchdog: %w", err)
	}
	return nil
}

// feed puts the watchdog off while the lease is held, and tells how long that is so. It is
// also what keeps the lease: see Alive.
func (r *runner) feed() {
	r.beats()
	if r.tenure == nil {
		return
	}
	left := r.tenure.Deadline().Sub(r.o.Clock.Now())
	r.update(func(s *Status) { s.Holds, s.Left, s.Watched = true, left, r.dog != nil })
	if r.unfenced || r.o.Watchdog == nil {
		return // let it bite
	}
	if err := r.arm(); err != nil {
		// One that died is replaced; twice in a row is a reason to stop.
		if err = r.arm(); err != nil {
			r.giveUp(err.Error())
		}
	}
}

// disarm tells the watchdog that the member was stopped. One that must still be is left to it.
func (r *runner) disarm() {
	if r.dog == nil || r.unfenced {
		return
	}
	if err := r.dog.Disarm(); err != nil {
		_ = r.dog.Close() // the next tenure starts another
		r.dog = nil
	}
}
