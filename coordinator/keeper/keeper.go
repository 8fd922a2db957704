package keeper

import (
	"context"
	"sync"
	"time"

	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// State is what a keeper is doing with its member.
type State string

// States.
const (
	// Starting: the keeper looks at what is there.
	Starting State = "starting"
	// Down: the member is not there, and nobody has said what to do with it.
	Down State = "down"
	// Following: the member is a standby.
	Following State = "following"
	// Waiting: for the lease.
	Waiting State = "waiting"
	// Promoting: the lease is held, and the member becomes writable.
	Promoting State = "promoting"
	// Leading: the member is the primary, under the lease.
	Leading State = "leading"
	// Demoting: the primary stops in an orderly way.
	Demoting State = "demoting"
	// Fencing: the member must be stopped and is not yet.
	Fencing State = "fencing"
	// Fenced: the member was stopped at once, or demoted.
	Fenced State = "fenced"
	// Rejoining: the member is being made a standby.
	Rejoining State = "rejoining"
)

// Status is a keeper at a moment.
type Status struct {
	Service string    `json:"service"`
	Member  string    `json:"member"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"`
	// Reason says why, in a sentence.
	Reason string `json:"reason,omitempty"`
	// Epoch is that of the tenure, or of the last one; CommandEpoch that of the last
	// coordinator that was obeyed.
	Epoch        uint64 `json:"epoch"`
	CommandEpoch uint64 `json:"command_epoch"`
	// Holds says that the lease is held; Left is how long it stays so without a renewal.
	Holds bool          `json:"holds"`
	Left  time.Duration `json:"left"`
	// Health is how the member was when it was last looked at, at Seen; Trouble is why it could not be.
	Health  standby.Health `json:"health"`
	Seen    time.Time      `json:"seen"`
	Trouble string         `json:"trouble,omitempty"`
	// Lacks is what this machine lacks to control the member.
	Lacks string `json:"lacks,omitempty"`
	// Untold says that the member was stopped, and has not answered since so that it could be told.
	Untold bool `json:"untold,omitempty"`
	// Secured are the members that have everything acknowledged; Mode is what writes wait for.
	Secured []string `json:"secured,omitempty"`
	Mode    Mode     `json:"mode"`
	// Watched says that a watchdog stops the member when this keeper cannot.
	Watched bool `json:"watched"`
}

// Keeper keeps one member of a service.
type Keeper struct {
	o        Options
	requests chan *request
	stopped  chan struct{}

	mu     sync.Mutex
	status Status
	// beat is when the keeper was last seen at work.
	beat time.Time
}

// New returns a keeper, which does nothing before it runs.
func New(o Options) (*Keeper, error) {
	if err := o.check(); err != nil {
		return nil, fault.New("keep", o.Service+" on "+o.Member, err, "see the failover section of the configuration")
	}
	return &Keeper{
		o: o, requests: make(chan *request), stopped: make(chan struct{}),
		status: Status{Service: o.Service, Member: o.Member, State: Starting, Since: o.Clock.Now(), Mode: o.Mode},
	}, nil
}

// Status returns how things are.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Alive tells whether the keeper is at work: it has woken within the time that a lease may go
// without a renewal. One that hangs (the disk with its state takes no more writes) stops nobody
// and feeds no watchdog; whoever renews its lease asks this first, so that the lease does not
// outlive the watchdog's patience and keep everybody else away.
func (k *Keeper) Alive() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.o.Clock.Now().Sub(k.beat) < k.o.Timing.RenewDeadline
}

// beats notes that the keeper is at work.
func (k *Keeper) beats() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.beat = k.o.Clock.Now()
}

// update changes the status and tells whoever wants to hear.
func (k *Keeper) update(fn func(*Status)) {
	k.mu.Lock()
	before := k.status.State
	fn(&k.status)
	if k.status.State != before {
		k.status.Since = k.o.Clock.Now()
	}
	now := k.status
	k.mu.Unlock()
	k.o.OnChange(now)
}

// Run keeps the member until ctx ends. A primary is stopped in an orderly way then and the
// lease given back; a standby is left alone. Run once.
func (k *Keeper) Run(ctx context.Context) error {
	defer close(k.stopped)
	state, err := openState(k.o.StateFile)
	if err != nil {
		return err
	}
	if d, ok := k.o.Driver.(standby.Rememberer); ok {
		// Should the state be gone, the member still refuses what is below its epoch: a fence, too.
		if err := state.change(func(m *memory) { m.Tenure = max(m.Tenure, d.Epoch()) }); err != nil {
			return err
		}
	}
	r := &runner{Keeper: k, ctx: ctx, state: state, observed: make(chan observation, 1)}
	return r.run()
}
