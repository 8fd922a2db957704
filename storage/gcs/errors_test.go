package gcs_test

import (
	"net/http"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestAnswersAreClassified(t *testing.T) {
	seen := tapped(nil)
	be := open(t, unserved(seen))
	var answers []storagetest.Answer
	for _, a := range []struct {
		status          int
		reason, message string
		want            error // nil: none of those a caller decides on
		temporary       bool
		hint            string
	}{
		{403, "forbidden", "x does not have storage.objects.create access", backend.ErrDenied, false, "Storage Object User"},
		{401, "authError", "Invalid Credentials", backend.ErrDenied, false, "wrong or have expired"},
		{403, "forbidden", "Permission denied on Cloud KMS key", backend.ErrDenied, false, "CryptoKey Encrypter"},
		{403, "accountDisabled", "The billing account is disabled", backend.ErrDenied, false, "billing"},
		{403, "vpcServiceControls", "Request is prohibited by organization's policy", backend.ErrDenied, false, "service perimeter"},
		{404, "notFound", "The specified bucket does not exist.", nil, false, "buckets create gs://backups"},
		{412, "conditionNotMet", "", backend.ErrExists, false, ""},
		{403, "retentionPolicyNotMet", "Object is subject to bucket's retention policy", backend.ErrRetained, false, "retention has ended"},
		{403, "objectUnderActiveHold", "", backend.ErrRetained, false, "hold was released"},
		{403, "forbidden", "Object retention prohibits it until 2030", backend.ErrRetained, false, ""},
		{400, "invalid", "Provided CRC32C doesn't match calculated CRC32C", backend.ErrDamaged, true, ""},
		{400, "resourceIsEncryptedWithCustomerEncryptionKey", "", backend.ErrDenied, false, "customer_key_file="},
		{403, "rateLimitExceeded", "", nil, true, ""},
		{403, "quotaExceeded", "", backend.ErrFull, false, "quota"},
		{507, "", "", backend.ErrFull, false, "free space"},
		{500, "backendError", "", nil, true, ""},
		{502, "", "", nil, true, ""},
		{503, "backendError", "", nil, true, ""},
		{504, "gatewayTimeout", "", nil, true, ""},
		{429, "rateLimitExceeded", "", nil, true, ""},
		{408, "uploadBrokenConnection", "", nil, true, ""},
		{400, "invalid", "Invalid argument", nil, false, ""},
		{501, "notImplemented", "", nil, false, ""},
	} {
		answers = append(answers, storagetest.Answer{Status: a.status, Code: a.reason, Message: a.message, Want: a.want, Temporary: a.temporary, Hint: a.hint})
	}
	storagetest.RunAnswers(t, be, seen, func(r *http.Request, a storagetest.Answer, headers ...string) *http.Response {
		return say(r, a.Status, a.Code, a.Message, headers...)
	}, nil, answers)
}

func TestMissingBucket(t *testing.T) {
	c := configure(servers.GCS(t), "p")
	c.Bucket = "nobody-made-it"
	storagetest.RunMissingPlace(t, func() storage.Backend { return open(t, c) }, "buckets create gs://nobody-made-it")
}

func TestConnections(t *testing.T) {
	storagetest.RunConnections(t, func(endpoint string) storage.Backend {
		return open(t, gcs.Config{Bucket: "backups", Endpoint: endpoint})
	}, "storage.googleapis.com:443", func(wrap func(http.RoundTripper) http.RoundTripper) storage.Backend {
		return open(t, gcs.Config{Bucket: "backups", Proxy: "direct", Credentials: account(t, tokens(t, nil).URL), Wrap: wrap})
	})
	if _, err := gcs.Open(t.Context(), gcs.Config{Bucket: "backups", Endpoint: "http://storage.example.com"}); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("plain HTTP to a network: %v", err)
	}
}

func TestListingsThatNeverEnd(t *testing.T) {
	seen := tapped(nil)
	storagetest.RunListings(t, open(t, unserved(seen)), seen, map[string]string{
		"circles": `{"nextPageToken": "again"}`, "half": `{"items": [{"name": "p/a"`, "nothing": ``,
	})
}

// A listing shows what a put could have made, and nothing else.
func TestForeignObjects(t *testing.T) {
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, `{"items": [{"name": "p/a", "size": "5"}, {"name": "p/dir/"}, {"name": "p/with space"}, {"name": "pq/other"}, {"name": "elsewhere"}]}`), nil
	})
	storagetest.WantNames(t, open(t, unserved(seen)), "a")
}
