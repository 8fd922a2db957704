package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
)

// Errors callers decide on.
var (
	// ErrStale: the command's epoch is below one seen before.
	ErrStale = standby.ErrStale
	// ErrBehind: the member may lack what was acknowledged.
	ErrBehind = errors.New("the member may lack what was acknowledged")
	// ErrBusy: something else was ordered before this could be done.
	ErrBusy = errors.New("the keeper is busy")
	// ErrDeposed: another member has claimed the service.
	ErrDeposed = errors.New("another member has claimed the service")
	// ErrFenced: the member was stopped while it was being worked on.
	ErrFenced = errors.New("the member was fenced")
	// ErrStopped: the keeper does not run.
	ErrStopped = errors.New("the keeper does not run")
)

// Mode says what a write waits for.
type Mode string

// Modes.
const (
	// Asynchronous: for this primary's disk only. What a standby has not received yet is
	// lost with the primary.
	Asynchronous Mode = "asynchronous"
	// Synchronous: for one standby, too, while there is one. Without one the primary goes on alone, and
	// says so where all can read it first: nobody else is promoted then.
	Synchronous Mode = "synchronous"
	// Strict: for one standby always. Without one, nothing is acknowledged.
	Strict Mode = "strict"
)

// Tenure is a lease that is held: the right to be the primary.
type Tenure interface {
	// Epoch is higher than that of each tenure before.
	Epoch() uint64
	// Context ends when the lease is released or lost.
	Context() context.Context
	// Deadline is when it is lost unless it is renewed, on the monotonic clock.
	Deadline() time.Time
	// Release lets others have it at once.
	Release(ctx context.Context) error
}

// Leases are roles that one holder at a time may have.
type Leases interface {
	// Acquire waits until the lease is held, or ctx ends.
	Acquire(ctx context.Context, name, holder string, timing messages.LeaseTiming) (Tenure, error)
}

// Records are small documents that are changed by compare-and-set.
type Records interface {
	// Load returns a document and its revision; 0 and nil when there is none.
	Load(ctx context.Context, key string) (data []byte, revision uint64, err error)
	// Save puts a document in place of the one that has the revision, 0 for none, and returns
	// the new revision; [ErrDeposed] when somebody else was quicker.
	Save(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
}

// Watchdog stops the member when the keeper does not keep it from doing so.
type Watchdog interface {
	// Arm puts off the stop until left has passed from now, for a tenure.
	Arm(epoch uint64, left time.Duration) error
	// Disarm says that the member takes no writes.
	Disarm() error
	// Gone is closed when the watchdog has ended.
	Gone() <-chan struct{}
	// Close ends the watchdog, which stops an armed member.
	Close() error
}

// Options say which member of which service, and how it is kept.
type Options struct {
	// Service and Member are names, as in messages.ValidName.
	Service, Member string
	// Driver controls the member.
	Driver standby.Driver
	// Leases has the lease "service-" + Service; Records has the document of the same name.
	Leases  Leases
	Records Records
	// Timing is that of the lease; zero is for 5 seconds. Fencing must succeed within its StopTime.
	Timing messages.LeaseTiming
	// StateFile is where the keeper remembers epochs and the member's role, on a disk that
	// survives a restart.
	StateFile string
	// Mode is what writes wait for; empty is Asynchronous. The others need a driver
	// that is a standby.Synchronizer.
	Mode Mode
	// SyncPatience is how long writes wait for a standby that is away before the primary
	// goes on alone (Synchronous only); 0 is 3 seconds.
	SyncPatience time.Duration
	// ProbeEvery is how often the member is looked at; 0 is 250 ms.
	ProbeEvery time.Duration
	// Patience is how long a primary may give no answer before its lease is given up; 0 is 2 seconds. One
	// that is down is given up at once.
	Patience time.Duration
	// Retake is how long a primary that was given up leaves the service to others before it
	// comes back itself; 0 is [DefaultRetake], below zero never.
	Retake time.Duration
	// PromoteTime bounds a promotion, which may have to replay much; 0 is 5 minutes.
	PromoteTime time.Duration
	// ShutdownTime bounds the orderly stop of a primary when the keeper ends; 0 is 30 seconds.
	ShutdownTime time.Duration
	// Watchdog starts a watchdog; nil is none, for tests and for services that stop by themselves.
	Watchdog func() (Watchdog, error)
	// OnChange hears of each new status. It must not block.
	OnChange func(Status)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// DefaultRetake is [Options].Retake where nothing is said.
const DefaultRetake = 10 * time.Second

const (
	defaultLease        = 5 * time.Second
	defaultSyncPatience = 3 * time.Second
	defaultProbeEvery   = 250 * time.Millisecond
	defaultPatience     = 2 * time.Second
	defaultPromoteTime  = 5 * time.Minute
	defaultShutdownTime = 30 * time.Second
)

func (o *Options) check() error {
	switch {
	case !messages.ValidName(o.Service):
		return fmt.Errorf("%q cannot be a service", o.Service)
	case !messages.ValidName(o.Member):
		return fmt.Errorf("%q cannot be a member", o.Member)
	case o.Driver == nil || o.Leases == nil || o.Records == nil || o.StateFile == "":
		return errors.New("a driver, leases, records and a file for the state are needed")
	}
	switch o.Mode {
	case "":
		o.Mode = Asynchronous
	case Asynchronous:
	case Synchronous, Strict:
		if _, ok := o.Driver.(standby.Synchronizer); !ok {
			return fmt.Errorf("writes cannot be %s: the service's driver knows no standbys that they could wait for", o.Mode)
		}
	default:
		return fmt.Errorf("%q is no mode: asynchronous, synchronous or strict", o.Mode)
	}
	if o.Timing == (messages.LeaseTiming{}) {
		o.Timing = messages.TimingFor(defaultLease)
	}
	for value, standard := range map[*time.Duration]time.Duration{
		&o.SyncPatience: defaultSyncPatience, &o.ProbeEvery: defaultProbeEvery, &o.Patience: defaultPatience,
		&o.Retake: DefaultRetake, &o.PromoteTime: defaultPromoteTime, &o.ShutdownTime: defaultShutdownTime,
	} {
		if *value == 0 {
			*value = standard
		}
	}
	if o.OnChange == nil {
		o.OnChange = func(Status) {}
	}
	o.Clock = clock.Or(o.Clock)
	return o.Timing.Check()
}

// key names the lease and the document of the service.
func (o *Options) key() string { return "service-" + o.Service }
