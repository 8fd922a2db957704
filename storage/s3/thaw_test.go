package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

// archive gives a real server, which has none, the archive classes of AWS: it
// remembers the class of each put, refuses to read what is archived, and thaws
// when it is told that the time has come.
type archive struct {
	mu     sync.Mutex
	class  map[string]string
	asked  map[string]string // the tier asked for
	thawed bool
	puts   []http.Header
}

func (a *archive) answer(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := r.URL.Path
	class := a.class[key]
	frozen := class == "GLACIER" || class == "DEEP_ARCHIVE"
	switch {
	case r.Method == http.MethodPut:
		a.puts = append(a.puts, r.Header.Clone())
		a.class[key] = r.Header.Get("X-Amz-Storage-Class")
	case r.Method == http.MethodPost && r.URL.Query().Has("restore"):
		if !frozen {
			return say(r, http.StatusForbidden, "InvalidObjectState", "Restore is not allowed for the object's current storage class"), nil
		}
		if a.asked[key] != "" {
			return say(r, http.StatusConflict, "RestoreAlreadyInProgress", "Object restore is already in progress"), nil
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_, tier, _ := bytes.Cut(text, []byte("<Tier>"))
		tier, _, _ = bytes.Cut(tier, []byte("</Tier>"))
		a.asked[key] = string(tier)
		return say(r, http.StatusAccepted, "", ""), nil
	case r.Method == http.MethodGet && frozen && (!a.thawed || a.asked[key] == ""):
		return say(r, http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class"), nil
	}
	resp, err := next.RoundTrip(r)
	if err == nil && r.Method == http.MethodHead && class != "" {
		resp.Header.Set("X-Amz-Storage-Class", class)
		if a.asked[key] != "" {
			restore := `ongoing-request="true"`
			if a.thawed {
				restore = `ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"`
			}
			resp.Header.Set("X-Amz-Restore", restore)
		}
	}
	return resp, err
}

func frozen(t *testing.T, change func(*s3.Config)) (*s3.Backend, *archive, *storagetest.Tap) {
	t.Helper()
	a := &archive{class: map[string]string{}, asked: map[string]string{}}
	seen := tapped(a.answer)
	c := configure(servers.S3(t), "p")
	c.ColdClass, c.Wrap = "DEEP_ARCHIVE", seen.Wrap
	if change != nil {
		change(&c)
	}
	return open(t, c), a, seen
}

// Only what is put as cold, and is large enough to gain by it, goes to the archive.
func TestClasses(t *testing.T) {
	be, a, _ := frozen(t, func(c *s3.Config) { c.Class, c.SSE, c.KMSKey = "STANDARD_IA", "kms", "alias/backup" })
	big := strings.Repeat("x", 128<<10)
	put(t, be, "cold", big, backend.PutOptions{Cold: true})
	put(t, be, "small", big[1:], backend.PutOptions{Cold: true})
	put(t, be, "hot", big, backend.PutOptions{})
	for i, want := range []string{"DEEP_ARCHIVE", "STANDARD_IA", "STANDARD_IA"} {
		if got := a.puts[i].Get("X-Amz-Storage-Class"); got != want {
			t.Errorf("put %d: class %q, want %q", i, got, want)
		}
		if got := a.puts[i].Get("X-Amz-Server-Side-Encryption"); got != "aws:kms" {
			t.Errorf("put %d: encryption %q", i, got)
		}
		if got := a.puts[i].Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"); got != "alias/backup" {
			t.Errorf("put %d: key %q", i, got)
		}
	}
}

func TestThaw(t *testing.T) {
	be, a, seen := frozen(t, nil)
	big := strings.Repeat("x", 128<<10)
	names := []string{"cold-1", "cold-2", "hot"}
	put(t, be, "cold-1", big, backend.PutOptions{Cold: true})
	put(t, be, "cold-2", big, backend.PutOptions{Cold: true})
	put(t, be, "hot", big, backend.PutOptions{})
	if _, err := read(t.Context(), be, "cold-1", 0, -1); !errors.Is(err, backend.ErrArchived) {
		t.Errorf("reading an archived object: %v, want ErrArchived", err)
	}
	seen.Take()
	o := backend.ThawOptions{Days: 3, Speed: "bulk"}
	for _, step := range []struct {
		names    []string
		thawed   bool
		want     backend.ThawState
		requests int
	}{
		{names[:1], false, backend.ThawState{Waiting: 1, Asked: 1, Expected: 48 * time.Hour}, 2},
		{names, false, backend.ThawState{Ready: 1, Waiting: 2, Asked: 1, Expected: 48 * time.Hour}, 4},
		{names, false, backend.ThawState{Ready: 1, Waiting: 2, Expected: 48 * time.Hour}, 3},
		{names, true, backend.ThawState{Ready: 3}, 3},
	} {
		a.mu.Lock()
		a.thawed = step.thawed
		a.mu.Unlock()
		got, err := be.Thaw(t.Context(), step.names, o)
		if err != nil || got != step.want {
			t.Errorf("Thaw %q = %+v, %v; want %+v", step.names, got, err, step.want)
		}
		if got := seen.Take().Asked; len(got) != step.requests {
			t.Errorf("Thaw %q: %q, want %d requests", step.names, got, step.requests)
		}
	}
	if a.asked["/backups/p/cold-1"] != "Bulk" {
		t.Errorf("asked for %q", a.asked)
	}
	wantText(t, be, "cold-1", big)

	for name, c := range map[string]struct {
		names []string
		o     backend.ThawOptions
		want  error
	}{
		"missing":   {[]string{"nothing"}, o, backend.ErrNotFound},
		"bad name":  {[]string{"../x"}, o, backend.ErrBadName},
		"no days":   {names, backend.ThawOptions{}, nil},
		"bad speed": {names, backend.ThawOptions{Days: 1, Speed: "fast"}, nil},
	} {
		if _, err := be.Thaw(t.Context(), c.names, c.o); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	put(t, be, "cold-3", big, backend.PutOptions{Cold: true})
	a.mu.Lock()
	a.thawed = false
	a.mu.Unlock()
	if _, err := be.Thaw(t.Context(), []string{"cold-3"}, backend.ThawOptions{Days: 1, Speed: "expedited"}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("expedited thawing from the deep archive: %v, want ErrUnsupported", err)
	}
}
