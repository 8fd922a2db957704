package s3_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configure returns what opens a prefix of the server's bucket with its owner's keys.
func configure(s *servers.S3Server, prefix string) s3.Config {
	return s3.Config{
		Bucket: s.Bucket, Prefix: prefix, Endpoint: s.Endpoint(), Region: s.Region,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey,
	}
}

func open(t testing.TB, c s3.Config) *s3.Backend {
	t.Helper()
	be, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return be
}

// owner returns a plain client with the owner's keys, which looks at and does what
// no backend would.
func owner(t testing.TB, s *servers.S3Server) *sdk.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String(s.Endpoint()), Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

// versions returns how many versions and markers of a key the server has.
func versions(t testing.TB, client *sdk.Client, bucket, key string) (kept, markers int) {
	t.Helper()
	out, err := client.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Versions), len(out.DeleteMarkers)
}

// The kit that all object stores are tested with.
var (
	put           = storagetest.Put
	read          = storagetest.Read
	wantText      = storagetest.WantText
	wantTemporary = storagetest.WantTemporary
	noise         = storagetest.Noise
)

// tapped returns a tap that shows the names of parameters.
func tapped(answer func(http.RoundTripper, *http.Request) (*http.Response, error)) *storagetest.Tap {
	return &storagetest.Tap{Answer: answer, Query: func(q url.Values) []string {
		q.Del("x-id")
		if names := slices.Sorted(maps.Keys(q)); len(names) > 0 {
			return []string{strings.Join(names, "&")}
		}
		return nil
	}}
}

// say is an answer of the server's kind.
func say(r *http.Request, status int, code, message string, header ...string) *http.Response {
	body := ""
	if status >= http.StatusMultipleChoices {
		body = "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
	}
	return storagetest.Reply(r, status, body, append(slices.Clone(header), "Content-Type", "application/xml", "X-Amz-Request-Id", "REQUEST1")...)
}

func putInput(bucket, key, data string) *sdk.PutObjectInput {
	return &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(data)}
}
