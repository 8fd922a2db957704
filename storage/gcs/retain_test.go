package gcs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

// vault answers as a bucket with object retention and versions does, as far as
// retention goes: fake-gcs-server has none of it. What requests say is as the service
// documents them: https://cloud.google.com/storage/docs/object-lock
type vault struct {
	mu         sync.Mutex
	off        bool // the bucket retains no objects
	blind      bool // the bucket may not be looked at
	generation []*vaultObject
	deleted    []int64
	puts       int
	meddle     func() // what somebody else does before an update
}

type vaultObject struct {
	Name           string          `json:"name"`
	Generation     int64           `json:"generation,string"`
	Metageneration int64           `json:"metageneration,string"`
	Size           string          `json:"size,omitempty"`
	Retention      *vaultRetention `json:"retention,omitempty"`
	Policy         string          `json:"retentionExpirationTime,omitempty"`
	TemporaryHold  bool            `json:"temporaryHold,omitempty"`
	EventHold      bool            `json:"eventBasedHold,omitempty"`
}

type vaultRetention struct {
	Mode  string    `json:"mode"`
	Until time.Time `json:"retainUntilTime"`
}

func (v *vault) answer(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	reply := func(what any) (*http.Response, error) {
		text, err := json.Marshal(what)
		return sayBody(r, http.StatusOK, string(text)), err
	}
	path, q := r.URL.Path, r.URL.Query()
	switch {
	case strings.HasPrefix(path, "/upload/"):
		text, _ := io.ReadAll(r.Body)
		v.puts++
		object := &vaultObject{}
		_, head, _ := strings.Cut(string(text), "\r\n\r\n")
		if err := json.NewDecoder(strings.NewReader(head)).Decode(object); err != nil {
			return nil, err
		}
		object.Generation, object.Metageneration, object.Size = int64(len(v.generation)+1), 1, "1"
		v.generation = append(v.generation, object)
		return reply(object)
	case path == "/storage/v1/b/backups" && v.blind:
		return say(r, http.StatusForbidden, "forbidden", "no access"), nil
	case path == "/storage/v1/b/backups":
		bucket := map[string]any{"name": "backups", "versioning": map[string]bool{"enabled": true}}
		if !v.off {
			bucket["objectRetention"] = map[string]string{"mode": "Enabled"}
		}
		return reply(bucket)
	case path == "/storage/v1/b/backups/o":
		return reply(map[string]any{"items": append(slices.Clone(v.generation), &vaultObject{Name: "p/a/b", Generation: 99})})
	case r.Method == http.MethodDelete:
		generation, err := strconv.ParseInt(q.Get("generation"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a delete that names no generation: %w", err)
		}
		v.deleted = append(v.deleted, generation)
		v.generation = slices.DeleteFunc(v.generation, func(o *vaultObject) bool { return o.Generation == generation })
		return sayBody(r, http.StatusNoContent, ""), nil
	case len(v.generation) == 0:
		return say(r, http.StatusNotFound, "notFound", "No such object"), nil
	case r.Method == http.MethodPatch:
		return v.patch(r, reply)
	}
	return reply(v.generation[len(v.generation)-1])
}

func (v *vault) patch(r *http.Request, reply func(any) (*http.Response, error)) (*http.Response, error) {
	if v.meddle != nil {
		v.meddle()
	}
	object := v.generation[len(v.generation)-1]
	if r.URL.Query().Get("ifMetagenerationMatch") != fmt.Sprint(object.Metageneration) {
		return say(r, http.StatusPreconditionFailed, "conditionNotMet", ""), nil
	}
	if v.off {
		return say(r, http.StatusBadRequest, "invalid", "Object retention is not enabled for this bucket"), nil
	}
	var change vaultObject
	if err := json.NewDecoder(r.Body).Decode(&change); err != nil {
		return nil, err
	}
	object.Retention = change.Retention
	object.Metageneration++
	return reply(object)
}

func rig(t *testing.T, v *vault, mode string) (*gcs.Backend, *storagetest.Tap) {
	t.Helper()
	seen := tapped(v.answer)
	c := unserved(seen)
	c.Retention = mode
	return open(t, c), seen
}

// What is put to be retained says so in the one request that puts it, rounded up to what
// the service is told.
func TestPutRetained(t *testing.T) {
	for mode, want := range map[string]string{"locked": "Locked", "unlocked": "Unlocked"} {
		v := &vault{}
		be, seen := rig(t, v, mode)
		put(t, be, "a", "x", backend.PutOptions{RetainUntil: time.Date(2030, 1, 1, 0, 0, 0, 1, time.UTC)})
		if asked := seen.Take().Asked; len(asked) != 1 {
			t.Errorf("%q, want one request", asked)
		}
		whole := time.Date(2030, 1, 1, 0, 0, 1, 0, time.UTC)
		if got := v.generation[0].Retention; got == nil || got.Mode != want || !got.Until.Equal(whole) {
			t.Errorf("retention %+v, want %s until %v", got, want, whole)
		}
		if kept, err := be.Retained(t.Context(), "a"); err != nil || !kept.Equal(whole) {
			t.Errorf("Retained = %v, %v; want %v", kept, err, whole)
		}
	}
}

// Without the bucket's consent, or the configuration's, nothing is stored that would not
// be kept.
func TestRetentionThatIsOff(t *testing.T) {
	v := &vault{off: true, generation: []*vaultObject{{Name: "p/a", Generation: 1, Metageneration: 1}}}
	refusing, _ := rig(t, v, "locked")
	nothing := &vault{}
	off, _ := rig(t, nothing, "")
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		err  error
		hint string
	}{
		"check, bucket":         {refusing.RetentionCheck(t.Context()), "--enable-per-object-retention"},
		"retain, bucket":        {refusing.Retain(t.Context(), "a", until), "--enable-per-object-retention"},
		"check, configuration":  {off.RetentionCheck(t.Context()), "retention=locked"},
		"retain, configuration": {off.Retain(t.Context(), "a", until), "retention=locked"},
		"put, configuration":    {off.Put(t.Context(), "a", nil, backend.PutOptions{RetainUntil: until}), "retention=locked"},
	} {
		if !errors.Is(c.err, backend.ErrUnsupported) || !strings.Contains(strings.Join(fault.Hints(c.err), "\n"), c.hint) {
			t.Errorf("%s: %v, hints %q; want ErrUnsupported with %q", what, c.err, fault.Hints(c.err), c.hint)
		}
	}
	if nothing.puts != 0 {
		t.Error("an object was stored without its retention")
	}
	// A put into a bucket without retention is refused by the service.
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return say(r, http.StatusBadRequest, "invalid", "Object retention is not enabled for this bucket"), nil
	})
	c := unserved(seen)
	c.Retention = "locked"
	if err := open(t, c).Put(t.Context(), "a", nil, backend.PutOptions{RetainUntil: until}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("a put into a bucket that retains nothing: %v, want ErrUnsupported", err)
	}
	// One that takes it and takes no notice is found out by its answer.
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, `{"size": "0"}`), nil
	}
	if err := open(t, c).Put(t.Context(), "a", nil, backend.PutOptions{RetainUntil: until}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("a put into a store that takes no notice of retention: %v, want ErrUnsupported", err)
	}
	on, _ := rig(t, &vault{}, "locked")
	if err := on.RetentionCheck(t.Context()); err != nil {
		t.Errorf("a bucket that retains objects: %v", err)
	}
}

// A retention is only ever extended, and the object's own mode stays.
func TestRetain(t *testing.T) {
	v := &vault{generation: []*vaultObject{{Name: "p/a", Generation: 1, Metageneration: 1}}}
	be, seen := rig(t, v, "unlocked")
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, step := range []struct {
		until    int
		requests int
		want     int
	}{{3, 2, 3}, {2, 1, 3}, {3, 1, 3}, {5, 2, 5}} {
		seen.Take()
		if err := be.Retain(t.Context(), "a", day(step.until)); err != nil {
			t.Fatal(err)
		}
		if asked := seen.Take().Asked; len(asked) != step.requests {
			t.Errorf("Retain until day %d: %q, want %d requests", step.until, asked, step.requests)
		}
		if got, err := be.Retained(t.Context(), "a"); err != nil || !got.Equal(day(step.want)) {
			t.Errorf("Retained = %v, %v; want day %d", got, err, step.want)
		}
	}
	v.generation[0].Retention.Mode = "Locked"
	if err := be.Retain(t.Context(), "a", day(9)); err != nil || v.generation[0].Retention.Mode != "Locked" {
		t.Errorf("extend a lock: %v, mode %q", err, v.generation[0].Retention.Mode)
	}
	// Somebody else who extends it further in between is not undone.
	v.meddle = func() {
		v.generation[0].Retention.Until = day(20)
		v.generation[0].Metageneration++
		v.meddle = nil
	}
	if err := be.Retain(t.Context(), "a", day(12)); err != nil {
		t.Errorf("with somebody else: %v", err)
	}
	if got, err := be.Retained(t.Context(), "a"); err != nil || !got.Equal(day(20)) {
		t.Errorf("Retained = %v, %v; want day 20", got, err)
	}
	// One who never stops is a failure that may pass.
	v.meddle = func() { v.generation[0].Metageneration++ }
	wantTemporary(t, "an object that changes all the time", be.Retain(t.Context(), "a", day(25)))
}

// A policy of the bucket keeps objects as well.
func TestRetainedByTheBucket(t *testing.T) {
	v := &vault{generation: []*vaultObject{{Name: "p/a", Generation: 1, Policy: "2031-01-01T00:00:00Z", Retention: &vaultRetention{Mode: "Locked", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}}}
	be, _ := rig(t, v, "")
	if got, err := be.Retained(t.Context(), "a"); err != nil || got.Year() != 2031 {
		t.Errorf("Retained = %v, %v; want 2031", got, err)
	}
}

// Deleting removes all versions for good, or, while one of them is kept, nothing; also
// where the bucket itself may not be looked at.
func TestDeleteRetained(t *testing.T) {
	future := time.Now().Add(time.Hour)
	for name, keep := range map[string]func(*vaultObject){
		"retention":      func(o *vaultObject) { o.Retention = &vaultRetention{"Locked", future} },
		"policy":         func(o *vaultObject) { o.Policy = future.UTC().Format(time.RFC3339) },
		"temporary hold": func(o *vaultObject) { o.TemporaryHold = true },
		"event hold":     func(o *vaultObject) { o.EventHold = true },
	} {
		for at := range 2 {
			v := &vault{blind: at == 1, generation: []*vaultObject{{Name: "p/a", Generation: 1}, {Name: "p/a", Generation: 2}}}
			be, _ := rig(t, v, "locked")
			keep(v.generation[at])
			if err := be.Delete(t.Context(), "a"); !errors.Is(err, backend.ErrRetained) || len(fault.Hints(err)) == 0 || len(v.deleted) != 0 {
				t.Errorf("%s on version %d: %v, deleted %v; want ErrRetained with a hint", name, at, err, v.deleted)
			}
			*v.generation[at] = vaultObject{Name: "p/a", Generation: int64(at + 1), Retention: &vaultRetention{"Locked", time.Now().Add(-time.Second)}}
			if err := be.Delete(t.Context(), "a"); err != nil || !slices.Equal(v.deleted, []int64{1, 2}) {
				t.Errorf("%s has ended: %v, deleted %v, want all versions, the last one last", name, err, v.deleted)
			}
			if err := be.Delete(t.Context(), "a"); err != nil {
				t.Errorf("again: %v", err)
			}
		}
	}
}

// In a real bucket with versions nothing is left of what was deleted, and others are not
// touched.
func TestDeleteVersions(t *testing.T) {
	s := servers.GCS(t, servers.InMemory())
	resp, err := http.Post(s.Endpoint()+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name": "versions", "versioning": {"enabled": true}}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	c := configure(s, "p")
	c.Bucket = "versions"
	be := open(t, c)
	for _, text := range []string{"one", "two", "three"} {
		put(t, be, "a", text, backend.PutOptions{})
	}
	put(t, be, "a/b", "other", backend.PutOptions{})
	put(t, be, "ab", "other", backend.PutOptions{})
	for range 2 {
		if err := be.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	resp, err = http.Get(s.Endpoint() + "/storage/v1/b/versions/o?versions=true")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	var left struct{ Items []struct{ Name string } }
	if err := json.NewDecoder(resp.Body).Decode(&left); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range left.Items {
		names = append(names, item.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"p/a/b", "p/ab"}) {
		t.Errorf("the bucket has %q", names)
	}
}
