package storage

import (
	"context"
	"net/http"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/limit"
	"mahavishnu/storage/local"
	"mahavishnu/storage/metered"
	"mahavishnu/storage/retry"
)

const opOpen = "open storage"

// OpenOptions say how storage is used. The zero value is right where there is
// nothing to say: the standard credentials, the usual retries, no limits.
type OpenOptions struct {
	// Credentials are secrets, which a URL never holds.
	Credentials Credentials
	// CredentialsFor, when set, takes the place of Credentials: it is asked for those
	// of each place that is opened, by its URL. A storage that is spread over several
	// has one for each.
	CredentialsFor func(place string) (Credentials, error)
	// Clock is what waits and limits go by; nil for the system's.
	Clock clock.Clock
	// Retry says how often what failed for a passing reason is repeated. Its clock is
	// Clock. A directory is not retried: its errors last.
	Retry RetryOptions
	// Limits are how much of the network and of the storage is used: by all that
	// is opened with the same ones, taken together. nil sets none.
	Limits *Limits
	// Observer is told of every operation; nil for nobody.
	Observer Observer
	// OnMember, when set, is told of the storages of a dispersed one that cannot be counted
	// on, of each once; by several goroutines at a time.
	OnMember func(MemberNotice)
	// Wrap, when set, is put around the HTTP transport of what is reached over a
	// network. Tests count and break requests there.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// What options are made of.
type (
	// RetryOptions say how often an operation is tried, and for how long.
	RetryOptions = retry.Options
	// Limits are shared by all storage that is opened with them: see [NewLimits].
	Limits = limit.Limits
	// LimitOptions say what the limits are: bytes and requests a second, by time of
	// day, and how much is under way at once.
	LimitOptions = limit.Options
	// Rates are bytes and requests a second.
	Rates = limit.Rates
	// LimitWindow is a time of day with rates of its own.
	LimitWindow = limit.Window
)

// NewLimits returns limits for all the storage that is opened with them.
func NewLimits(o LimitOptions) *Limits { return limit.New(o) }

// Observer is told what storage does. It must be safe for concurrent use and quick.
type Observer interface {
	metered.Observer
	// StorageRetried is told of a request that failed for a passing reason and is
	// about to be made again: the operation's name, as in StorageOperation.
	StorageRetried(op string)
}

// Open returns the storage that a URL or a path names, with the zero OpenOptions.
func Open(ctx context.Context, place string) (Backend, error) {
	return OpenWith(ctx, place, OpenOptions{})
}

// OpenWith returns the storage that a URL names:
//
//	file:///absolute/path, or a plain path
//	s3://bucket/prefix?endpoint=URL&region=NAME
//	azblob://container/prefix?account=NAME
//	gs://bucket/prefix
//	disperse:4+2?at=URL&at=URL...
//
// docs/storage.md has all parameters. It needs nothing to exist yet, makes no
// request and writes nothing. What it returns is within the limits, repeats what failed
// for a passing reason, and tells the observer; the abilities [Retainer] and
// [Thawer] stay visible. An unknown kind, parameter or value is an error that
// names the near one; so is a secret in the URL.
func OpenWith(ctx context.Context, place string, o OpenOptions) (Backend, error) {
	o.Clock = clock.Or(o.Clock)
	be, err := o.open(ctx, place)
	if err != nil {
		return nil, err
	}
	if o.Observer != nil {
		be = metered.Wrap(be, o.Observer, o.Clock)
	}
	return be, nil
}

// open opens without telling the observer of operations.
func (o OpenOptions) open(ctx context.Context, place string) (Backend, error) {
	open, err := parse(place)
	if err != nil {
		return nil, err
	}
	return open(ctx, o)
}

// far opens what is reached over a network.
func (o OpenOptions) far(place string, open func(OpenOptions) (Backend, error)) (Backend, error) {
	if o.CredentialsFor != nil {
		var err error
		if o.Credentials, err = o.CredentialsFor(place); err != nil {
			return nil, err
		}
	}
	be, err := open(o)
	if err != nil {
		return nil, err
	}
	return retry.Wrap(o.Limits.Wrap(be), o.retries()), nil
}

// opened turns a backend of a kind into one of any kind, and a nil one into nothing.
func opened[B Backend](be B, err error) (Backend, error) {
	if err != nil {
		return nil, err
	}
	return be, nil
}

// retries are the retries, told to the observer.
func (o OpenOptions) retries() retry.Options {
	r := o.Retry
	r.Clock = o.Clock
	if told := r.Observe; o.Observer != nil {
		r.Observe = func(op string, err error, wait time.Duration) {
			o.Observer.StorageRetried(op)
			if told != nil {
				told(op, err, wait)
			}
		}
	}
	return r
}

func (o OpenOptions) directory(path string) (Backend, error) {
	be, err := local.Open(path)
	if err != nil {
		return nil, err
	}
	return o.Limits.WrapWhole(be), nil
}

// Far tells whether storage at a location is reached over a network, so that each
// request takes long, however little it is about.
func Far(location string) bool {
	scheme, _, ok := strings.Cut(location, ":")
	return ok && scheme != "file" && isKind(scheme)
}
