package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
	"mahavishnu/storage/remote"
)

// answer is what a server said to a request it refused.
type answer struct {
	status  int
	code    string // AccessDenied; for a HEAD, which has no body, what the status is called
	message string
	id      string // the request's, for whoever runs the server
	header  http.Header
	request *http.Request
}

// answered returns what the server said; ok is false when the error is of another kind.
func answered(err error) (a answer, ok bool) {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return answer{}, false
	}
	a.status, a.id = response.HTTPStatusCode(), response.RequestID
	if response.Response.Response != nil {
		a.header, a.request = response.Response.Header, response.Response.Request
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		a.code, a.message = api.ErrorCode(), api.ErrorMessage()
	}
	return a, a.status >= 300
}

// lacksLock tells a bucket without Object Lock where one is needed.
func lacksLock(err error) bool {
	a, ok := answered(err)
	text := strings.ReplaceAll(strings.ToLower(a.message), " ", "")
	return ok && (a.code == "ObjectLockConfigurationNotFoundError" || strings.Contains(text, "missingobjectlockconfiguration"))
}

// bare tells an answer to a HEAD: without a body, so without a code of S3's own.
func (a answer) bare() bool { return a.request != nil && a.request.Method == http.MethodHead }

// Error says it in one line: "Access Denied (AccessDenied, HTTP 403, request 4D5A…)".
func (a answer) Error() string {
	message := objects.Line(a.message)
	if message == "" {
		message = "the server answers " + http.StatusText(a.status)
	}
	details := []string{fmt.Sprintf("HTTP %d", a.status)}
	if a.code != "" {
		details = append([]string{a.code}, details...)
	}
	if a.id != "" {
		details = append(details, "request "+a.id)
	}
	return fmt.Sprintf("%s (%s)", message, strings.Join(details, ", "))
}

// class is what becomes of an error: the sentinel a caller decides on, whether it
// may be tried again, and the next thing to do.
type class struct {
	sentinel  error
	temporary bool
	hint      string
}

// codes are the answers whose code says more than their status.
var codes = map[string]class{
	"NoSuchKey":                  {sentinel: backend.ErrNotFound},
	"NoSuchVersion":              {sentinel: backend.ErrNotFound},
	"PreconditionFailed":         {sentinel: backend.ErrExists},
	"ConditionalRequestConflict": {temporary: true}, // two conditional puts at once: the next try tells
	"OperationAborted":           {temporary: true},
	"InvalidRange":               {sentinel: backend.ErrShort},
	"InvalidObjectState":         {sentinel: backend.ErrArchived, hint: "thaw it first: a restore asks for that by itself, and says how long it takes"},
	"ObjectLocked":               {sentinel: backend.ErrRetained},

	"QuotaExceeded":                         {sentinel: backend.ErrFull, hint: roomHint},
	"XMinioAdminBucketQuotaExceeded":        {sentinel: backend.ErrFull, hint: roomHint},
	"XMinioStorageFull":                     {sentinel: backend.ErrFull, hint: roomHint},
	"InsufficientStorage":                   {sentinel: backend.ErrFull, hint: roomHint},
	"StorageFull":                           {sentinel: backend.ErrFull, hint: roomHint},
	"RequestTimeout":                        {temporary: true},
	"IncompleteBody":                        {temporary: true},
	"SlowDown":                              {temporary: true},
	"BadDigest":                             {sentinel: backend.ErrDamaged, temporary: true},
	"XAmzContentSHA256Mismatch":             {sentinel: backend.ErrDamaged, temporary: true},
	"XAmzContentChecksumMismatch":           {sentinel: backend.ErrDamaged, temporary: true},
	"GlacierExpeditedRetrievalNotAvailable": {temporary: true, hint: "the storage is short of capacity for expedited thawing; try later, or thaw at standard speed"},

	"InvalidAccessKeyId":    {sentinel: backend.ErrDenied, hint: "the access key is not known there: look for a misspelt or deleted key, or a wrong endpoint"},
	"XAdminUserNotFound":    {sentinel: backend.ErrDenied, hint: "the access key is not known there: look for a misspelt or deleted key, or a wrong endpoint"},
	"SignatureDoesNotMatch": {sentinel: backend.ErrDenied, hint: "the secret key is wrong, or something between here and the server changes requests"},
	"AuthorizationFailure":  {sentinel: backend.ErrDenied, hint: "an Azure server answers like that: look whether endpoint= names a server that speaks the protocol of S3"},
	"InvalidToken":          {sentinel: backend.ErrDenied, hint: "the session token is wrong or belongs to other keys"},
	"TokenRefreshRequired":  {sentinel: backend.ErrDenied, hint: expiredHint},
	"RequestTimeTooSkewed":  {temporary: true, hint: "set the clock of this machine, it differs from the server's by more than 15 minutes"},
	"AllAccessDisabled":     {sentinel: backend.ErrDenied, hint: "the bucket's owner or the provider has closed it"},
	"AccountProblem":        {sentinel: backend.ErrDenied, hint: "ask the provider what is wrong with the account"},
	"NotSignedUp":           {sentinel: backend.ErrDenied, hint: "the account is not signed up for S3"},
	"KMS.DisabledException": {sentinel: backend.ErrDenied, hint: "enable the KMS key, or name another one"},
	"KMS.NotFoundException": {sentinel: backend.ErrDenied, hint: "the KMS key does not exist in the bucket's region"},

	"NotImplemented":      {sentinel: backend.ErrUnsupported, hint: "the server lacks what this needs; docs/storage-s3.md lists it"},
	"InvalidStorageClass": {sentinel: backend.ErrUnsupported, hint: "the server does not know the storage class that class= or cold_class= names"},
	"MethodNotAllowed":    {sentinel: backend.ErrUnsupported, hint: "the server does not allow this; docs/storage-s3.md lists what is needed"},
}

// expired are the codes for credentials that were good once.
var expired = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true}

const (
	roomHint    = "free space in the storage, or raise the quota"
	expiredHint = "renew the credentials; those of a role or an instance renew themselves when the machine may still ask for them"
)

// failed classifies what went wrong with an operation on an object. needs names
// the permission it takes.
func (b *Backend) failed(ctx context.Context, op, object, needs string, err error) *backend.Error {
	e := &backend.Error{Op: op, Object: object}
	if object == "" {
		e.Object = b.config.place()
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
		return e
	}
	a, ok := answered(err)
	if !ok {
		return b.unanswered(e, err)
	}
	c := b.judge(ctx, a, needs)
	e.Err, e.Hint = a, c.hint
	if c.sentinel != nil {
		e.Err = fmt.Errorf("%w: %w", c.sentinel, a)
	}
	if c.temporary {
		e.Err = &backend.TemporaryError{Err: e.Err, After: remote.RetryAfter(a.header, b.clock.Now())}
	}
	return e
}

func (b *Backend) judge(ctx context.Context, a answer, needs string) class {
	if expired[a.code] {
		if id := signedWith(a.request); id != "" && b.creds.renew(ctx, id) {
			return class{temporary: true} // there are new ones, which the next try uses
		}
		return class{sentinel: backend.ErrDenied, hint: expiredHint}
	}
	if c, ok := codes[a.code]; ok {
		return c
	}
	switch locked, region := a.mentionsLock(), a.header.Get("X-Amz-Bucket-Region"); {
	case a.code == "NoSuchBucket":
		return class{hint: fmt.Sprintf("create the bucket %s, or mend its name; the endpoint and the account may also be others than you think", b.config.Bucket)}
	case locked:
		return class{sentinel: backend.ErrRetained}
	case a.status == http.StatusMovedPermanently || a.code == "AuthorizationHeaderMalformed" || a.code == "IllegalLocationConstraintException":
		if region == "" {
			return class{hint: "the bucket is in another region; name it with region="}
		}
		return class{hint: "the bucket is in " + region + ": say region=" + region}
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		hint := "allow these credentials " + b.permission(needs)
		if b.customer != nil {
			hint += "; or the object was put with another customer key"
		}
		return class{sentinel: backend.ErrDenied, hint: hint}
	case a.status == http.StatusBadRequest && a.bare():
		return class{hint: "perhaps the object is encrypted with a key that the request did not bring: see sse=customer"}
	case a.status == http.StatusNotFound && (a.bare() || a.code == "" || a.code == "NotFound"):
		return class{sentinel: backend.ErrNotFound}
	case a.status == http.StatusPreconditionFailed:
		return class{sentinel: backend.ErrExists}
	case a.status == http.StatusRequestedRangeNotSatisfiable:
		return class{sentinel: backend.ErrShort}
	case a.status == http.StatusInsufficientStorage:
		return class{sentinel: backend.ErrFull, hint: roomHint}
	case a.status == http.StatusNotImplemented:
		return codes["NotImplemented"]
	}
	c := class{temporary: remote.TemporaryStatus(a.status)}
	if !c.temporary {
		c.hint = "the server refuses the request as such: look whether endpoint= names a server that speaks the protocol of S3, and whether region= is right"
	}
	return c
}

// permission names what has to be allowed, and where. Actions on the bucket itself
// stand apart from those on its objects.
func (b *Backend) permission(needs string) string {
	if strings.HasPrefix(needs, "s3:ListBucket") {
		return fmt.Sprintf("%s on arn:aws:s3:::%s for the prefix %q", needs, b.config.Bucket, b.prefix)
	}
	if strings.HasPrefix(needs, "s3:GetBucket") {
		return fmt.Sprintf("%s on arn:aws:s3:::%s", needs, b.config.Bucket)
	}
	return fmt.Sprintf("%s on arn:aws:s3:::%s/%s*", needs, b.config.Bucket, b.prefix)
}

// mentionsLock tells a refusal because of Object Lock from one for lack of
// permission, which has the same code. Servers word it differently.
func (a answer) mentionsLock() bool {
	text := strings.ToLower(a.message)
	return strings.Contains(text, "object lock") && !strings.Contains(text, "configuration") || strings.Contains(text, "worm protected")
}

// unanswered classifies errors of the network and of the credentials.
func (b *Backend) unanswered(e *backend.Error, err error) *backend.Error {
	var none *credentialsError
	var garbled *smithy.DeserializationError
	switch {
	case errors.As(err, &none) && none.had:
		e.Err = &backend.TemporaryError{Err: fmt.Errorf("the credentials could not be renewed: %w", none.err)}
	case errors.As(err, &none):
		e.Err = fmt.Errorf("%w: no credentials: %w", backend.ErrDenied, none.err)
		e.Hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill ~/.aws/credentials, or give the machine a role"
	case remote.Temporary(err), errors.As(err, &garbled):
		e.Err = &backend.TemporaryError{Err: plainly(err)}
	default:
		e.Err = plainly(err)
	}
	return e
}

// plainly takes the SDK's own layers off an error, which name the operation and the
// URL again.
func plainly(err error) error {
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}

// unseen tells what it means that an object could not be looked at. AWS answers
// 403 for a missing object, and not 404, to whoever may not list the whole
// bucket, as is right for backups; and the answer to a HEAD has no code. So the
// object is looked for by listing its name, which credentials for the prefix may.
func (b *Backend) unseen(ctx context.Context, op, name string, err error) error {
	const needs = "s3:GetObject"
	a, ok := answered(err)
	switch {
	case !ok || ctx.Err() != nil:
	case a.status == http.StatusNotFound && a.bare() && !b.exists.Load():
		return b.missing(ctx, op, name, err)
	case a.status == http.StatusForbidden && (a.bare() || a.code == "AccessDenied"), a.status == http.StatusBadRequest && a.bare():
		return b.hidden(ctx, op, name, needs, err)
	}
	return b.failed(ctx, op, name, needs, err)
}

// missing tells a missing object from a missing bucket, once in an instance's life.
func (b *Backend) missing(ctx context.Context, op, name string, err error) error {
	_, listErr := b.peek(ctx, b.key(name))
	if a, ok := answered(listErr); ok && a.code != "AccessDenied" {
		return b.failed(ctx, op, name, "s3:GetObject", listErr) // which says that it is the bucket, or the keys
	} else if listErr == nil || ok {
		b.exists.Store(true)
	}
	return b.failed(ctx, op, name, "s3:GetObject", err)
}

// peek returns the first of the keys that begin with another; "" when there is none.
func (b *Backend) peek(ctx context.Context, prefix *string) (string, error) {
	page, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.config.Bucket, Prefix: prefix, MaxKeys: aws.Int32(1)})
	if err != nil || len(page.Contents) == 0 {
		return "", err
	}
	return aws.ToString(page.Contents[0].Key), nil
}

// hidden looks for an object by listing it.
func (b *Backend) hidden(ctx context.Context, op, name, needs string, err error) error {
	first, listErr := b.peek(ctx, b.key(name))
	if listErr == nil {
		if first != *b.key(name) {
			return &backend.Error{Op: op, Object: name, Err: backend.ErrNotFound}
		}
		return b.failed(ctx, op, name, needs, err)
	}
	if a, ok := answered(listErr); !ok || a.code != "AccessDenied" {
		return b.failed(ctx, op, name, needs, listErr) // which has a code, and says more
	}
	e := b.failed(ctx, op, name, needs, err)
	e.Hint = fmt.Sprintf("the object is missing or forbidden: allow these credentials %s, and %s, which tells the two apart",
		b.permission(needs), b.permission("s3:ListBucket"))
	return e
}
