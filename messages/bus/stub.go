// Package bus carries Mahavishnu's messages over NATS JetStream.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"mahavishnu/clock"
	"mahavishnu/messages"
)

var errNotYet = errors.New("bus: not built yet")

// InProcess is implemented by an embedded server (natsserver.Server).
type InProcess interface{ InProcessConn() (net.Conn, error) }

// Options say how to connect.
type Options struct {
	URL, Name, Region                              string
	User, Password, Token, CredsFile, NKeySeedFile string
	TLS                                            *tls.Config
	InProcess                                      InProcess
	Clock                                          clock.Clock
	// OnNotice hears of disconnects, reconnects and asynchronous errors. It must not block.
	OnNotice func(Notice)
}

// Notice is something that happened to the connection.
type Notice struct {
	Kind NoticeKind // disconnected, reconnected, closed, error
	Err  error
}
type NoticeKind string

type Conn struct{}

func Connect(ctx context.Context, o Options) (*Conn, error) { return nil, errNotYet }
func (c *Conn) Connected() bool                             { return false }
func (c *Conn) RTT() (time.Duration, error)                 { return 0, errNotYet }
func (c *Conn) Close() error                                { return errNotYet }

// ProvisionOptions: Regions is required; zero values mean defaults.
type ProvisionOptions struct {
	Regions      []string
	Replicas     int
	AckWait      time.Duration // 30 s
	EventReaders []string
	EventAge     time.Duration // 30 days
}

// Provision creates streams, consumers and buckets; idempotent; a setting that cannot be
// changed silently is an error that says what to do.
func Provision(ctx context.Context, c *Conn, o ProvisionOptions) error { return errNotYet }

type Bus struct{}

// Bind finds what Provision made; it creates nothing.
func Bind(ctx context.Context, c *Conn) (*Bus, error) { return nil, errNotYet }

// Submitted is the outcome of Submit.
type Submitted struct {
	ID  string
	New bool
}

// Submit creates the record by compare-and-set, then publishes the wake-up. Idempotent by id; an empty id gets one.
func (b *Bus) Submit(ctx context.Context, j messages.Job) (Submitted, error) {
	return Submitted{}, errNotYet
}

// Wake publishes the wake-up of a job whose record waits without a message (reconciler, redrive).
func (b *Bus) Wake(ctx context.Context, e Entry) error { return errNotYet }

// Queued calls fn for every message in DR_JOBS, oldest first (reconciler).
func (b *Bus) Queued(ctx context.Context, fn func(QueuedMessage) error) error { return errNotYet }

// QueuedMessage is a message waiting or being worked on.
type QueuedMessage struct {
	Sequence uint64
	Subject  string
	Job      string // from the header, or the payload's id, or the ad-hoc id; "" when unreadable
	Stored   time.Time
}

// Drop removes a queued message (of a finished record).
func (b *Bus) Drop(ctx context.Context, sequence uint64) error { return errNotYet }

// PullOptions: which consumers to pull from.
type PullOptions struct {
	Kinds    []messages.Kind // nil: all
	Region   string          // the worker's; `any` is always included
	Priority int             // of this worker's pulls on `any`, 0 nearest .. 9
}

// Puller pulls one message per waiting Next.
type Puller struct{}

func (b *Bus) Puller(ctx context.Context, o PullOptions) (*Puller, error) { return nil, errNotYet }

// Next waits for one message. Call it only while a slot is free; many goroutines may call it at once.
func (p *Puller) Next(ctx context.Context) (*Delivery, error) { return nil, errNotYet }

// Close stops pulling and hands back what arrives late.
func (p *Puller) Close() error { return errNotYet }

// Delivery is one message, held until AckWait after the last Extend.
type Delivery struct {
	Subject   string
	Data      []byte
	Sequence  uint64 // in DR_JOBS
	Stored    time.Time
	Delivered uint64 // deliveries so far, this one included
	ReplyTo   string // Dr-Reply-To, may be empty
}

func (d *Delivery) Job() (messages.Job, error)       { return messages.Job{}, errNotYet } // Parse + ad-hoc id; *messages.RefusedError
func (d *Delivery) AckWait() time.Duration           { return 0 }
func (d *Delivery) Extend(ctx context.Context) error { return errNotYet }
func (d *Delivery) Ack(ctx context.Context) error    { return errNotYet }
func (d *Delivery) HandBack(ctx context.Context, delay time.Duration) error {
	return errNotYet
}
func (d *Delivery) Term(ctx context.Context, reason string) error { return errNotYet }

// Bury publishes a dead letter for the message, then acks it.
func (d *Delivery) Bury(ctx context.Context, cause messages.DeadCause, reason string, job string, attempts uint64) error {
	return errNotYet
}

// Reply answers ReplyTo; nothing happens when nobody asked.
func (d *Delivery) Reply(ctx context.Context, v any) error { return errNotYet }

// Record store errors.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrConflict = errors.New("changed by somebody else")
)

// Entry is a record with the revision it was read or written at.
type Entry struct {
	messages.Record
	Revision uint64
}

// Filter picks records; zero fields match all.
type Filter struct {
	States []messages.State
	Kinds  []messages.Kind
	Region string
	Source string
	Since  time.Time // created at or after
	Limit  int       // newest first; 0 all
}

type Records struct{}

func (b *Bus) Records() *Records { return &Records{} }
func (r *Records) Create(ctx context.Context, rec messages.Record) (Entry, error) {
	return Entry{}, errNotYet
}
func (r *Records) Get(ctx context.Context, id string) (Entry, error) { return Entry{}, errNotYet }

// Update writes e.Record if the stored revision is still e.Revision.
func (r *Records) Update(ctx context.Context, e Entry) (Entry, error) { return Entry{}, errNotYet }

// Change gets, applies fn and updates, again on conflict. fn's error ends it.
func (r *Records) Change(ctx context.Context, id string, fn func(messages.Record) (messages.Record, error)) (Entry, error) {
	return Entry{}, errNotYet
}
func (r *Records) List(ctx context.Context, f Filter) ([]Entry, error) { return nil, errNotYet }

// Watch calls fn for every present and future record that matches until ctx ends or fn fails.
func (r *Records) Watch(ctx context.Context, f Filter, fn func(Entry) error) error { return errNotYet }

// Remove deletes a finished record for good.
func (r *Records) Remove(ctx context.Context, e Entry) error { return errNotYet }

// LeaseOptions: Timing zero means messages.TimingFor(15 s).
type LeaseOptions struct {
	Name, Holder string
	Timing       messages.LeaseTiming
}

type Leases struct{}

func (b *Bus) Leases() *Leases { return &Leases{} }

// Acquire waits until the lease is held. The lease renews itself until Release.
func (l *Leases) Acquire(ctx context.Context, o LeaseOptions) (*Lease, error) { return nil, errNotYet }

// Get tells who seems to hold a lease: for people, never for decisions.
func (l *Leases) Get(ctx context.Context, name string) (messages.LeaseValue, error) {
	return messages.LeaseValue{}, errNotYet
}

// ErrLeaseLost is the cause of a lost lease's context.
var ErrLeaseLost = errors.New("lease lost")

type Lease struct{}

// Epoch is the fencing token.
func (l *Lease) Epoch() uint64 { return 0 }

// Context ends with cause ErrLeaseLost no later than the renew deadline after the send time of the last acked renewal.
func (l *Lease) Context() context.Context { return nil }

// Release stops renewing and frees the lease.
func (l *Lease) Release(ctx context.Context) error { return errNotYet }

func (b *Bus) PublishEvent(ctx context.Context, e messages.Event) error { return errNotYet }

// EventMessage is an event with its stream sequence.
type EventMessage struct {
	messages.Event
	Sequence uint64
}

// Events delivers to a provisioned reader, each event at least once, acked when fn returns nil.
func (b *Bus) Events(ctx context.Context, reader string, fn func(context.Context, EventMessage) error) error {
	return errNotYet
}

// EventFilter: zero matches all.
type EventFilter struct {
	Kind    messages.Kind
	Outcome messages.Outcome
	Region  string
	Since   time.Time
	New     bool // only events from now on
	Follow  bool // go on after the last
}

// ReadEvents reads without a durable position.
func (b *Bus) ReadEvents(ctx context.Context, f EventFilter, fn func(EventMessage) error) error {
	return errNotYet
}

func (b *Bus) PublishProgress(p messages.ProgressReport) error { return errNotYet }

// WatchProgress calls fn until ctx ends; id "" is all jobs.
func (b *Bus) WatchProgress(ctx context.Context, id string, fn func(messages.ProgressReport)) error {
	return errNotYet
}
func (b *Bus) PublishHeartbeat(h messages.Heartbeat) error { return errNotYet }
func (b *Bus) WatchHeartbeats(ctx context.Context, fn func(messages.Heartbeat)) error {
	return errNotYet
}

// ErrNobody: no process listens for that control request.
var ErrNobody = errors.New("nobody listens")

// ControlJob asks the worker that runs the job.
func (b *Bus) ControlJob(ctx context.Context, req messages.ControlRequest) (messages.ControlReply, error) {
	return messages.ControlReply{}, errNotYet
}
func (b *Bus) ControlNode(ctx context.Context, region, node string, req messages.ControlRequest) (messages.ControlReply, error) {
	return messages.ControlReply{}, errNotYet
}

// ServeJob answers control requests for a job until stop is called; it is in force on return.
func (b *Bus) ServeJob(id string, fn func(messages.ControlRequest) messages.ControlReply) (stop func(), err error) {
	return nil, errNotYet
}
func (b *Bus) ServeNode(region, node string, fn func(messages.ControlRequest) messages.ControlReply) (stop func(), err error) {
	return nil, errNotYet
}

type Dead struct{}

func (b *Bus) Dead() *Dead { return &Dead{} }
func (d *Dead) Publish(ctx context.Context, l messages.DeadLetter) (uint64, error) {
	return 0, errNotYet
}

// DeadFilter: zero matches all.
type DeadFilter struct {
	Kind   string
	Region string
	Limit  int // newest; 0 all
}

func (d *Dead) List(ctx context.Context, f DeadFilter) ([]messages.DeadLetter, error) {
	return nil, errNotYet
}
func (d *Dead) Get(ctx context.Context, sequence uint64) (messages.DeadLetter, error) {
	return messages.DeadLetter{}, errNotYet
}

// Redrive publishes the letter's message again (edit changes subject or payload) and removes the letter.
func (d *Dead) Redrive(ctx context.Context, sequence uint64, edit *Edit) (Submitted, error) {
	return Submitted{}, errNotYet
}

// Edit replaces what is not empty.
type Edit struct {
	Subject string
	Payload []byte
}

func (d *Dead) Remove(ctx context.Context, sequence uint64) error { return errNotYet }
func (d *Dead) Purge(ctx context.Context, f DeadFilter) (int, error) {
	return 0, errNotYet
}

// Sweep moves messages on subjects no consumer covers to DR_DEAD; the leader calls it every few seconds.
func (b *Bus) Sweep(ctx context.Context) ([]messages.DeadLetter, error) { return nil, errNotYet }

// Store is a key-value bucket (catalog, nodes).
type Store struct{}

func (b *Bus) Store(bucket string) (*Store, error) { return nil, errNotYet }

// Value is a key's value.
type Value struct {
	Key      string
	Data     []byte
	Revision uint64
	Time     time.Time // the server's, when it was written
	Deleted  bool
}

func (s *Store) Get(ctx context.Context, key string) (Value, error) { return Value{}, errNotYet }
func (s *Store) Put(ctx context.Context, key string, data []byte) (uint64, error) {
	return 0, errNotYet
}
func (s *Store) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	return 0, errNotYet
}
func (s *Store) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	return 0, errNotYet
}
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error { return errNotYet } // 0: any
func (s *Store) Each(ctx context.Context, prefix string, fn func(Value) error) error {
	return errNotYet
}
func (s *Store) Watch(ctx context.Context, prefix string, fn func(Value) error) error {
	return errNotYet
}

// QueueInfo is for status screens.
type QueueInfo struct {
	Messages, Bytes uint64
	Dead            uint64
	Consumers       []ConsumerInfo
	Leader          string
	Replicas        int
}

// ConsumerInfo is one kind and region.
type ConsumerInfo struct {
	Kind           messages.Kind
	Region         string
	Waiting, Held  uint64 // messages
	Redelivered    int
	WaitingForWork int // pulls
}

func (b *Bus) Info(ctx context.Context) (QueueInfo, error) { return QueueInfo{}, errNotYet }

// PublishAudit appends an audit entry.
func (b *Bus) PublishAudit(ctx context.Context, topic, id string, entry []byte) error {
	return errNotYet
}

// Conn is the connection the bus is bound to.
func (b *Bus) Conn() *Conn { return nil }
