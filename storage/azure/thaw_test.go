package azure_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

// Azurite archives blobs and refuses to read them as the service does; it rehydrates
// them at once.
func testArchive(t *testing.T, s *servers.AzureServer) {
	c := configure(s, "p")
	c.ColdTier = "Archive"
	be := open(t, c)
	data := noise(128 << 10)
	var names []string
	for i := range 3 {
		name := fmt.Sprintf("packs/%d", i)
		if err := be.Put(t.Context(), name, data, backend.PutOptions{Cold: i < 2}); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for i, name := range names {
		_, err := read(t.Context(), be, name, 0, -1)
		if (i < 2) != errors.Is(err, backend.ErrArchived) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := be.Stat(t.Context(), names[0]); err != nil || info.Size != int64(len(data)) {
		t.Errorf("Stat of an archived blob: %+v, %v", info, err)
	}
	state, err := be.Thaw(t.Context(), names, backend.ThawOptions{Days: 1})
	if err != nil || state.Asked != 2 || state.Ready+state.Waiting != 3 {
		t.Fatalf("Thaw = %+v, %v", state, err)
	}
	if state, err = be.Thaw(t.Context(), names, backend.ThawOptions{Days: 1}); err != nil || state.Asked != 0 || state.Ready != 3 || state.Expected != 0 {
		t.Errorf("Thaw again = %+v, %v", state, err)
	}
	for _, name := range names {
		if got, err := read(t.Context(), be, name, 0, -1); err != nil || string(got) != string(data) {
			t.Errorf("%s after it was thawed: %d bytes, %v", name, len(got), err)
		}
	}
}

// archive answers as the service does, which takes hours to rehydrate.
type archive struct {
	mu    sync.Mutex
	state map[string]string // by name: "" hot, "archive", "pending"
	busy  bool              // somebody else asks between the look and the request
}

func (a *archive) answer(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/devstoreaccount1/backups/p/")
	state, ok := a.state[name]
	switch {
	case !ok:
		return say(r, http.StatusNotFound, "BlobNotFound"), nil
	case r.URL.Query().Get("comp") == "tier" && a.busy:
		return say(r, http.StatusConflict, "BlobBeingRehydrated"), nil
	case r.URL.Query().Get("comp") == "tier":
		a.state[name] = "pending"
		return sayBody(r, http.StatusAccepted, ""), nil
	case state == "archive":
		return sayBody(r, http.StatusOK, "", "Content-Length", "5", "X-Ms-Access-Tier", "Archive"), nil
	case state == "pending":
		return sayBody(r, http.StatusOK, "", "Content-Length", "5", "X-Ms-Access-Tier", "Archive", "X-Ms-Archive-Status", "rehydrate-pending-to-hot"), nil
	}
	return sayBody(r, http.StatusOK, "", "Content-Length", "5", "X-Ms-Access-Tier", "Hot"), nil
}

// Each archived blob is asked for once, however often Thaw is called to wait; it
// tells how long that takes.
func TestThaw(t *testing.T) {
	names := []string{"hot", "cold/1", "cold/2"}
	for speed, c := range map[string]struct {
		tier, priority, wantTier string
		expected                 time.Duration
	}{"": {"", "Standard", "Hot", 15 * time.Hour}, "bulk": {"Cool", "Standard", "Cool", 15 * time.Hour}, "expedited": {"", "High", "Hot", time.Hour}} {
		a := &archive{state: map[string]string{"hot": "", "cold/1": "archive", "cold/2": "archive"}}
		be, seen := cold(t, a, c.tier)
		state, err := be.Thaw(t.Context(), names, backend.ThawOptions{Days: 2, Speed: speed})
		if diff := cmp.Diff(backend.ThawState{Ready: 1, Waiting: 2, Asked: 2, Expected: c.expected}, state); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", speed, err, diff)
		}
		asked, headers := taken(seen)
		tiers := 0
		for i, request := range asked {
			if strings.HasSuffix(request, "comp=tier") {
				tiers++
				if got := headers[i].Get("X-Ms-Rehydrate-Priority") + " " + headers[i].Get("X-Ms-Access-Tier"); got != c.priority+" "+c.wantTier {
					t.Errorf("%q: asked for %q, want %q", speed, got, c.priority+" "+c.wantTier)
				}
			}
		}
		if len(asked) != 5 || tiers != 2 {
			t.Errorf("%q: %q", speed, asked)
		}
		state, err = be.Thaw(t.Context(), names, backend.ThawOptions{Days: 2, Speed: speed})
		if diff := cmp.Diff(backend.ThawState{Ready: 1, Waiting: 2, Expected: c.expected}, state); err != nil || diff != "" {
			t.Errorf("%q, waiting: %v (-want +got):\n%s", speed, err, diff)
		}
		a.state["cold/1"], a.state["cold/2"] = "", ""
		state, err = be.Thaw(t.Context(), names, backend.ThawOptions{Days: 2, Speed: speed})
		if diff := cmp.Diff(backend.ThawState{Ready: 3}, state); err != nil || diff != "" {
			t.Errorf("%q, then: %v (-want +got):\n%s", speed, err, diff)
		}
	}
}

func TestThawThatFails(t *testing.T) {
	a := &archive{state: map[string]string{"cold": "archive"}, busy: true}
	be, _ := cold(t, a, "")
	if state, err := be.Thaw(t.Context(), []string{"cold"}, backend.ThawOptions{Days: 1}); err != nil || state.Waiting != 1 || state.Asked != 0 {
		t.Errorf("somebody else asked first: %+v, %v", state, err)
	}
	if _, err := be.Thaw(t.Context(), []string{"cold", "none"}, backend.ThawOptions{Days: 1}); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("a missing object: %v", err)
	}
	if _, err := be.Thaw(t.Context(), []string{"cold"}, backend.ThawOptions{Days: 1, Speed: "warp"}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("a speed that there is not: %v", err)
	}
	if _, err := be.Thaw(t.Context(), []string{"../cold"}, backend.ThawOptions{Days: 1}); !errors.Is(err, backend.ErrBadName) {
		t.Errorf("a name that is none: %v", err)
	}
}

func cold(t *testing.T, a *archive, tier string) (*azure.Backend, *storagetest.Tap) {
	t.Helper()
	seen := tapped(a.answer)
	c := unserved(seen)
	c.Tier = tier
	return open(t, c), seen
}
