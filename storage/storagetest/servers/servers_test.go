package servers_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is what all kinds have.
type server interface {
	Address() string
	Endpoint() string
	Start()
	Stop()
}

// status asks for a path and returns the code of the answer; 0 when nobody answers.
func status(t *testing.T, url string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Each kind starts, several at once, can be stopped and brought back, and is gone after its test.
func TestServers(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (s server, path string){
		"S3": func(t *testing.T) (server, string) { s := servers.S3(t); return s, "/" + s.Bucket },
		"S3 locked": func(t *testing.T) (server, string) {
			s := servers.S3(t, servers.ObjectLock())
			return s, "/" + s.Bucket
		},
		"Azure": func(t *testing.T) (server, string) {
			s := servers.Azure(t)
			return s, "/" + s.Account + "/" + s.Container
		},
		"GCS": func(t *testing.T) (server, string) { s := servers.GCS(t); return s, "/storage/v1/b/" + s.Bucket },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var gone string
			t.Run("lives", func(t *testing.T) {
				one, path := start(t)
				two, _ := start(t)
				if one.Address() == two.Address() {
					t.Fatalf("two servers at %s", one.Address())
				}
				if status(t, one.Endpoint()+path) == 0 {
					t.Error("no answer")
				}
				one.Stop()
				one.Stop() // which is no more than once
				if got := status(t, one.Endpoint()+path); got != 0 {
					t.Errorf("a stopped server answers %d", got)
				}
				if status(t, two.Endpoint()+path) == 0 {
					t.Error("the other one stopped as well")
				}
				one.Start()
				if status(t, one.Endpoint()+path) == 0 {
					t.Error("no answer after it was brought back")
				}
				gone = one.Endpoint() + path
			})
			if got := status(t, gone); got != 0 {
				t.Errorf("the server answers %d after its test", got)
			}
		})
	}
}

// The owner's requests are signed as the server wants it.
func TestS3SetUp(t *testing.T) {
	s := servers.S3(t, servers.Versioning(), servers.Users())
	s.MakeBucket("another")
	s.AddUser("only-puts", "a-secret-of-that-user")
	s.SetPolicy(`{"Statement": [{"Effect": "Allow", "Principal": "only-puts", "Action": ["s3:PutObject"], "Resource": "arn:aws:s3:::backups/*"}]}`)
	if context.Cause(t.Context()) != nil {
		t.Error("the test ended")
	}
}
