package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
)

func locked(t *testing.T, s *servers.S3Server, mode string) *s3.Backend {
	t.Helper()
	c := configure(s, "p")
	c.Lock = mode
	return open(t, c)
}

// in returns a time that far ahead, as servers keep it.
func in(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Second) }

func wantRetained(t *testing.T, be *s3.Backend, name string, want time.Time) {
	t.Helper()
	if got, err := be.Retained(t.Context(), name); err != nil || !got.Equal(want) {
		t.Errorf("%s is retained until %v, %v; want %v", name, got, err, want)
	}
}

// A delete of a locked object is refused by the server, told as ErrRetained, and
// leaves the object as it was: readable, listed, without a marker.
func TestDeleteOfALockedObject(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	client := owner(t, s)
	for _, mode := range []string{"compliance", "governance"} {
		be := locked(t, s, mode)
		until := in(time.Hour)
		put(t, be, mode, "keep me", backend.PutOptions{RetainUntil: until, IfAbsent: true})
		wantRetained(t, be, mode, until)
		err := be.Delete(t.Context(), mode)
		if !errors.Is(err, backend.ErrRetained) || errors.Is(err, backend.ErrDenied) {
			t.Errorf("%s: Delete = %v, want ErrRetained", mode, err)
		}
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) {
			t.Errorf("%s: %v would be tried again", mode, err)
		}
		wantText(t, be, mode, "keep me")
		if kept, markers := versions(t, client, s.Bucket, "p/"+mode); kept != 1 || markers != 0 {
			t.Errorf("%s: %d versions and %d markers after a refused delete", mode, kept, markers)
		}
		if _, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &s.Bucket, Key: new("p/" + mode), VersionId: new(versionOf(t, client, s.Bucket, "p/"+mode))}); err == nil {
			t.Errorf("%s: the server itself does not refuse", mode)
		}
	}
}

func versionOf(t *testing.T, client *sdk.Client, bucket, key string) string {
	t.Helper()
	head, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil || head.VersionId == nil {
		t.Fatalf("no version of %s: %v", key, err)
	}
	return *head.VersionId
}

// A server that refuses without a reason is asked for it.
func TestRetainedWithoutAWord(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	seen := tapped(nil)
	seen.Answer = func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && r.Method == http.MethodDelete && resp.StatusCode == http.StatusForbidden {
			resp.Body.Close()
			return say(r, http.StatusForbidden, "AccessDenied", "Access Denied"), nil
		}
		return resp, err
	}
	c := configure(s, "p")
	c.Lock, c.Wrap = "compliance", seen.Wrap
	be := open(t, c)
	until := in(time.Hour)
	put(t, be, "a", "x", backend.PutOptions{RetainUntil: until})
	err := be.Delete(t.Context(), "a")
	if !errors.Is(err, backend.ErrRetained) || !strings.Contains(err.Error(), until.Format(time.RFC3339)) {
		t.Errorf("Delete = %v, want ErrRetained until %v", err, until)
	}

	hold := types.ObjectLockLegalHoldStatusOn
	put(t, be, "held", "x", backend.PutOptions{})
	if _, err := owner(t, s).PutObjectLegalHold(t.Context(), &sdk.PutObjectLegalHoldInput{
		Bucket: &s.Bucket, Key: new("p/held"), LegalHold: &types.ObjectLockLegalHold{Status: hold},
	}); err != nil {
		t.Fatal(err)
	}
	if err := be.Delete(t.Context(), "held"); !errors.Is(err, backend.ErrRetained) || !strings.Contains(err.Error(), "legal hold") {
		t.Errorf("Delete of a held object = %v, want ErrRetained", err)
	}
}

func TestRetainOnlyExtends(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	for _, mode := range []string{"compliance", "governance"} {
		be := locked(t, s, mode)
		near, far := in(time.Hour), in(48*time.Hour)
		put(t, be, mode, "x", backend.PutOptions{})
		wantRetained(t, be, mode, time.Time{})
		for _, step := range []struct{ ask, want time.Time }{{near, near}, {near, near}, {far, far}, {near, far}, {far.Add(time.Nanosecond), far.Add(time.Second)}} {
			if err := be.Retain(t.Context(), mode, step.ask); err != nil {
				t.Errorf("%s: Retain %v: %v", mode, step.ask, err)
			}
			wantRetained(t, be, mode, step.want)
		}
	}
	// Not every server refuses to shorten a retention, so it is never asked to.
	seen := tapped(nil)
	c := configure(s, "p")
	c.Lock, c.Wrap = "governance", seen.Wrap
	be := open(t, c)
	if err := be.Retain(t.Context(), "governance", in(time.Minute)); err != nil {
		t.Error(err)
	}
	if got := seen.Take().Asked; len(got) != 1 || !strings.HasPrefix(got[0], "GET ") {
		t.Errorf("an earlier time was asked for with %q", got)
	}
	be = locked(t, s, "compliance")
	if err := be.Retain(t.Context(), "nothing", in(time.Hour)); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Retain of a missing object: %v", err)
	}
	if _, err := be.Retained(t.Context(), "nothing"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Retained of a missing object: %v", err)
	}
	// One that governance put is extended as such: its mode cannot be changed.
	put(t, locked(t, s, "governance"), "mixed", "x", backend.PutOptions{RetainUntil: in(time.Hour)})
	far := in(3 * time.Hour)
	if err := be.Retain(t.Context(), "mixed", far); err != nil {
		t.Errorf("Retain of an object in the other mode: %v", err)
	}
	wantRetained(t, be, "mixed", far)
}

func TestRetentionCheck(t *testing.T) {
	for name, c := range map[string]struct {
		options []servers.S3Option
		mode    string
		want    string // in the error or its hints
	}{
		"all there":      {[]servers.S3Option{servers.ObjectLock()}, "compliance", ""},
		"no mode":        {[]servers.S3Option{servers.ObjectLock()}, "", "lock=compliance"},
		"no lock":        {[]servers.S3Option{servers.Versioning()}, "compliance", "put-object-lock-configuration"},
		"no versions":    {nil, "governance", "put-bucket-versioning"},
		"nothing at all": {nil, "", "lock=compliance"},
	} {
		t.Run(name, func(t *testing.T) {
			be := locked(t, servers.S3(t, c.options...), c.mode)
			err := be.RetentionCheck(t.Context())
			if c.want == "" {
				if err != nil {
					t.Errorf("RetentionCheck = %v", err)
				}
				return
			}
			if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), c.want) {
				t.Errorf("RetentionCheck = %v, hints %q; want ErrUnsupported and %q", err, fault.Hints(err), c.want)
			}
			put := be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{RetainUntil: in(time.Hour)})
			if !errors.Is(put, backend.ErrUnsupported) {
				t.Errorf("Put with retention = %v, want ErrUnsupported", put)
			}
			if c.mode == "" {
				if err := be.Retain(t.Context(), "a", in(time.Hour)); !errors.Is(err, backend.ErrUnsupported) {
					t.Errorf("Retain = %v, want ErrUnsupported", err)
				}
			}
		})
	}
}

// Deleting frees the bytes: no version, old or new, and no marker stays behind.
func TestDeleteFreesAllVersions(t *testing.T) {
	s := servers.S3(t, servers.Versioning())
	client := owner(t, s)
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	be := open(t, c)
	for _, name := range []string{"a", "a-b", "ab"} { // names that begin like another's
		put(t, be, name, "1", backend.PutOptions{})
	}
	put(t, be, "config", "1", backend.PutOptions{})
	put(t, be, "config", "2", backend.PutOptions{})
	if _, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &s.Bucket, Key: new("p/config")}); err != nil {
		t.Fatal(err)
	}
	put(t, be, "config", "3", backend.PutOptions{})
	if kept, markers := versions(t, client, s.Bucket, "p/config"); kept != 3 || markers != 1 {
		t.Fatalf("%d versions and %d markers, want 3 and 1", kept, markers)
	}
	if err := be.Delete(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	if kept, markers := versions(t, client, s.Bucket, "p/config"); kept != 0 || markers != 0 {
		t.Errorf("%d versions and %d markers after the delete", kept, markers)
	}
	seen.Take()
	if err := be.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := seen.Take().Asked; len(got) != 2 {
		t.Errorf("a delete of one version: %q, want 2 requests", got)
	}
	wantText(t, be, "a-b", "1")
	wantText(t, be, "ab", "1")
	if err := be.Delete(t.Context(), "a"); err != nil {
		t.Errorf("again: %v", err)
	}
}

// An old version that is locked keeps the object: what would show up in the place
// of the new one is an old one.
func TestDeleteWithALockedOldVersion(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	be := locked(t, s, "compliance")
	put(t, be, "a", "old", backend.PutOptions{RetainUntil: in(time.Hour)})
	put(t, be, "a", "new", backend.PutOptions{})
	if err := be.Delete(t.Context(), "a"); !errors.Is(err, backend.ErrRetained) {
		t.Errorf("Delete = %v, want ErrRetained", err)
	}
	wantText(t, be, "a", "new")
}

// Versions that are switched on after this instance found them off are no way to
// hide objects behind markers.
func TestVersionsSwitchedOnMeanwhile(t *testing.T) {
	s := servers.S3(t, servers.Versioning())
	client := owner(t, s)
	const bucket = "late"
	if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: new(bucket)}); err != nil {
		t.Fatal(err)
	}
	c := configure(s, "p")
	c.Bucket = bucket
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{})
	put(t, be, "b", "x", backend.PutOptions{})
	if err := be.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{
		Bucket: new(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	put(t, be, "c", "x", backend.PutOptions{})
	for _, name := range []string{"b", "c"} {
		if err := be.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if kept, markers := versions(t, client, bucket, "p/"+name); kept != 0 || markers != 0 {
			t.Errorf("%s: %d versions and %d markers after the delete", name, kept, markers)
		}
	}
}
