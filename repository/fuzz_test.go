package repository

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"testing"
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

func FuzzSnapshotObject(f *testing.F) {
	f.Add("snapshots/home/20260504T030201Z-0123456789abcdef")
	f.Add("snapshots/%41%2fb/20260504T030201Z-0123456789abcdef")
	f.Fuzz(func(t *testing.T, object string) {
		ref, ok := parseSnapshotObject(object)
		if ok && snapshotObject(ref.source, ref.time, ref.id) != object {
			t.Fatalf("%q reads as %+v, which is another name", object, ref)
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

func FuzzSnapshotJSON(f *testing.F) {
	f.Add([]byte(`{"id":"x","root":"00"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var snap Snapshot
		if json.Unmarshal(text, &snap) == nil {
			_ = snapshotObject(snap.Source, snap.Time, snap.ID)
		}
	})
}
