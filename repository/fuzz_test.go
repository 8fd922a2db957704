package repository

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage/faults"
)

func FuzzDecodeConfig(f *testing.F) {
	c := newConfig(CreateOptions{})
	data, err := encodeConfig(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		for range 2 {
			c, err := decodeConfig(data)
			if err == nil {
				again, err := encodeConfig(c)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := decodeConfig(again); err != nil {
					t.Fatalf("a configuration does not survive writing and reading: %v", err)
				}
				_ = c.rawID()
			}
			if len(data) > sha256.Size { // and behind a checksum that agrees
				sum := sha256.Sum256(data[:len(data)-sha256.Size])
				data = append(bytes.Clone(data[:len(data)-sha256.Size]), sum[:]...)
			}
		}
	})
}

// FuzzObjectName reads the names of objects: each object has one spelling.
func FuzzObjectName(f *testing.F) {
	f.Add("snapshots/home/20260504T030201Z-0123456789abcdef")
	f.Add("snapshots/%41%2fb/20260504T030201Z-0123456789abcdef")
	f.Add("pins/home/20260504T030201Z-0123456789abcdef")
	f.Add("holds/home/anomaly")
	f.Add("packs/0f/0f0102030405060708090a0b0c0d0e0f")
	f.Fuzz(func(t *testing.T, object string) {
		ref, ok := parseSnapshotObject(object)
		if ok && snapshotObject(ref.source, ref.time, ref.id) != object {
			t.Fatalf("%q reads as %+v, which is another name", object, ref)
		}
		if id, ok := parsePackObject(object); ok && id.Object() != object {
			t.Fatalf("%q reads as pack %s", object, id)
		}
		if pin, ok := parsePinObject(object); ok && pinObject(pin.source, pin.time, pin.id) != object {
			t.Fatalf("%q reads as the pin of %+v", object, pin)
		}
		if hold, ok := parseHoldObject(object); ok && holdObject(hold.Source, hold.Name) != object {
			t.Fatalf("%q reads as %+v", object, hold)
		}
	})
}

func FuzzSource(f *testing.F) {
	f.Add("Home dir/ä.")
	f.Fuzz(func(t *testing.T, source string) {
		got, ok := unescapeSource(escapeSource(source))
		if ok != (source != "") || got != source {
			t.Fatalf("%q becomes %q", source, got)
		}
	})
}

// fuzzRepository is an empty repository in memory.
func fuzzRepository(f *testing.F) *Repository {
	f.Helper()
	r, err := Create(f.Context(), faults.NewMemory(), keyring.Generate(testTime), CreateOptions{CacheDir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := r.Close(); err != nil {
			f.Error(err)
		}
	})
	return r
}

// FuzzSnapshotText opens snapshots that somebody with the key sealed: what is
// accepted is the one that its name says.
func FuzzSnapshotText(f *testing.F) {
	r := fuzzRepository(f)
	const name = "snapshots/home/20260504T030201Z-0123456789abcdef"
	f.Add([]byte(`{"id":"0123456789abcdef","source":"home","time":"2026-05-04T03:02:01Z","root":"00"}`))
	f.Add([]byte(`{"id":"0123456789abcdef","source":"home","time":"2026-05-04T03:02:01.5+02:00","index":[""],"totals":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		sealed, err := r.keys.Seal(seal.TypeSnapshot, name, text)
		if err != nil {
			t.Fatal(err)
		}
		snap, err := r.parseSnapshot(name, name, bytes.Clone(sealed))
		switch {
		case err == nil && snapshotObject(snap.Source, snap.Time, snap.ID) != name:
			t.Fatalf("%s was accepted as %s", text, name)
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatalf("not told as damage: %v", err)
		}
		if _, err := r.parseSnapshot("other", "snapshots/home/20260504T030201Z-ffffffffffffffff", sealed); err == nil {
			t.Fatal("it opens under another name")
		}
	})
}

// FuzzSalvage searches damaged packs for whole records, the header lost or not.
func FuzzSalvage(f *testing.F) {
	r := fuzzRepository(f)
	s, err := r.Session(f.Context(), SessionOptions{PackSize: minPackSize})
	if err != nil {
		f.Fatal(err)
	}
	want := map[ID]bool{}
	for seed := range uint64(3) {
		id, _, err := s.Save(f.Context(), KindData, content(seed, 300))
		if err != nil {
			f.Fatal(err)
		}
		want[id] = true
	}
	if _, err := s.Abort(f.Context()); err != nil {
		f.Fatal(err)
	}
	var id PackID
	for name, data := range r.Backend().(*faults.Memory).Objects() {
		if found, ok := parsePackObject(name); ok {
			id = found
			f.Add(data)
			f.Add(data[40:])
			f.Add(append(make([]byte, 64), data...))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _, err := r.scan(id, data)
		if err != nil {
			return
		}
		for _, e := range entries {
			if !want[e.ID] {
				t.Fatalf("found a blob that nobody stored: %s", e.ID)
			}
		}
	})
}
