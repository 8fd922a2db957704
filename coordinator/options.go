package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/coordinator/detect"
	"mahavishnu/coordinator/probe"
	"mahavishnu/coordinator/vote"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Options describe a coordinator. Node, Region, Lines and Elector are required.
type Options struct {
	// Node and Region are the coordinator's own.
	Node, Region string
	// Instance tells this process from another of the same name, and is in its
	// heartbeats; "" looks for no other.
	Instance string
	// Started is when this process did, as its heartbeats say.
	Started time.Time
	// Voters are the coordinators that vote; nil is this one alone.
	Voters []vote.Voter
	// Services are watched.
	Services []Service
	// Heartbeat is how often the coordinator looks, and says what it sees; 0 is
	// 250 ms.
	Heartbeat time.Duration
	// Threshold and Pause are those of detect.Options.
	Threshold float64
	Pause     time.Duration
	// Confirm and Recovery are those of vote.Options.
	Confirm, Recovery time.Duration
	// Forget is after how long a node that is down is no longer known; 0 is an hour.
	Forget time.Duration

	// Lines are how coordinators and nodes hear each other.
	Lines Lines
	// Elector lets one coordinator lead. Timing is that of its lease and is checked
	// at the start.
	Elector Elector
	Timing  messages.LeaseTiming
	// Events are told of changed verdicts; nil tells nobody.
	Events Events
	// Reactor acts on verdicts while this coordinator leads; nil: nobody acts.
	Reactor Reactor
	// Troubles are what this coordinator could not do as it should, for its status; nil:
	// nothing.
	Troubles func() []string
	// Metrics may be nil.
	Metrics Metrics
	Log     zerolog.Logger
	Clock   clock.Clock
}

// Service is something that is watched.
type Service struct {
	Name, Kind string
	Members    []Member
}

// Member is one of those that make up a service.
type Member struct {
	Name string
	// Node is where its keeper is; "" when it has none.
	Node, Region string
	// Address is for people; Probe knows where to look.
	Address string
	Probe   probe.Prober
	// Every is how often the member is looked at, and Timeout how long an answer
	// may take; 0 is Options.Heartbeat and a second.
	Every, Timeout time.Duration
}

// Target is what the member is called in opinions and verdicts.
func (m Member) Target(service string) string { return MemberTarget(service, m.Name) }

// NodeTarget is what a node is called in opinions and verdicts.
func NodeTarget(node string) string { return "node/" + node }

// MemberTarget is what a member of a service is called in opinions and verdicts.
func MemberTarget(service, member string) string { return "service/" + service + "/" + member }

// Lines are how coordinators and nodes hear each other: core NATS, which stores
// nothing. Watch calls return when ctx ends or the line fails, and never call fn
// twice at once.
type Lines interface {
	PublishOpinions(r messages.OpinionReport) error
	WatchOpinions(ctx context.Context, fn func(messages.OpinionReport)) error
	WatchHeartbeats(ctx context.Context, fn func(messages.Heartbeat)) error
	// ServeCoordinator answers requests to this coordinator, until stop is called.
	ServeCoordinator(node string, fn func(messages.ControlRequest) messages.ControlReply) (stop func(), err error)
}

// Elector lets one coordinator lead at a time.
type Elector interface {
	// Acquire waits until this coordinator leads, or ctx ends.
	Acquire(ctx context.Context) (Lease, error)
}

// Lease is a leadership.
type Lease interface {
	// Epoch is its fencing token.
	Epoch() uint64
	// Context ends when the leadership does.
	Context() context.Context
	// Release lets others lead.
	Release(ctx context.Context) error
}

// Events are where changed verdicts are told.
type Events interface {
	Publish(ctx context.Context, e messages.Event) error
}

// Metrics count what a coordinator sees.
type Metrics interface {
	VerdictChanged(kind, state string)
	SetMemberState(service, member, state string)
	SetNodeStates(up, suspect, down int)
	SetNodes(region, role string, n int)
	SetQuorum(have bool, reached, needed int)
	SetStretch(factor float64)
	Probed(service, member string, ok bool, took time.Duration)
	LeaseWon(name string, epoch uint64)
	LeaseEnded(name string)
}

// Situation is what a reactor decides on.
type Situation struct {
	// Epoch is that of the leadership: whatever is commanded carries it.
	Epoch uint64
	// Status is what this coordinator sees, with every verdict.
	Status messages.CoordinatorStatus
}

// Reactor decides what follows from verdicts.
type Reactor interface {
	// React is called when the coordinator begins to lead, after every change of a
	// verdict and of what a keeper says of who serves, and now and then; never twice at
	// once. It may take as long as what it does takes: changes meanwhile bring one more
	// call afterwards. It must stop commanding when ctx ends, for then somebody else may
	// lead. After an error it is called again a moment later.
	React(ctx context.Context, s Situation) error
}

// Leader is a reactor that has work of its own for as long as the coordinator leads:
// carrying on what a leader before began, for one.
type Leader interface {
	Reactor
	// Lead runs beside React. It returns when ctx ends; when it returns before, the
	// leadership ends, too: it has seen somebody with a higher epoch.
	Lead(ctx context.Context, epoch uint64) error
}

// Vital is a reactor that knows whether it is still at work. The lease of a leader whose reactor
// is not lapses, so that another one carries on what this one began.
type Vital interface {
	Reactor
	// Alive must not block.
	Alive() bool
}

const (
	defaultHeartbeat = 250 * time.Millisecond
	defaultForget    = time.Hour
	defaultTimeout   = time.Second
)

func (o *Options) defaults() {
	if o.Heartbeat <= 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.Forget <= 0 {
		o.Forget = defaultForget
	}
	if o.Voters == nil {
		o.Voters = []vote.Voter{{Name: o.Node, Region: o.Region}}
	}
	if o.Timing == (messages.LeaseTiming{}) {
		o.Timing = messages.TimingFor(3 * time.Second)
	}
	o.Clock = clock.Or(o.Clock)
	for i := range o.Services {
		for j := range o.Services[i].Members {
			m := &o.Services[i].Members[j]
			if m.Every <= 0 {
				m.Every = o.Heartbeat
			}
			if m.Timeout <= 0 {
				m.Timeout = defaultTimeout
			}
		}
	}
}

// rhythm is what is assumed of something heard in this interval.
func (o *Options) rhythm(every, pause time.Duration) detect.Options {
	return detect.Options{Expected: every, Pause: max(pause, 2*every), Threshold: o.Threshold}.Defaults()
}

func (o *Options) check() error {
	switch {
	case o.Node == "" || o.Region == "":
		return errors.New("it has no name or no region")
	case o.Lines == nil || o.Elector == nil:
		return errors.New("it has no line to others, or nobody who elects it")
	}
	for _, v := range o.Voters {
		if v.Name == o.Node && v.Region != o.Region {
			return fmt.Errorf("it votes for region %s and is in %s", v.Region, o.Region)
		}
	}
	for _, s := range o.Services {
		for _, m := range s.Members {
			if m.Probe == nil {
				return fmt.Errorf("nobody knows how to look at %s", m.Target(s.Name))
			}
		}
	}
	return o.Timing.Check()
}

// New returns a coordinator that does nothing until it runs. Timings that would let
// two lead at once, and voters that could decide nothing, are refused.
func New(o Options) (*Coordinator, error) {
	o.defaults()
	err := o.check()
	if err != nil {
		return nil, fault.New("start coordinator", o.Node, err, "see the failover section of the configuration")
	}
	c := &Coordinator{
		o: o, gate: newGate(), turned: make(chan struct{}, 1), events: make(chan messages.Event, eventsKept),
	}
	c.view, err = newView(&c.o, o.Clock.Now())
	if err != nil {
		return nil, fault.New("start coordinator", o.Node, err, "see failover.coordinators in the configuration")
	}
	return c, nil
}
