package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/azure"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/limit"
	"mahavishnu/storage/local"
	"mahavishnu/storage/location"
	"mahavishnu/storage/metered"
	"mahavishnu/storage/retry"
	"mahavishnu/storage/s3"
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
	if strings.HasPrefix(place, dispersed.Scheme+":") {
		return o.dispersed(ctx, place)
	}
	if !strings.Contains(place, "://") {
		if scheme, rest, ok := strings.Cut(place, ":"); ok && isKind(scheme) {
			return nil, &Error{
				Op: opOpen, Object: scheme + ":", Err: errors.New("not the URL of storage"),
				Hint: "write it with two slashes, " + form(scheme) + fmt.Sprintf(", or ./%s:%.20s when it is a directory", scheme, rest),
			}
		}
		return o.directory(place)
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, &Error{
			Op: opOpen, Object: "the configured URL", Err: errors.New("not a URL"),
			Hint: "write it as " + form("file") + ", and special characters as %XX",
		}
	}
	if u.Scheme == "file" {
		return o.file(u)
	}
	if o.CredentialsFor != nil {
		if o.Credentials, err = o.CredentialsFor(place); err != nil {
			return nil, err
		}
	}
	be, err := o.remote(ctx, u)
	if err != nil {
		return nil, err
	}
	return retry.Wrap(o.Limits.Wrap(be), o.retries()), nil
}

// remote opens what is reached over a network.
func (o OpenOptions) remote(ctx context.Context, u *url.URL) (Backend, error) {
	switch u.Scheme {
	case "s3":
		c, err := s3.ParseURL(u)
		if err != nil {
			return nil, err
		}
		return opened(s3.Open(ctx, o.Credentials.forS3(c, o)))
	case "azblob":
		c, err := azure.ParseURL(u)
		if err != nil {
			return nil, err
		}
		return opened(azure.Open(ctx, o.Credentials.forAzure(c, o)))
	case "gs":
		c, err := gcs.ParseURL(u)
		if err != nil {
			return nil, err
		}
		return opened(gcs.Open(ctx, o.Credentials.forGCS(c, o)))
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.scheme
	}
	hint := "write it as " + form("file")
	if near := location.Nearest(u.Scheme, names); near != "" {
		hint = "did you mean " + near + "? " + "write it as " + form(near)
	}
	return nil, &Error{
		Op: opOpen, Object: location.Shown(u), Err: fmt.Errorf("unknown kind of storage %.40q; there are %s", u.Scheme, strings.Join(names, ", ")),
		Hint: hint,
	}
}

// dispersed opens a storage that is spread over several.
func (o OpenOptions) dispersed(ctx context.Context, place string) (Backend, error) {
	l, err := dispersed.ParseURL(place)
	if err != nil {
		return nil, err
	}
	c := dispersed.Config{Data: l.Data, Parity: l.Parity, Quorum: l.Quorum, NoHedging: l.NoHedging, Clock: o.Clock}
	for _, at := range l.At {
		var be Backend
		if be, err = o.open(ctx, at); err != nil {
			break
		}
		c.Backends = append(c.Backends, be)
	}
	if err == nil {
		var all *dispersed.Backend
		if all, err = dispersed.Open(ctx, c); err == nil {
			return all.Able(), nil
		}
	}
	for _, be := range c.Backends {
		err = errors.Join(err, be.Close())
	}
	return nil, err
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

// file opens a URL that names a directory.
func (o OpenOptions) file(u *url.URL) (Backend, error) {
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, &Error{
			Op: opOpen, Object: location.Shown(u), Err: errors.New("a file URL has no part after ? or #"),
			Hint: "write ? as %3F and # as %23 when they are part of the path, or give the plain path",
		}
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, &Error{
			Op: opOpen, Object: location.Shown(u), Err: fmt.Errorf("a file URL has no host, found %q", u.Host),
			Hint: "write it with three slashes: file:///" + u.Host + u.Path,
		}
	}
	return o.directory(filepath.FromSlash(u.Path))
}

func (o OpenOptions) directory(path string) (Backend, error) {
	be, err := local.Open(path)
	if err != nil {
		return nil, err
	}
	return o.Limits.WrapWhole(be), nil
}

// kinds are how the URLs of each kind of storage look.
var kinds = []struct{ scheme, form string }{
	{"file", "file:///absolute/path"},
	{"s3", "s3://bucket/prefix"},
	{"azblob", "azblob://container/prefix?account=NAME"},
	{"gs", "gs://bucket/prefix"},
	{dispersed.Scheme, dispersed.Scheme + ":4+2?at=URL&at=URL..."},
}

// Far tells whether storage at a location is reached over a network, so that each
// request takes long, however little it is about.
func Far(location string) bool {
	scheme, _, ok := strings.Cut(location, ":")
	return ok && scheme != "file" && isKind(scheme)
}

func isKind(scheme string) bool { return form(scheme) != "" }

func form(scheme string) string {
	for _, k := range kinds {
		if k.scheme == scheme {
			return k.form
		}
	}
	return ""
}
