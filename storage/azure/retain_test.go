package azure_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

// vault answers as a container with version-level immutability does, as far as
// retention goes: azurite has none of it. What requests say is as the service documents
// them: https://learn.microsoft.com/rest/api/storageservices/set-blob-immutability-policy
type vault struct {
	mu       sync.Mutex
	off      bool // the container does not take policies
	now      time.Time
	versions []vaultVersion // of the one blob, the oldest first
	deleted  []string       // the ids of versions that were deleted for good
	hidden   bool           // the current version was deleted without a name
}

type vaultVersion struct {
	id    string
	mode  string
	until time.Time
	held  bool
}

func (v *vault) answer(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	q, date := r.URL.Query(), v.now.UTC().Format(http.TimeFormat)
	switch {
	case q.Get("restype") == "container" && q.Get("comp") == "":
		return sayBody(r, http.StatusOK, "", "X-Ms-Immutable-Storage-With-Versioning-Enabled", fmt.Sprint(!v.off)), nil
	case q.Get("comp") == "list":
		return sayBody(r, http.StatusOK, v.list(), "Date", date), nil
	case q.Get("comp") == "immutabilityPolicies":
		return v.setPolicy(r), nil
	case r.Method == http.MethodDelete:
		return v.delete(r, q.Get("versionid")), nil
	case r.Method == http.MethodPut:
		until, _ := http.ParseTime(r.Header.Get("x-ms-immutability-policy-until-date"))
		v.versions = append(v.versions, vaultVersion{id: fmt.Sprintf("v%d", len(v.versions)), mode: r.Header.Get("x-ms-immutability-policy-mode"), until: until})
		v.hidden = false
		return sayBody(r, http.StatusCreated, ""), nil
	case len(v.versions) == 0 || v.hidden:
		return say(r, http.StatusNotFound, "BlobNotFound"), nil
	}
	current := v.versions[len(v.versions)-1]
	headers := []string{"Content-Length", "5", "X-Ms-Immutability-Policy-Mode", strings.ToLower(current.mode)}
	if !current.until.IsZero() {
		headers = append(headers, "X-Ms-Immutability-Policy-Until-Date", current.until.UTC().Format(http.TimeFormat))
	}
	return sayBody(r, http.StatusOK, "", headers...), nil
}

func (v *vault) list() string {
	blobs := ""
	for i, one := range v.versions {
		if slices.Contains(v.deleted, one.id) {
			continue
		}
		current := ""
		if i == len(v.versions)-1 && !v.hidden {
			current = "<IsCurrentVersion>true</IsCurrentVersion>"
		}
		policy := ""
		if !one.until.IsZero() {
			policy = "<ImmutabilityPolicyUntilDate>" + one.until.UTC().Format(http.TimeFormat) + "</ImmutabilityPolicyUntilDate><ImmutabilityPolicyMode>" + one.mode + "</ImmutabilityPolicyMode>"
		}
		blobs += fmt.Sprintf("<Blob><Name>p/a</Name><VersionId>%s</VersionId>%s<Properties><Content-Length>5</Content-Length>%s<LegalHold>%v</LegalHold></Properties></Blob>",
			one.id, current, policy, one.held)
	}
	return "<EnumerationResults><Blobs>" + blobs + "<Blob><Name>p/a/b</Name><VersionId>other</VersionId><Properties><Content-Length>5</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"
}

// setPolicy only extends what is locked.
func (v *vault) setPolicy(r *http.Request) *http.Response {
	until, err := http.ParseTime(r.Header.Get("x-ms-immutability-policy-until-date"))
	one := &v.versions[len(v.versions)-1]
	if mode := r.Header.Get("x-ms-immutability-policy-mode"); err != nil || strings.EqualFold(one.mode, "locked") && (until.Before(one.until) || !strings.EqualFold(mode, "locked")) {
		return say(r, http.StatusConflict, "BlobImmutableDueToPolicy")
	}
	one.mode, one.until = r.Header.Get("x-ms-immutability-policy-mode"), until
	return sayBody(r, http.StatusOK, "")
}

func (v *vault) delete(r *http.Request, id string) *http.Response {
	if id == "" {
		if v.hidden || len(v.versions) == 0 {
			return say(r, http.StatusNotFound, "BlobNotFound")
		}
		v.hidden = true
		return sayBody(r, http.StatusAccepted, "")
	}
	for _, one := range v.versions {
		if one.id == id && (one.held || one.until.After(v.now)) {
			return say(r, http.StatusConflict, "BlobImmutableDueToPolicy")
		}
	}
	v.deleted = append(v.deleted, id)
	return sayBody(r, http.StatusAccepted, "")
}

// rig returns a backend on a vault, which is at a time.
func rig(t *testing.T, v *vault, mode string) (*azure.Backend, *storagetest.Tap) {
	t.Helper()
	v.now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	seen := tapped(v.answer)
	c := unserved(seen)
	c.Immutability = mode
	return open(t, c), seen
}

// What is put to be retained says so in the one request that puts it, rounded up to what
// the service can keep; whether the container can is asked once.
func TestPutRetained(t *testing.T) {
	for mode, want := range map[string]string{"locked": "locked", "unlocked": "unlocked"} {
		v := &vault{}
		be, seen := rig(t, v, mode)
		until := v.now.Add(36*time.Hour + time.Nanosecond)
		for range 2 {
			put(t, be, "a", "x", backend.PutOptions{RetainUntil: until})
		}
		asked, headers := taken(seen)
		if len(asked) != 3 {
			t.Fatalf("2 puts with %q, want 3 requests", asked)
		}
		if got := strings.ToLower(headers[1].Get("X-Ms-Immutability-Policy-Mode")); got != want {
			t.Errorf("mode %q, want %q", got, want)
		}
		whole := time.Date(2030, 1, 3, 0, 0, 1, 0, time.UTC)
		if got := headers[1].Get("X-Ms-Immutability-Policy-Until-Date"); got != whole.Format(http.TimeFormat) {
			t.Errorf("until %q, want %q", got, whole.Format(http.TimeFormat))
		}
		kept, err := be.Retained(t.Context(), "a")
		if err != nil || !kept.Equal(whole) {
			t.Errorf("Retained = %v, %v; want %v", kept, err, whole)
		}
	}
}

// Without the container's consent, or the configuration's, nothing is stored that would
// not be kept.
func testRetentionThatIsOff(t *testing.T, s *servers.AzureServer) {
	real := configure(s, "p")
	real.Immutability = "locked"
	v := &vault{off: true}
	refusing, _ := rig(t, v, "locked")
	off, seen := rig(t, &vault{}, "")
	until := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		be   *azure.Backend
		hint string
	}{"azurite": {open(t, real), "--enable-vlw"}, "container": {refusing, "--enable-vlw"}, "configuration": {off, "immutability=locked"}} {
		for what, err := range map[string]error{
			"put":    c.be.Put(t.Context(), "a", nil, backend.PutOptions{RetainUntil: until}),
			"retain": c.be.Retain(t.Context(), "a", until),
			"check":  c.be.RetentionCheck(t.Context()),
		} {
			if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), c.hint) {
				t.Errorf("%s, %s: %v, hints %q; want ErrUnsupported with %q", name, what, err, fault.Hints(err), c.hint)
			}
		}
	}
	if asked := seen.Take().Asked; len(asked) != 0 {
		t.Errorf("requests were made for what is switched off: %q", asked)
	}
	if len(v.versions) != 0 {
		t.Error("an object was stored without its retention")
	}
	on, _ := rig(t, &vault{}, "locked")
	if err := on.RetentionCheck(t.Context()); err != nil {
		t.Errorf("a container that keeps policies: %v", err)
	}
}

// A retention is only ever extended, and a lock never taken back.
func TestRetain(t *testing.T) {
	v := &vault{}
	be, seen := rig(t, v, "unlocked")
	day := func(n int) time.Time { return v.now.Add(time.Duration(n) * 24 * time.Hour) }
	v.versions = []vaultVersion{{id: "v0"}}
	for _, step := range []struct {
		until    time.Time
		requests int
		want     time.Time
	}{{day(3), 2, day(3)}, {day(2), 1, day(3)}, {day(3), 1, day(3)}, {day(5), 2, day(5)}} {
		if step.until.Equal(day(3)) && step.requests == 2 {
			if err := be.RetentionCheck(t.Context()); err != nil { // asked once, here
				t.Fatal(err)
			}
		}
		seen.Take()
		if err := be.Retain(t.Context(), "a", step.until); err != nil {
			t.Fatal(err)
		}
		if asked := seen.Take().Asked; len(asked) != step.requests {
			t.Errorf("Retain until %v: %q, want %d requests", step.until, asked, step.requests)
		}
		if got, err := be.Retained(t.Context(), "a"); err != nil || !got.Equal(step.want) {
			t.Errorf("Retained = %v, %v; want %v", got, err, step.want)
		}
	}
	v.versions[0].mode = "Locked"
	if err := be.Retain(t.Context(), "a", day(9)); err != nil {
		t.Errorf("extend a lock with the mode unlocked configured: %v", err)
	}
	if !strings.EqualFold(v.versions[0].mode, "locked") {
		t.Errorf("the lock became %q", v.versions[0].mode)
	}
	if err := be.Retain(t.Context(), "none/such", day(9)); err != nil && !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Retain of a missing object: %v", err)
	}
}

// Deleting removes all versions for good, or, while one of them is kept, nothing.
func TestDeleteRetained(t *testing.T) {
	for name, kept := range map[string]vaultVersion{"policy": {until: time.Date(2030, 1, 1, 12, 0, 1, 0, time.UTC)}, "legal hold": {held: true}} {
		for at := range 2 {
			v := &vault{}
			// The machine's clock is far ahead: the service's counts.
			be, seen := rig(t, v, "locked")
			v.versions = []vaultVersion{{id: "v0"}, {id: "v1"}}
			v.versions[at].until, v.versions[at].held = kept.until, kept.held
			err := be.Delete(t.Context(), "a")
			if !errors.Is(err, backend.ErrRetained) || len(fault.Hints(err)) == 0 {
				t.Errorf("%s on version %d: %v, want ErrRetained with a hint", name, at, err)
			}
			if asked := seen.Take().Asked; len(asked) != 1 || v.hidden || len(v.deleted) != 0 {
				t.Errorf("%s on version %d: %q; hidden %v, deleted %q", name, at, asked, v.hidden, v.deleted)
			}
			v.now = v.now.Add(time.Minute)
			v.versions[at].held = false
			if err := be.Delete(t.Context(), "a"); err != nil {
				t.Errorf("%s has ended: %v", name, err)
			}
			if slices.Sort(v.deleted); !slices.Equal(v.deleted, []string{"v0", "v1"}) || !v.hidden {
				t.Errorf("%s has ended: hidden %v, deleted %q, want all versions", name, v.hidden, v.deleted)
			}
			if err := be.Delete(t.Context(), "a"); err != nil {
				t.Errorf("again: %v", err)
			}
		}
	}
	// What another one keeps between the look and the delete is kept all the same.
	v := &vault{}
	be, seen := rig(t, v, "locked")
	v.versions = []vaultVersion{{id: "v0"}}
	seen.Answer = func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := v.answer(next, r)
		if r.URL.Query().Get("comp") == "list" {
			v.versions[0].held = true
		}
		return resp, err
	}
	if err := be.Delete(t.Context(), "a"); !errors.Is(err, backend.ErrRetained) || len(v.deleted) != 0 {
		t.Errorf("a hold that came in between: %v, deleted %q", err, v.deleted)
	}
}

// Without versions, as azurite has none, retention that is switched on changes nothing
// about deleting.
func testDeleteWithoutVersions(t *testing.T, s *servers.AzureServer) {
	c := configure(s, "p")
	c.Immutability = "locked"
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{})
	put(t, be, "a/b", "x", backend.PutOptions{})
	for range 2 {
		if err := be.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := be.Stat(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
	wantText(t, be, "a/b", "x")
}

// Replacing what is kept is refused; a conditional put of its name finds it taken.
func TestPutOverRetained(t *testing.T) {
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return say(r, http.StatusConflict, "BlobImmutableDueToPolicy"), nil
	})
	be := open(t, unserved(seen))
	if err := be.Put(t.Context(), "a", nil, backend.PutOptions{}); !errors.Is(err, backend.ErrRetained) {
		t.Errorf("a put: %v, want ErrRetained", err)
	}
	if err := be.Put(t.Context(), "a", nil, backend.PutOptions{IfAbsent: true}); !errors.Is(err, backend.ErrExists) || errors.Is(err, backend.ErrRetained) {
		t.Errorf("a conditional put: %v, want ErrExists", err)
	}
}
