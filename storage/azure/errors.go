package azure

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
	"mahavishnu/storage/remote"
)

// The roles that operations need, as Azure names them.
const (
	reader      = "Storage Blob Data Reader"
	contributor = "Storage Blob Data Contributor"
	owner       = "Storage Blob Data Owner"
)

const noCredentials = "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, name account_key_file= or sas_file=, give the machine a managed identity, or run az login"

func line(err error) string { return objects.Line(err.Error()) }

// failed returns an error of the SDK as one of the contract. needs is the role that
// the operation takes.
func (b *Backend) failed(ctx context.Context, op, object, needs string, err error) error {
	if ended := objects.Ended(ctx, op, object); ended != nil {
		return ended
	}
	if object == "" {
		object = b.Location()
	}
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return b.unanswered(op, object, err)
	}
	hint, cause := b.judge(answer, needs)
	return &backend.Error{Op: op, Object: object, Err: cause, Hint: hint}
}

// judge turns an answer of the service into an error of the contract and a hint.
func (b *Backend) judge(answer *azcore.ResponseError, needs string) (hint string, cause error) {
	said := told(answer)
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted, bloberror.ContainerDisabled:
		// Not ErrNotFound: that would look like a place without a repository.
		return "make it, or mend its name: az storage container create --name " + b.config.Container + " --account-name " + b.config.Account, fmt.Errorf("the container %s does not exist (%s)", b.config.Container, said)
	case bloberror.BlobNotFound, bloberror.ResourceNotFound:
		return "", backend.ErrNotFound
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.UnauthorizedBlobOverwrite:
		return "", fmt.Errorf("%w (%s)", backend.ErrExists, said)
	case bloberror.BlobImmutableDueToPolicy, "BlobImmutableDueToLegalHold":
		return "wait until its immutability policy or legal hold has ended", fmt.Errorf("%w (%s)", backend.ErrRetained, said)
	case bloberror.BlobArchived, bloberror.BlobBeingRehydrated:
		return "have it rehydrated first; a restore asks for that by itself and waits", fmt.Errorf("%w (%s)", backend.ErrArchived, said)
	case bloberror.InvalidRange:
		return "", fmt.Errorf("%w (%s)", backend.ErrShort, said)
	case bloberror.MD5Mismatch, bloberror.CRC64Mismatch:
		return "", &backend.TemporaryError{Err: fmt.Errorf("%w: the server received other bytes than were sent (%s)", backend.ErrDamaged, said)}
	case bloberror.LeaseIDMissing, bloberror.LeaseIDMismatchWithBlobOperation, bloberror.LeaseLost:
		return "end the lease: az storage blob lease break --container-name " + b.config.Container, fmt.Errorf("%w: somebody has leased the blob (%s)", backend.ErrDenied, said)
	case bloberror.BlobUsesCustomerSpecifiedEncryption:
		return "name the file of that key as customer_key_file=", fmt.Errorf("%w: the blob was written under a customer key (%s)", backend.ErrDenied, said)
	case "BlobAccessTierNotSupportedForAccountType", "FeatureNotSupported", bloberror.FeatureVersionMismatch, bloberror.UnsupportedHeader, bloberror.UnsupportedQueryParameter:
		return "the account lacks what tier=, cold_tier=, encryption_scope= or immutability= asks for", fmt.Errorf("%w (%s)", backend.ErrUnsupported, said)
	case bloberror.InvalidHeaderValue:
		return "the server may not know this version of the protocol: start Azurite with --skipApiVersionCheck", fmt.Errorf("the server answered %s", said)
	case bloberror.AccountBeingCreated, bloberror.ServerBusy, bloberror.InternalError, bloberror.OperationTimedOut:
		return "", b.temporary(answer, said)
	}
	switch code := answer.StatusCode; {
	case code == http.StatusBadRequest && answer.ErrorCode == "InvalidOperation" && mentionsMD5(answer): // as azurite words it
		return "", &backend.TemporaryError{Err: fmt.Errorf("%w: the server received other bytes than were sent (%s)", backend.ErrDamaged, said)}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		if err := b.signature.expired(b.clock.Now()); err != nil {
			return b.config.renew(), fmt.Errorf("%w (%s)", err, said)
		}
		return b.denied(answer, needs), fmt.Errorf("%w (%s)", backend.ErrDenied, said)
	case code == http.StatusNotFound:
		return "", fmt.Errorf("%w (%s)", backend.ErrNotFound, said)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return "", fmt.Errorf("%w (%s)", backend.ErrShort, said)
	case code == http.StatusInsufficientStorage:
		return "free space, or raise the account's capacity", fmt.Errorf("%w (%s)", backend.ErrFull, said)
	case remote.TemporaryStatus(code):
		return "", b.temporary(answer, said)
	}
	return "the server refuses the request as such: look whether endpoint= names a server that speaks the protocol of Azure Blob Storage", fmt.Errorf("the server answered %s", said)
}

func (b *Backend) temporary(answer *azcore.ResponseError, said string) error {
	e := &backend.TemporaryError{Err: fmt.Errorf("the server answered %s", said)}
	if answer.RawResponse != nil {
		e.After = remote.RetryAfter(answer.RawResponse.Header, b.clock.Now())
	}
	return e
}

// told returns what the service answered, on one line: status and code. The message is
// left out, since it may quote what was signed.
func told(answer *azcore.ResponseError) string {
	said := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.ErrorCode != "" {
		said += ", " + objects.Line(answer.ErrorCode)
	}
	if answer.RawResponse != nil {
		if id := answer.RawResponse.Header.Get("X-Ms-Request-Id"); id != "" {
			said += ", request " + objects.Line(id)
		}
	}
	return said
}

// mentionsMD5 looks into what the service says of a refusal, which is shown to nobody.
func mentionsMD5(answer *azcore.ResponseError) bool {
	if answer.RawResponse == nil {
		return false
	}
	body, err := runtime.Payload(answer.RawResponse)
	return err == nil && strings.Contains(strings.ToLower(string(body)), "md5")
}

// denied says what to do about an answer of 401 or 403.
func (b *Backend) denied(answer *azcore.ResponseError, needs string) string {
	switch code := bloberror.Code(answer.ErrorCode); {
	case code == bloberror.AuthenticationFailed, code == bloberror.InvalidAuthenticationInfo, code == bloberror.NoAuthenticationInformation,
		code == bloberror.AuthorizationFailure && emulated(answer):
		return b.unauthentic()
	}
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.AuthorizationFailure, bloberror.AuthorizationSourceIPMismatch:
		return "the account's network rules keep this machine out, most likely: see the account's networking, and the addresses a signature is for (sip=)"
	case bloberror.AccountIsDisabled:
		return "the account is switched off: see its page in the portal"
	case "KeyBasedAuthenticationNotPermitted":
		return "the account takes no keys: use a managed or workload identity with the role " + needs
	case "KeyVaultEncryptionKeyNotFound", "KeyVaultAccessTokenCannotBeAcquired", "KeyVaultVaultNotFound":
		return "the encryption scope's key in the key vault cannot be used: give the account's identity access to it, and see that it was not disabled"
	}
	return fmt.Sprintf("give the identity the role %q on the container %s, or a signature with those rights", needs, b.config.Container)
}

// unauthentic says what may be wrong with the credentials that are in use.
func (b *Backend) unauthentic() string {
	switch {
	case b.config.AccountKey != "":
		return "the account's key is not that of " + b.config.Account + ", or this machine's clock is wrong: compare the key with the account's page in the portal, and the time"
	case b.signature.token == "":
		return "the identity's token is not taken, or this machine's clock is wrong: compare the account and the directory that the identity is of, and the time"
	case b.signature.ends.IsZero():
		return "the signature is wrong, its policy on the container is gone or has ended, or this machine's clock is wrong: make a new signature, or compare the time"
	}
	return "the signature is wrong or was taken back with the key it was made with, or this machine's clock is wrong: it says that it holds until " +
		b.signature.ends.Format(time.RFC3339) + "; make a new one, or compare the time"
}

// emulated tells whether Azurite answered, which has one code for all credentials that
// are wrong: the one that Azure has for those whom a network rule keeps out.
func emulated(answer *azcore.ResponseError) bool {
	return answer.RawResponse != nil && strings.HasPrefix(answer.RawResponse.Header.Get("Server"), "Azurite")
}

// unanswered is an error that the service did not put into words: of the network, or of
// the credentials.
func (b *Backend) unanswered(op, object string, err error) error {
	var none *credentialsError
	var refused *azidentity.AuthenticationFailedError
	var garbled *xml.SyntaxError
	e := &backend.Error{Op: op, Object: object}
	switch {
	case errors.As(err, &refused) && refused.RawResponse != nil && remote.TemporaryStatus(refused.RawResponse.StatusCode):
		after := remote.RetryAfter(refused.RawResponse.Header, b.clock.Now())
		e.Err = &backend.TemporaryError{Err: errors.New("get credentials: " + line(err)), After: after}
	case errors.As(err, &none) && remote.Temporary(none.err):
		e.Err = &backend.TemporaryError{Err: errors.New("get credentials: " + line(err))}
	case errors.As(err, &none):
		e.Err, e.Hint = fmt.Errorf("%w: %s", backend.ErrDenied, line(err)), noCredentials
	case errors.As(err, &garbled):
		e.Err = &backend.TemporaryError{Err: fmt.Errorf("the server's answer cannot be read: %w", garbled)}
	default:
		e.Err = objects.Network(err)
	}
	return e
}

// missing tells whether an error says that there is no such object, in a container
// that exists.
func missing(err error) bool {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound {
		return false
	}
	return !strings.HasPrefix(answer.ErrorCode, "Container")
}
