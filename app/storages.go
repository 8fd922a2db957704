package app

import (
	"context"
	"errors"
	"os"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// Storages opens storage the way a configuration says: with its secrets, its
// retries, and within its limits, which hold for all that is opened together.
// nil opens with the usual settings.
type Storages struct {
	options storage.OpenOptions
	wrong   error // why nothing can be opened
	tell    func(location string, err error, wait time.Duration)
	behind  func(shards int) // counts what dispersed storage could not put; nil for nobody
}

// StoragesOf returns how a configuration has storage opened. A nil clock is the
// machine's, a nil observer nobody.
func StoragesOf(cfg *config.Config, c clock.Clock, observer storage.Observer) *Storages {
	r := cfg.Backup.Storage.Retries
	limits, err := limitsFrom(cfg.Backup.Storage.Limits, c)
	var behind func(int)
	if counts, ok := observer.(interface{ ShardsBehind(shards int) }); ok {
		behind = counts.ShardsBehind
	}
	return &Storages{
		wrong: err, behind: behind,
		options: storage.OpenOptions{
			CredentialsFor: func(place string) (storage.Credentials, error) { return credentials(cfg.SecretsFor(place)) },
			Clock:          clock.Or(c), Limits: storage.NewLimits(limits), Observer: observer,
			Retry: storage.RetryOptions{
				Attempts: r.Attempts, First: r.First.Std(), Longest: r.Max.Std(), Elapsed: r.GiveUp.Std(),
			},
		},
	}
}

// limitsFrom turns limits into what storage goes by.
func limitsFrom(l config.StorageLimits, c clock.Clock) (storage.LimitOptions, error) {
	zone, err := time.LoadLocation(l.Timezone)
	if err != nil {
		return storage.LimitOptions{}, fault.New("read", "backup.storage.limits.timezone", err, "")
	}
	o := storage.LimitOptions{
		Clock: clock.Or(c), Zone: zone, Concurrency: l.Concurrency,
		Rates: storage.Rates{Up: int64(l.Upload), Down: int64(l.Download), Requests: l.Requests},
	}
	for _, w := range l.Windows {
		window := storage.LimitWindow{
			From: w.From.Std(), To: w.To.Std(),
			Rates: storage.Rates{Up: int64(w.Upload), Down: int64(w.Download), Requests: w.Requests},
		}
		for _, day := range w.Days {
			window.Days = append(window.Days, time.Weekday(day))
		}
		o.Windows = append(o.Windows, window)
	}
	return o, nil
}

// Hasty returns how to open storage for somebody who is watching: what fails is
// not repeated for longer than patience.
func (s *Storages) Hasty(patience time.Duration) *Storages {
	hasty := Storages{}
	if s != nil {
		hasty = *s
	}
	hasty.options.Retry.Attempts, hasty.options.Retry.Elapsed = 2, patience
	return &hasty
}

// Waiting returns how to open storage for somebody who is told of every failure that
// is tried again, with the storage's URL and the wait before.
func (s *Storages) Waiting(tell func(location string, err error, wait time.Duration)) *Storages {
	told := Storages{}
	if s != nil {
		told = *s
	}
	told.tell = tell
	return &told
}

// PlaceError is a URL or path of storage that cannot be understood, or settings of
// it that cannot be used. Nothing was asked of the storage yet.
type PlaceError struct{ Err error }

// Error says what is wrong.
func (p *PlaceError) Error() string { return p.Err.Error() }

// Unwrap returns what is wrong.
func (p *PlaceError) Unwrap() error { return p.Err }

// Open returns the storage that a URL or a path names. The caller closes it. It
// makes no request: an error is a *PlaceError.
func (s *Storages) Open(ctx context.Context, location string) (storage.Backend, error) {
	if s == nil {
		s = &Storages{}
	}
	if s.wrong != nil {
		return nil, s.wrong
	}
	o := s.options
	if s.tell != nil {
		o.Retry.Observe = func(_ string, err error, wait time.Duration) { s.tell(location, err, wait) }
	}
	be, err := storage.OpenWith(ctx, location, o)
	if err != nil && ctx.Err() == nil {
		err = &PlaceError{err}
	}
	return be, err
}

// close closes storage that was opened, and counts the shards that it could not put after
// their objects were confirmed: until then some may have been under way.
func (s *Storages) close(be storage.Backend) error {
	spread, ok := dispersed.Of(be)
	err := be.Close()
	if ok && s != nil && s.behind != nil {
		s.behind(spread.Behind())
	}
	return err
}

// credentials are secrets as storage takes them.
func credentials(s config.StorageSecrets) (storage.Credentials, error) {
	for _, secret := range []config.Secret{s.AccessKey, s.SecretKey, s.SessionToken, s.AccountKey, s.SAS} {
		if err := secret.Missing(); err != nil {
			return storage.Credentials{}, fault.New("read", "a secret of the storage", err, "mend what the configuration names")
		}
	}
	c := storage.Credentials{
		S3: storage.S3Credentials{
			AccessKey: s.AccessKey.Reveal(), SecretKey: s.SecretKey.Reveal(), SessionToken: s.SessionToken.Reveal(),
		},
		Azure: storage.AzureCredentials{AccountKey: s.AccountKey.Reveal(), SAS: s.SAS.Reveal()},
	}
	if path := s.CredentialsFile; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return c, fault.New("read credentials", path, errors.Unwrap(err), "see credentials_file under backup.storage.gcs")
		}
		c.GCS.JSON = string(text)
	}
	return c, nil
}

func closeAll(all []storage.Backend) error {
	errs := make([]error, len(all))
	for i, be := range all {
		errs[i] = be.Close()
	}
	return errors.Join(errs...)
}
