package azure

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// A shared access signature says itself until when it holds, which is no secret.
const renewSignature = "make a new one, az storage container generate-sas --name %s --account-name %s --permissions racwdl --expiry TIME, " +
	"and put it where this one is; if it should still hold, see that this machine's clock is right"

// signature is a shared access signature.
type signature struct {
	token string
	// ends is when it expires; zero when it does not say, since a policy of the container
	// does.
	ends time.Time
}

// readSignature takes a signature as it was given.
func (c *Config) readSignature() (signature, error) {
	token := strings.TrimPrefix(strings.TrimSpace(c.SAS), "?")
	q, err := url.ParseQuery(token)
	if err != nil || q.Get("sig") == "" {
		return signature{}, fault.New(opOpen, c.place(), errors.New("the shared access signature has no signature"),
			"give the token alone, sv=…&sig=…, without the URL before the question mark")
	}
	return signature{token: token, ends: parseEnd(q.Get("se"))}, nil
}

// parseEnd reads a time in one of the forms that a signature may have it in; zero when
// it is in none, which is for the service to judge.
// https://learn.microsoft.com/rest/api/storageservices/formatting-datetime-values
func parseEnd(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// expired says that the signature has ended; nil while it has not, as far as is known.
func (s signature) expired(now time.Time) error {
	if s.ends.IsZero() || now.Before(s.ends) {
		return nil
	}
	return fmt.Errorf("%w: the shared access signature expired on %s", backend.ErrDenied, s.ends.Format(time.RFC3339))
}

// renew says how an expired signature is replaced.
func (c *Config) renew() string { return fmt.Sprintf(renewSignature, c.Container, c.Account) }
