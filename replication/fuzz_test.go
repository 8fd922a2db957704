package replication

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"time"
)

// What is read as notes is written as the same bytes, and nothing crashes.
func FuzzNotes(f *testing.F) {
	n := newNotes([16]byte{1, 2})
	f.Add(n.encode())
	n.turn, n.turnSeen = 7, true
	n.gone[keyOf("packs/00/000102030405060708090a0b0c0d0e0f")] = gone{since: time.Unix(1_700_000_000, 0).UTC()}
	n.gone[keyOf("snapshots/s/x")] = gone{since: time.Unix(1, 0).UTC(), lost: true}
	n.seen[keyOf("index/000102030405060708090a0b0c0d0e0f")] = 42
	f.Add(n.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, sum(bytes.Clone(data))} {
			n, err := decodeNotes(data)
			if err != nil {
				if !errors.Is(err, errRecord) && !errors.Is(err, errNewer) {
					t.Errorf("a strange error: %v", err)
				}
				continue
			}
			again, err := decodeNotes(n.encode())
			if err != nil || !maps.Equal(again.gone, n.gone) || !maps.Equal(again.seen, n.seen) || again.turn != n.turn || again.repo != n.repo {
				t.Errorf("not the same again: %v", err)
			}
		}
	})
}

func FuzzStanding(f *testing.F) {
	for _, s := range []Standing{{Role: Primary}, {Role: Replica, Epoch: 3, By: "x", Reason: "y", Time: time.Unix(1_700_000_000, 0).UTC()}} {
		data, err := sealRecord(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:len(data)-sumSize], s.Epoch)
		f.Add(data, s.Epoch)
	}
	f.Fuzz(func(t *testing.T, data []byte, epoch uint32) {
		for _, data := range [][]byte{data, sum(bytes.Clone(data))} {
			s, err := decodeStanding(data, epoch)
			if err != nil {
				if !errors.Is(err, errRecord) {
					t.Errorf("a strange error: %v", err)
				}
				continue
			}
			if s.Epoch != epoch || s.Role != Primary && s.Role != Replica {
				t.Errorf("%+v is no standing of epoch %d", s, epoch)
			}
			again, err := sealRecord(s)
			if err != nil {
				continue // a year that JSON does not write
			}
			if back, err := decodeStanding(again, epoch); err != nil || back.Role != s.Role || back.By != s.By {
				t.Errorf("%+v became %+v, %v", s, back, err)
			}
		}
	})
}

func FuzzSign(f *testing.F) {
	data, err := sealRecord(signText{By: "x", Time: time.Unix(1_700_000_000, 0).UTC()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-sumSize])
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, sum(bytes.Clone(data))} {
			var s signText
			if err := openRecord(data, &s); err != nil && !errors.Is(err, errRecord) {
				t.Errorf("a strange error: %v", err)
			}
		}
	})
}

// A key of a pack, an object of parity or of the index gives its name back; no two names
// have one key.
func FuzzKeys(f *testing.F) {
	for _, name := range []string{
		"packs/00/000102030405060708090a0b0c0d0e0f", "packs/01/000102030405060708090a0b0c0d0e0f",
		"parity/00/000102030405060708090a0b0c0d0e0f", "parity/stripes/000102030405060708090a0b0c0d0e0f",
		"index/000102030405060708090a0b0c0d0e0f", "snapshots/s/20231114T221322Z-a9bccf7282e3df8b", "", "packs/", "gc/seen",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		k := keyOf(name)
		if k.kind() != keyNamed && k.render() != name {
			t.Errorf("%q became %q", name, k.render())
		}
		if n := k.shard(5); n < 0 || n > 4 {
			t.Errorf("shard %d of 5", n)
		}
		classOf(name)
	})
}
