package azure_test

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/storage/backend"
)

// shelf answers as a container with versions does, for what bringing blobs back asks of
// it: azurite has none. https://learn.microsoft.com/rest/api/storageservices/list-blobs
type shelf struct {
	mu    sync.Mutex
	blobs []shelved // by name, and then by version, as the service lists them
}

type shelved struct {
	name, id, data string
	current        bool
	until          time.Time
}

func (s *shelf) answer(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	name := strings.TrimPrefix(r.URL.Path, "/devstoreaccount1/backups/")
	switch {
	case q.Get("restype") == "container" && q.Get("comp") == "":
		return sayBody(r, http.StatusOK, "", "X-Ms-Immutable-Storage-With-Versioning-Enabled", "true"), nil
	case q.Get("comp") == "list" && !strings.Contains(q.Get("include"), "versions"):
		return nil, errors.New("a listing without versions")
	case q.Get("comp") == "list":
		return sayBody(r, http.StatusOK, s.list(q.Get("prefix"))), nil
	case r.Method == http.MethodPut:
		data, err := io.ReadAll(r.Body)
		until, _ := http.ParseTime(r.Header.Get("x-ms-immutability-policy-until-date"))
		i := slices.IndexFunc(s.blobs, func(one shelved) bool { return one.name > name })
		if i < 0 {
			i = len(s.blobs)
		}
		s.blobs = slices.Insert(s.blobs, i, shelved{name: name, id: "2030-01-09", data: string(data), current: true, until: until})
		return sayBody(r, http.StatusCreated, ""), err
	}
	for _, one := range s.blobs {
		if one.name == name && (one.id == q.Get("versionid") || q.Get("versionid") == "" && one.current) {
			sum := md5.Sum([]byte(one.data))
			headers := []string{"Content-Length", fmt.Sprint(len(one.data)), "Content-Md5", base64.StdEncoding.EncodeToString(sum[:])}
			if !one.until.IsZero() {
				headers = append(headers, "X-Ms-Immutability-Policy-Until-Date", one.until.UTC().Format(http.TimeFormat))
			}
			return sayBody(r, http.StatusOK, one.data, headers...), nil
		}
	}
	return say(r, http.StatusNotFound, "BlobNotFound"), nil
}

func (s *shelf) list(prefix string) string {
	var b strings.Builder
	for _, one := range s.blobs {
		if !strings.HasPrefix(one.name, prefix) {
			continue
		}
		current := ""
		if one.current {
			current = "<IsCurrentVersion>true</IsCurrentVersion>"
		}
		fmt.Fprintf(&b, "<Blob><Name>%s</Name><VersionId>%s</VersionId>%s<Properties><Content-Length>%d</Content-Length></Properties></Blob>",
			one.name, one.id, current, len(one.data))
	}
	return "<EnumerationResults><Blobs>" + b.String() + "</Blobs><NextMarker/></EnumerationResults>"
}

// What has versions and no current one comes back as the newest that is whole, under the
// policy it had; what is there, is not wanted or outside the prefix stays as it is.
func TestUndelete(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s := &shelf{blobs: []shelved{
		{"other/packs/a", "2030-01-01", "packs/a", false, until},
		{"p/gc/x", "2030-01-01", "gc/x", false, until},
		{"p/packs/a", "2030-01-01", "packs/a", false, until},
		{"p/packs/b", "2030-01-01", "packs/b", false, until},
		{"p/packs/b", "2030-01-02", "garbage", false, time.Time{}},
		{"p/packs/bb", "2030-01-01", "packs/bb", false, time.Now().Add(-time.Hour)},
		{"p/packs/none", "2030-01-01", "garbage", false, time.Time{}},
		{"p/packs/there", "2030-01-01", "garbage", false, until},
		{"p/packs/there", "2030-01-02", "packs/there", true, until},
	}}
	seen := tapped(s.answer)
	c := unserved(seen)
	c.Immutability = "locked"
	be := open(t, c)
	for _, want := range [][]string{{"packs/a", "packs/b", "packs/bb", "packs/none"}, nil} {
		var back []string
		err := be.Undelete(t.Context(), backend.UndeleteOptions{
			Want: func(name string) bool { return name != "gc/x" },
			Whole: func(name string, data []byte) error {
				if string(data) != name {
					return errors.New("not what was stored")
				}
				return nil
			},
			Tell: func(u backend.Undeleted) {
				back = append(back, u.Name)
				if passed := map[string]int{"packs/b": 1}[u.Name]; u.Passed != passed || (u.Damaged != nil) != (u.Name == "packs/none") {
					t.Errorf("%+v, want %d versions passed over", u, passed)
				}
			},
		})
		slices.Sort(back)
		if err != nil || !slices.Equal(back, want) {
			t.Errorf("Undelete brings back %q, %v; want %q", back, err, want)
		}
	}
	for name, kept := range map[string]time.Time{"packs/a": until, "packs/b": until, "packs/bb": {}, "packs/there": until} {
		wantText(t, be, name, name)
		i := slices.IndexFunc(s.blobs, func(one shelved) bool { return one.name == "p/"+name && one.current })
		if i < 0 || !s.blobs[i].until.Equal(kept) {
			t.Errorf("%s is not there, or not kept until %v", name, kept)
		}
	}
	if _, err := be.Stat(t.Context(), "gc/x"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("what is not wanted is back: %v", err)
	}
	seen.Take()
	c.Immutability = ""
	err := open(t, c).Undelete(t.Context(), backend.UndeleteOptions{Want: func(string) bool { return true }})
	if asked := seen.Take().Asked; err != nil || len(asked) != 0 {
		t.Errorf("without immutability: %v, %q", err, asked)
	}
}
