package azure_test

import (
	"errors"
	"net/http"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestAnswersAreClassified(t *testing.T) {
	seen := tapped(nil)
	be := open(t, unserved(seen))
	var answers []storagetest.Answer
	for _, a := range []struct {
		status    int
		code      string
		want      error // nil: none of those a caller decides on
		temporary bool
		hint      string
	}{
		{403, "AuthorizationPermissionMismatch", backend.ErrDenied, false, "Storage Blob Data Contributor"},
		{403, "AuthenticationFailed", backend.ErrDenied, false, "the account's key is not that of devstoreaccount1"},
		{401, "NoAuthenticationInformation", backend.ErrDenied, false, "the account's key is not that of devstoreaccount1"},
		{403, "AuthorizationFailure", backend.ErrDenied, false, "network rules"},
		{403, "KeyBasedAuthenticationNotPermitted", backend.ErrDenied, false, "takes no keys"},
		{403, "AccountIsDisabled", backend.ErrDenied, false, "switched off"},
		{403, "KeyVaultEncryptionKeyNotFound", backend.ErrDenied, false, "key vault"},
		{404, "ContainerNotFound", nil, false, "az storage container create --name backups"},
		{404, "BlobNotFound", backend.ErrNotFound, false, ""},
		{404, "", backend.ErrNotFound, false, ""},
		{409, "BlobAlreadyExists", backend.ErrExists, false, ""},
		{412, "ConditionNotMet", backend.ErrExists, false, ""},
		{403, "UnauthorizedBlobOverwrite", backend.ErrExists, false, ""},
		{412, "LeaseIdMissing", backend.ErrDenied, false, "lease break"},
		{409, "BlobImmutableDueToPolicy", backend.ErrRetained, false, "wait until"},
		{409, "BlobImmutableDueToLegalHold", backend.ErrRetained, false, "legal hold"},
		{409, "BlobArchived", backend.ErrArchived, false, "rehydrated"},
		{409, "BlobBeingRehydrated", backend.ErrArchived, false, "rehydrated"},
		{409, "BlobUsesCustomerSpecifiedEncryption", backend.ErrDenied, false, "customer_key_file="},
		{416, "InvalidRange", backend.ErrShort, false, ""},
		{400, "Md5Mismatch", backend.ErrDamaged, true, ""},
		{400, "UnsupportedHeader", backend.ErrUnsupported, false, "tier="},
		{507, "", backend.ErrFull, false, "free space"},
		{500, "InternalError", nil, true, ""},
		{500, "OperationTimedOut", nil, true, ""},
		{502, "", nil, true, ""},
		{503, "ServerBusy", nil, true, ""},
		{504, "", nil, true, ""},
		{429, "TooManyRequests", nil, true, ""},
		{408, "", nil, true, ""},
		{409, "AccountBeingCreated", nil, true, ""},
		{400, "InvalidHeaderValue", nil, false, "--skipApiVersionCheck"},
		{501, "", nil, false, ""},
	} {
		answers = append(answers, storagetest.Answer{Status: a.status, Code: a.code, Want: a.want, Temporary: a.temporary, Hint: a.hint})
	}
	storagetest.RunAnswers(t, be, seen, func(r *http.Request, a storagetest.Answer, headers ...string) *http.Response {
		return say(r, a.Status, a.Code, headers...)
	}, nil, answers)
}

func testMissingContainer(t *testing.T, s *servers.AzureServer) {
	c := configure(s, "p")
	c.Container = "nobody-made-it"
	storagetest.RunMissingPlace(t, func() storage.Backend { return open(t, c) }, "container create --name nobody-made-it")
}

func TestConnections(t *testing.T) {
	c := azure.Config{Container: "backups", Account: "acc", AccountKey: "aGVsbG8="}
	storagetest.RunConnections(t, func(endpoint string) storage.Backend {
		c.Endpoint = endpoint
		return open(t, c)
	}, "acc.blob.core.windows.net:443", func(wrap func(http.RoundTripper) http.RoundTripper) storage.Backend {
		c.Endpoint, c.Proxy, c.Wrap = "", "direct", wrap
		return open(t, c)
	})
}

func TestListingsThatNeverEnd(t *testing.T) {
	seen := tapped(nil)
	const head = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults>`
	storagetest.RunListings(t, open(t, unserved(seen)), seen, map[string]string{
		"circles": head + `<Blobs></Blobs><NextMarker>again</NextMarker></EnumerationResults>`,
		"half":    head + `<Blobs><Blob><Name>p/a</Name>`,
		"nothing": ``,
	})
}

// A listing shows what a put could have made, and nothing else; directories of an account
// with a hierarchical namespace are none.
func TestForeignBlobsAreNotObjects(t *testing.T) {
	seen := tapped(nil)
	be := open(t, unserved(seen))
	entry := func(name, properties string) string {
		return `<Blob><Name>` + name + `</Name><Properties><Content-Length>5</Content-Length>` + properties + `</Properties></Blob>`
	}
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, `<EnumerationResults><Blobs>`+
			entry("p/a", "")+entry("p/dir", "<ResourceType>directory</ResourceType>")+entry("p/with space", "")+entry("pq/other", "")+entry("elsewhere", "")+
			`</Blobs><NextMarker/></EnumerationResults>`), nil
	}
	storagetest.WantNames(t, be, "a")
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, "", "X-Ms-Meta-Hdi_isfolder", "true", "Content-Length", "0"), nil
	}
	if _, err := be.Stat(t.Context(), "dir"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Stat of a directory: %v", err)
	}
	if _, err := be.Get(t.Context(), "dir", 0, -1); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Get of a directory: %v", err)
	}
}
