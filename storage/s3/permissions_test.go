package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// least is the policy of docs/storage-s3.md for credentials that make backups, as
// far as a server without conditions can tell it: put and get below the prefix,
// delete below gc/ alone.
const least = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Principal": {"AWS": ["backup"]}, "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::backups/p/*"},
	{"Effect": "Allow", "Principal": {"AWS": ["backup"]}, "Action": ["s3:DeleteObject"], "Resource": "arn:aws:s3:::backups/p/gc/*"},
	{"Effect": "Allow", "Principal": {"AWS": ["backup"]}, "Action": ["s3:GetBucketVersioning"], "Resource": "arn:aws:s3:::backups"}%s
]}`

// restricted opens the prefix with the keys of a user who may do what the policy says.
func restricted(t *testing.T, s *servers.S3Server, more string) *s3.Backend {
	t.Helper()
	const user, secret = "backup", "the-secret-of-a-user"
	s.AddUser(user, secret)
	s.SetPolicy(fmt.Sprintf(least, more))
	c := configure(s, "p")
	c.AccessKey, c.SecretKey = user, secret
	return open(t, c)
}

// Credentials that may put and get below a prefix, and neither list nor delete, do
// all that a put or a read takes. The server refuses the rest, and the error names
// what would have to be allowed.
func TestLeastPermissions(t *testing.T) {
	s := servers.S3(t, servers.Users())
	be := restricted(t, s, "")
	put(t, be, "packs/a", "0123456789", backend.PutOptions{})
	put(t, be, "snapshots/a", "x", backend.PutOptions{IfAbsent: true, Sync: true})
	if err := be.Put(t.Context(), "snapshots/a", []byte("y"), backend.PutOptions{IfAbsent: true}); !errors.Is(err, backend.ErrExists) {
		t.Errorf("second conditional put: %v, want ErrExists", err)
	}
	wantText(t, be, "packs/a", "0123456789")
	if got, err := read(t.Context(), be, "packs/a", 2, 3); err != nil || string(got) != "234" {
		t.Errorf("range: %q, %v", got, err)
	}
	if info, err := be.Stat(t.Context(), "packs/a"); err != nil || info.Size != 10 {
		t.Errorf("Stat = %+v, %v", info, err)
	}
	if err := be.Sync(t.Context(), []string{"packs/a"}); err != nil {
		t.Errorf("Sync: %v", err)
	}
	put(t, be, "gc/sessions/1", "x", backend.PutOptions{})
	if err := be.Delete(t.Context(), "gc/sessions/1"); err != nil {
		t.Errorf("Delete below gc/: %v", err)
	}

	elsewhere := configure(s, "other")
	elsewhere.AccessKey, elsewhere.SecretKey = "backup", "the-secret-of-a-user"
	other := open(t, elsewhere)
	for name, c := range map[string]struct {
		do   func(context.Context) error
		want string // in the hints
	}{
		"delete of a pack": {func(ctx context.Context) error { return be.Delete(ctx, "packs/a") }, "s3:DeleteObject"},
		"list":             {func(ctx context.Context) error { return be.List(ctx, "", func(backend.Info) error { return nil }) }, `s3:ListBucket on arn:aws:s3:::backups for the prefix "p/"`},
		"put elsewhere": {
			func(ctx context.Context) error { return other.Put(ctx, "packs/a", nil, backend.PutOptions{}) },
			"s3:PutObject on arn:aws:s3:::backups/other/*",
		},
		"get elsewhere": {func(ctx context.Context) error { _, err := other.Get(ctx, "packs/a", 0, -1); return err }, "s3:GetObject on arn:aws:s3:::backups/other/*"},
	} {
		err := c.do(t.Context())
		if !errors.Is(err, backend.ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", name, err)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, c.want) {
			t.Errorf("%s: hints %q, want %q", name, hints, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "the-secret-of-a-user") {
			t.Errorf("%s: the error holds the secret", name)
		}
	}
	wantText(t, be, "packs/a", "0123456789")
}

// With the right to list the bucket, missing objects are told from forbidden ones
// and the whole repository can be found.
func TestPermissionToList(t *testing.T) {
	s := servers.S3(t, servers.Users())
	be := restricted(t, s, `,{"Effect": "Allow", "Principal": {"AWS": ["backup"]}, "Action": ["s3:ListBucket"], "Resource": "arn:aws:s3:::backups"}`)
	put(t, be, "packs/a", "x", backend.PutOptions{})
	if _, err := be.Stat(t.Context(), "packs/b"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Stat of a missing object: %v, want ErrNotFound", err)
	}
	listed := 0
	if err := be.List(t.Context(), "packs/", func(backend.Info) error { listed++; return nil }); err != nil || listed != 1 {
		t.Errorf("List: %d objects, %v", listed, err)
	}
}

// The same where a proxy refuses what a policy with conditions would: the server
// itself never hears of a delete or of a listing.
func TestRefusedByTheWay(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	proxy.On(wire.Delete).Times(-1).Deny()
	proxy.On(wire.List).Times(-1).Deny()
	proxy.On(wire.Other).Times(-1).Deny()
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{IfAbsent: true})
	wantText(t, be, "a", "x")
	if err := be.Delete(t.Context(), "a"); !errors.Is(err, backend.ErrDenied) {
		t.Errorf("Delete: %v, want ErrDenied", err)
	}
	if err := be.List(t.Context(), "", func(backend.Info) error { return nil }); !errors.Is(err, backend.ErrDenied) {
		t.Errorf("List: %v, want ErrDenied", err)
	}
	wantText(t, be, "a", "x")
}

// A server that takes no notice of the condition of a put is found out by the first.
func TestServerWithoutConditions(t *testing.T) {
	s := servers.S3(t)
	seen := tapped(nil)
	seen.Answer = func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusPreconditionFailed {
			resp.Body.Close()
			return say(r, http.StatusOK, "", ""), nil
		}
		return resp, err
	}
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	err := open(t, c).Put(t.Context(), "a", []byte("x"), backend.PutOptions{IfAbsent: true})
	if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), "If-None-Match") {
		t.Errorf("a conditional put: %v, hints %q", err, fault.Hints(err))
	}
	if _, err := owner(t, s).HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: &s.Bucket, Key: new("p/a")}); err != nil {
		t.Errorf("the object is not there, so the test shows nothing: %v", err)
	}
}
