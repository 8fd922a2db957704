package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// DefaultTTL is how long a session may go without a sign of life before half
// of the patience with it is used up.
const DefaultTTL = 2 * time.Minute

// Prefix is where sessions are.
const Prefix = "gc/sessions/"

// The endings of a session's objects.
const (
	beatSuffix = ".beat"
	endSuffix  = ".end"
	doneSuffix = ".done"
)

// Errors a caller may decide on.
var (
	// ErrFenced means that the session was taken for dead: nothing it does
	// counts any more. Whoever wanted its work starts anew.
	ErrFenced = errors.New("the session was taken for dead and must not commit")
	// errDamaged means that an object does not say what it should.
	errDamaged = errors.New("stored data is damaged")
)

// ID names a session. It is random.
type ID [16]byte

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Tag returns the four bytes that the ids of the session's packs end in.
func (id ID) Tag() (tag [4]byte) { copy(tag[:], id[:]); return tag }

func (id ID) object() string { return Prefix + id.String() }

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, ok := parseID(string(text))
	if !ok {
		return errors.New("session id: want 32 hexadecimal digits")
	}
	*id = parsed
	return nil
}

func parseID(s string) (id ID, ok bool) {
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// Role is what a session is for.
type Role string

// The roles.
const (
	Backup    Role = "backup"
	Collector Role = "collector"
	Reader    Role = "reader"
)

// Info is what a session says of itself, for people and for the patience of
// collectors. Nothing rests on it.
type Info struct {
	Role Role `json:"role"`
	// Source is whose backup it is.
	Source  string    `json:"source,omitempty"`
	Host    string    `json:"host,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started"`
	// TTL in seconds.
	TTL int64 `json:"ttl"`
	// Kept is true when a Keeper tells whether the session lives.
	Kept bool `json:"kept,omitempty"`
	// Process holds the session, where the system can tell it from all others.
	Process *Process `json:"process,omitempty"`
}

// Keeper keeps leases outside the storage, where they end by themselves: the
// queue of a running system. Implementations are safe for concurrent use.
type Keeper interface {
	// Hold starts a lease for the session, by its id in hexadecimal digits, and
	// keeps it until release is called or the process dies.
	Hold(ctx context.Context, session string, ttl time.Duration) (release func(context.Context) error, err error)
	// Alive tells whether the session's lease is there. An error says that it
	// cannot be told: then the session is taken to live.
	Alive(ctx context.Context, session string) (bool, error)
}

// Store is the sessions of one repository. It is safe for concurrent use.
type Store struct {
	be   storage.Backend
	keys *seal.Keys
}

// NewStore returns the sessions in a storage.
func NewStore(be storage.Backend, keys *seal.Keys) *Store { return &Store{be: be, keys: keys} }

// Options says how a session is held. The zero value is the recommended one,
// but for Role.
type Options struct {
	Role Role
	// Source is whose backup it is, if it is one.
	Source string
	// TTL is three times the distance of beats; default DefaultTTL.
	TTL time.Duration
	// Keeper holds the lease instead of beats, if not nil.
	Keeper Keeper
	// Host and PID are told to people.
	Host string
	PID  int
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
	// Lost is called once, from another goroutine, when the session finds itself
	// fenced. It may be nil.
	Lost func()

	process *Process // default: this one
}

// Lease is a session that is held. Done, Clear or Leave ends it.
type Lease struct {
	s       *Store
	id      ID
	o       Options
	release func(context.Context) error // of the keeper

	stop    context.CancelFunc
	beating sync.WaitGroup

	mu     sync.Mutex // guards what follows
	ticket bool       // this session put, or tried to put, its own
	fenced bool
	closed bool
}

// Begin starts a session: when it returns, the session object is durable. It
// must be called before anything else of the repository is read.
func (s *Store) Begin(ctx context.Context, o Options) (*Lease, error) {
	if o.TTL <= 0 {
		o.TTL = DefaultTTL
	}
	o.Clock = clock.Or(o.Clock)
	if o.process == nil {
		o.process = self()
	}
	l := &Lease{s: s, o: o}
	_, _ = rand.Read(l.id[:]) // never fails: it ends the program instead
	info := Info{
		Role: o.Role, Source: o.Source, Host: o.Host, PID: o.PID, Started: o.Clock.Now().UTC().Truncate(time.Millisecond),
		TTL: max(1, int64(o.TTL/time.Second)), Kept: o.Keeper != nil, Process: o.process,
	}
	const op = "begin session"
	if o.Keeper != nil {
		// Before the object: a collector must never find the object without it.
		release, err := o.Keeper.Hold(ctx, l.id.String(), o.TTL)
		if err != nil {
			return nil, fault.New(op, l.id.object(), err, "")
		}
		l.release = release
	}
	text, err := json.Marshal(info)
	if err == nil {
		err = s.put(ctx, l.id.object(), text, storage.PutOptions{IfAbsent: true, Sync: true})
	}
	if errors.Is(err, storage.ErrExists) {
		err = nil // repeated by a retry below us: the id is random
	}
	if err != nil {
		if l.release != nil {
			err = errors.Join(err, l.release(context.WithoutCancel(ctx)))
		}
		hint := "whoever stores or deletes must be able to write below gc/ in the storage"
		if errors.Is(err, storage.ErrFull) || errors.Is(err, storage.ErrReadOnly) && len(fault.Hints(err)) > 0 {
			hint = "" // the storage says what to do
		}
		return nil, fault.New(op, l.id.object(), err, hint)
	}
	l.beat(ctx)
	return l, nil
}

// ID returns the session's id.
func (l *Lease) ID() ID { return l.id }

// Err returns ErrFenced when the session has found itself fenced.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fenced {
		return fault.New("hold session", l.id.object(), ErrFenced, "")
	}
	return nil
}

// Check looks whether the session is fenced, or cleared away as an ended one.
func (l *Lease) Check(ctx context.Context) error {
	if err := l.Err(); err != nil {
		return err
	}
	_, err := l.s.be.Stat(ctx, l.id.object())
	gone := errors.Is(err, storage.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	_, err = l.s.be.Stat(ctx, l.id.object()+endSuffix)
	switch {
	case err == nil:
		l.mu.Lock()
		own := l.ticket
		l.mu.Unlock()
		gone = gone || !own
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if gone {
		l.setFenced()
	}
	return l.Err()
}

func (l *Lease) setFenced() {
	l.mu.Lock()
	first := !l.fenced && !l.closed
	l.fenced = true
	l.mu.Unlock()
	if first && l.o.Lost != nil {
		l.o.Lost()
	}
}

// Commit asks for the session's ticket: with a nil error the snapshot is
// decided, and the caller puts the bytes that are returned under its name. They
// are those of an earlier Commit of the same snapshot, if there was one.
// ErrFenced means that nothing must be published.
func (l *Lease) Commit(ctx context.Context, snapshot string, sealed []byte) ([]byte, error) {
	l.mu.Lock()
	l.ticket = true
	l.mu.Unlock()
	name := l.id.object() + endSuffix
	text, err := ticket{Outcome: committed, Snapshot: snapshot, sealed: sealed}.encode()
	if err != nil {
		return nil, err
	}
	err = l.s.put(ctx, name, text, storage.PutOptions{IfAbsent: true, Sync: true})
	if errors.Is(err, storage.ErrExists) {
		t, readErr := l.s.readTicket(ctx, name)
		switch {
		case readErr != nil:
			return nil, readErr
		case t.Outcome != committed || t.Snapshot != snapshot:
			l.setFenced()
			return nil, l.Err()
		}
		sealed, err = t.sealed, nil
	}
	if err != nil {
		return nil, err
	}
	// A fence may have come, won, and been cleared away since. It is cleared the
	// session object first.
	_, err = l.s.be.Stat(ctx, l.id.object())
	if errors.Is(err, storage.ErrNotFound) {
		l.setFenced()
		return nil, l.Err()
	}
	return sealed, err
}

// Done ends the session: it promises to put nothing more. Without a ticket
// before, nothing was committed.
func (l *Lease) Done(ctx context.Context) error {
	// Once the beats have ended, so that none comes after the session is cleared.
	err := l.Leave(ctx)
	if l.Err() != nil {
		return err // what is there is the collector's to clear away
	}
	// Durable before anybody sees it: whoever forgets the snapshot relies on it.
	putErr := l.s.put(ctx, l.id.object()+doneSuffix, nil, storage.PutOptions{IfAbsent: true, Sync: true})
	if errors.Is(putErr, storage.ErrExists) {
		putErr = nil
	}
	return errors.Join(err, putErr)
}

// Clear ends a session that commits nothing, and leaves nothing of it behind. Its
// holder must be allowed to delete.
func (l *Lease) Clear(ctx context.Context) error {
	// As Done does; a fence that comes now is cleared by whoever puts it.
	err := l.Leave(ctx)
	if l.Err() != nil {
		return err
	}
	return errors.Join(err, l.s.remove(ctx, l.id, "", beatSuffix))
}

// Leave stops the signs of life without saying that the session is done: its
// commit failed half-way, and a collector will finish it. It may be called
// again.
func (l *Lease) Leave(ctx context.Context) error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.beating.Wait()
	if first && l.release != nil {
		return l.release(ctx)
	}
	return nil
}
