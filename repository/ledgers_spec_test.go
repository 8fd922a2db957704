package repository_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
)

// TestTheSpecificationOfLedgersIsEnough reads a ledger and doubts by the book.
func TestTheSpecificationOfLedgersIsEnough(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	ring := keyring.Generate(now)
	be, err := storage.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := repository.Create(t.Context(), be, ring, repository.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	pack1, pack2 := repository.PackID{1, 2, 3}, repository.PackID{9}
	name := "snapshots/home/20260504T030201Z-0123456789abcdef"
	err = r.Record(t.Context(), ledger.New(
		[]ledger.Mark{{ID: pack2, Scrub: 5}, {ID: pack1, Scrub: 3, Full: 1 << 33}},
		[]ledger.Fate{{Name: name, Seen: 7, Forgotten: 8}},
	))
	if err != nil {
		t.Fatal(err)
	}
	r.Distrust(ledger.Doubt{Pack: pack1, Why: ledger.Content, Blobs: []repository.ID{{4}, {5}}})
	if err := r.RecordDoubts(t.Context(), now, nil); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "ring.txt")
	if err := os.WriteFile(key, []byte(ring.RecoveryText()), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := &specReader{dir: dir, keys: map[uint32][]byte{}}
	spec.readRing(t, key)
	spec.readConfig(t, "config")
	for _, object := range spec.list(t, "ledger/*") {
		if !bytes.Equal(spec.object(t, object), spec.object(t, "copies/"+object)) {
			t.Errorf("the copy of %s differs", object)
		}
		if filepath.Base(object)[:4] == "bad-" {
			spec.readDoubts(t, object, now, pack1, [][]byte{{4}, {5}})
			continue
		}
		spec.readLedger(t, object, pack1, pack2, name)
	}
}

func (r *specReader) readLedger(t *testing.T, object string, pack1, pack2 repository.PackID, name string) {
	t.Helper()
	x := r.unseal(t, object, 8, "ledger")
	packs, snapshots := int(le.Uint32(x[12:])), int(le.Uint32(x[16:]))
	if string(x[:8]) != "MHVledgr" || le.Uint32(x[8:]) != 1 || packs != 2 || snapshots != 1 {
		t.Fatalf("%s: header % x", object, x[:32])
	}
	type entry struct {
		id          string
		scrub, full uint64
	}
	for i, want := range []entry{{string(pack1[:]), 3, 1 << 33}, {string(pack2[:]), 5, 0}} {
		b := x[32+32*i:]
		if got := (entry{string(b[:16]), le.Uint64(b[16:]), le.Uint64(b[24:])}); got != want {
			t.Errorf("pack %d: %+v, want %+v", i, got, want)
		}
	}
	b := x[32+32*packs:]
	n := int(le.Uint16(b))
	if le.Uint64(b[2:]) != 7 || le.Uint64(b[10:]) != 8 || string(b[18:18+n]) != name || len(b) != 18+n {
		t.Errorf("snapshot % x", b)
	}
}

func (r *specReader) readDoubts(t *testing.T, object string, now time.Time, pack repository.PackID, want [][]byte) {
	t.Helper()
	x := r.unseal(t, object, 9, "doubt")
	if string(x[:8]) != "MHVdoubt" || le.Uint32(x[8:]) != 1 || le.Uint32(x[12:]) != 1 {
		t.Fatalf("%s: header % x", object, x[:16])
	}
	b := x[16:]
	n := int(le.Uint32(b[28:]))
	if !bytes.Equal(b[:16], pack[:]) || le.Uint64(b[16:]) != uint64(now.Unix()) || b[24] != 2 || n != len(want) || len(b) != 32+32*n {
		t.Fatalf("doubt % x", b)
	}
	for i, id := range want {
		if got := b[32+32*i:][:32]; got[0] != id[0] {
			t.Errorf("blob %s", hex.EncodeToString(got))
		}
	}
}
