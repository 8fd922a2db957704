package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"cloud.google.com/go/auth"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
	"mahavishnu/storage/remote"
)

// The permissions that operations need, as Google names them.
const (
	reader  = "storage.objects.get"
	lister  = "storage.objects.list"
	deleter = "storage.objects.delete"
)

const (
	noCredentials = "set GOOGLE_APPLICATION_CREDENTIALS, name credentials_file=, give the machine a service account, or run gcloud auth application-default login"
	retainedHint  = "wait until its retention has ended or its hold was released"
)

// answered returns what the server said; ok is false when the error is of another kind.
func answered(err error) (*googleapi.Error, bool) {
	var a *googleapi.Error
	ok := errors.As(err, &a)
	return a, ok
}

// reasons returns the service's own words for what is wrong.
func reasons(a *googleapi.Error) string {
	var words []string
	for _, item := range a.Errors {
		if item.Reason != "" {
			words = append(words, item.Reason)
		}
	}
	return strings.Join(words, ", ")
}

// told returns what the service answered, on one line: status, reason and message.
func told(a *googleapi.Error) string {
	said := fmt.Sprintf("%d %s", a.Code, http.StatusText(a.Code))
	if words := reasons(a); words != "" {
		said += ", " + objects.Line(words)
	}
	message := a.Message
	if message == "" {
		message = a.Body
	}
	if message = objects.Line(message); message != "" && !strings.HasPrefix(message, "<") {
		said += ": " + message
	}
	return said
}

// failed returns an error of the SDK as one of the contract. needs is the permission
// that the operation takes.
func (b *Backend) failed(ctx context.Context, op, object, needs string, err error) error {
	if ended := objects.Ended(ctx, op, object); ended != nil {
		return ended
	}
	if object == "" {
		object = b.Location()
	}
	a, ok := answered(err)
	if !ok {
		return b.unanswered(op, object, err)
	}
	hint, cause := b.judge(a, needs)
	return &backend.Error{Op: op, Object: object, Err: cause, Hint: hint}
}

// judge turns an answer of the service into an error of the contract and a hint.
func (b *Backend) judge(a *googleapi.Error, needs string) (hint string, cause error) {
	said, words := told(a), strings.ToLower(reasons(a)+" "+a.Message+" "+a.Body)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(words, part) {
				return true
			}
		}
		return false
	}
	switch code := a.Code; {
	case code == http.StatusNotFound && has("bucket does not exist", "nosuchbucket"):
		// Not ErrNotFound: that would look like a place without a repository.
		return "make it, or mend its name: gcloud storage buckets create gs://" + b.config.Bucket, fmt.Errorf("the bucket %s does not exist (%s)", b.config.Bucket, said)
	case code == http.StatusNotFound:
		return "", fmt.Errorf("%w (%s)", backend.ErrNotFound, said)
	case code == http.StatusPreconditionFailed:
		return "", fmt.Errorf("%w (%s)", backend.ErrExists, said)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return "", fmt.Errorf("%w (%s)", backend.ErrShort, said)
	case code == http.StatusForbidden && has("retentionpolicynotmet", "objectunderactivehold", "retention policy", "active hold", "retained until", "object retention"):
		return retainedHint, fmt.Errorf("%w (%s)", backend.ErrRetained, said)
	case code == http.StatusForbidden && has("ratelimitexceeded", "userratelimitexceeded"):
		return "", b.temporary(a, said)
	case code == http.StatusForbidden && has("quotaexceeded"):
		return "raise the project's quota", fmt.Errorf("%w (%s)", backend.ErrFull, said)
	case code == http.StatusUnauthorized:
		return "the credentials are wrong or have expired, or this machine's clock is wrong; " + noCredentials, fmt.Errorf("%w (%s)", backend.ErrDenied, said)
	case code == http.StatusForbidden:
		return b.denied(words, needs), fmt.Errorf("%w (%s)", backend.ErrDenied, said)
	case code == http.StatusBadRequest && has("crc32c", "md5", "checksum"):
		return "", &backend.TemporaryError{Err: fmt.Errorf("%w: the server received other bytes than were sent (%s)", backend.ErrDamaged, said)}
	case code == http.StatusBadRequest && has("resourceisencryptedwithcustomerencryptionkey", "customerencryptionkey"):
		return "name the file of the key that the object was written under as customer_key_file=", fmt.Errorf("%w (%s)", backend.ErrDenied, said)
	case code == http.StatusInsufficientStorage:
		return "free space, or raise the quota", fmt.Errorf("%w (%s)", backend.ErrFull, said)
	case remote.TemporaryStatus(code):
		return "", b.temporary(a, said)
	}
	return "", fmt.Errorf("the server answered %s", said)
}

func (b *Backend) temporary(a *googleapi.Error, said string) error {
	return &backend.TemporaryError{Err: fmt.Errorf("the server answered %s", said), After: remote.RetryAfter(a.Header, b.clock.Now())}
}

// denied says what to do about an answer of 403.
func (b *Backend) denied(words, needs string) string {
	switch {
	case strings.Contains(words, "billing"), strings.Contains(words, "accountdisabled"):
		return "look at the project's billing account"
	case strings.Contains(words, "cloudkms"), strings.Contains(words, "kms key"):
		return "give the project's storage service agent the role Cloud KMS CryptoKey Encrypter/Decrypter on the key"
	case strings.Contains(words, "vpcservicecontrols"), strings.Contains(words, "securitypolicyviolated"), strings.Contains(words, "organization's policy"):
		return "a service perimeter keeps this machine out: see the organization's VPC Service Controls"
	}
	return fmt.Sprintf("give the service account %s on the bucket %s; the role Storage Object User has them", needs, b.config.Bucket)
}

// unanswered is an error that the service did not put into words: of the network, or of
// the credentials.
func (b *Backend) unanswered(op, object string, err error) error {
	e := &backend.Error{Op: op, Object: object}
	var none *credentialsError
	var garbled *json.SyntaxError
	switch {
	case errors.As(err, &none):
		e.Hint, e.Err = b.noToken(none.err)
	case errors.As(err, &garbled):
		e.Err = &backend.TemporaryError{Err: fmt.Errorf("the server's answer cannot be read: %w", garbled)}
	default:
		e.Err = objects.Network(err)
	}
	return e
}

// noToken is a failure to get a token.
func (b *Backend) noToken(err error) (hint string, cause error) {
	var refused *auth.Error
	if errors.As(err, &refused) && refused.Response != nil {
		said := fmt.Errorf("get credentials: the server answered %d %s", refused.Response.StatusCode, http.StatusText(refused.Response.StatusCode))
		if remote.TemporaryStatus(refused.Response.StatusCode) {
			return "", &backend.TemporaryError{Err: said, After: remote.RetryAfter(refused.Response.Header, b.clock.Now())}
		}
		return "the service account or its key may have been deleted or disabled, or this machine's clock is wrong", fmt.Errorf("%w: %w", backend.ErrDenied, said)
	}
	hint = noCredentials
	if hints := fault.Hints(err); len(hints) > 0 {
		hint = hints[0]
	}
	if remote.Temporary(err) {
		return "", &backend.TemporaryError{Err: errors.New("get credentials: " + objects.Line(objects.Network(err).Error()))}
	}
	return hint, fmt.Errorf("%w: no credentials: %s", backend.ErrDenied, objects.Line(objects.Network(err).Error()))
}

// unseen tells a missing object from a missing bucket, once in an instance's life: the
// answers do not always differ.
func (b *Backend) unseen(ctx context.Context, op, name string, err error) error {
	failed := b.failed(ctx, op, name, reader, err)
	if !errors.Is(failed, backend.ErrNotFound) || b.exists.Load() {
		return failed
	}
	query, qerr := b.query("", "Name")
	if qerr != nil {
		return failed
	}
	it := b.bucket.Objects(ctx, query)
	it.PageInfo().MaxSize = 1
	_, lerr := it.Next()
	if a, ok := answered(lerr); ok && a.Code == http.StatusNotFound {
		return b.bucketFailed(ctx, op, name, lister, lerr)
	} else if ok && a.Code == http.StatusForbidden || lerr == nil || errors.Is(lerr, iterator.Done) {
		b.exists.Store(true)
	}
	return failed
}

// bucketFailed is a failed request about the bucket itself, where "not found" can only
// mean the bucket.
func (b *Backend) bucketFailed(ctx context.Context, op, object, needs string, err error) error {
	if a, ok := answered(err); ok && a.Code == http.StatusNotFound && ctx.Err() == nil {
		missing := *a
		missing.Message = "The specified bucket does not exist."
		err = &missing
	}
	return b.failed(ctx, op, object, needs, err)
}
