package repository

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// reserved is a repository that keeps room in reserve, and its storage, which a test
// can make full.
func reserved(t *testing.T) (*Repository, *faults.Memory, *faults.Backend) {
	t.Helper()
	disk := faults.NewMemory()
	ring := newRing()
	created, err := Create(t.Context(), disk, ring, CreateOptions{Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, created)
	full := faults.Wrap(disk)
	r, err := Open(t.Context(), full, ring, OpenOptions{Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r, disk, full
}

func sizeOf(disk *faults.Memory) int { return len(disk.Objects()[reserveName]) }

// The first session keeps room in reserve, of what cannot be compressed, and less
// where there is less; later ones leave it as it is, and make it whole when there is
// room again.
func TestReserveIsKept(t *testing.T) {
	r, disk, full := reserved(t)
	session := func() {
		t.Helper()
		if _, err := startSession(t, r, SessionOptions{}).Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	full.On(faults.Put).Under(reserveName).Times(2).Fail(storage.ErrFull)
	session()
	if n := sizeOf(disk); n != reserveSize/4 {
		t.Fatalf("with little room %d bytes are kept in reserve", n)
	}
	session()
	first := disk.Objects()[reserveName]
	if len(first) != reserveSize {
		t.Fatalf("with room %d bytes are kept in reserve", len(first))
	}
	session()
	if now := disk.Objects()[reserveName]; &now[0] != &first[0] {
		t.Error("a reserve that was whole was written again")
	}
	for _, r := range string(first[:32]) {
		if strings.Count(string(first[:1024]), string(r)) > 256 {
			t.Errorf("%q again and again: it could be compressed", r)
		}
	}
	disk.Set(reserveName, nil)
	full.On(faults.Put).Under(reserveName).Times(-1).Fail(storage.ErrFull)
	session() // without room it does without
	if sizeOf(disk) != 0 {
		t.Error("kept where there is no room")
	}
}

// Where room cannot run out there is none.
func TestNoReserveUnlessAskedFor(t *testing.T) {
	disk := faults.NewMemory()
	r, err := Create(t.Context(), disk, newRing(), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	if _, err := startSession(t, r, SessionOptions{}).Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sizeOf(disk) != 0 {
		t.Error("there is a reserve")
	}
}

// Who may take the reserve gets it for what is small, and puts it back; for all
// others, and for packs, the storage is full.
func TestWhoMayTakeTheReserve(t *testing.T) {
	r, disk, full := reserved(t)
	s := startSession(t, r, SessionOptions{})
	snap := mustCommit(t, s, Snapshot{Source: "s", Root: mustSave(t, s, KindTree, []byte("root"))})
	fails := func(name string) { full.On(faults.Put).Under(name).Fail(storage.ErrFull) }

	fails(lease.Prefix)
	if _, err := r.Session(t.Context(), SessionOptions{}); !errors.Is(err, storage.ErrFull) || sizeOf(disk) == 0 {
		t.Fatalf("a session: %v, %d bytes in reserve", err, sizeOf(disk))
	}
	fails(pinPrefix)
	err := r.Pin(t.Context(), snap, Keep{Reason: "x"})
	if !errors.Is(err, storage.ErrFull) || sizeOf(disk) == 0 || !strings.Contains(strings.Join(fault.Hints(err), "\n"), "mahavishnu prune") {
		t.Fatalf("a pin: %v, %q, %d bytes in reserve", err, fault.Hints(err), sizeOf(disk))
	}

	fails(lease.Prefix)
	c, err := r.Collect(t.Context(), lease.Options{})
	if err != nil || sizeOf(disk) != 0 {
		t.Fatalf("a collector: %v, %d bytes in reserve", err, sizeOf(disk))
	}
	ctx, stop := c.Guard(t.Context())
	defer stop()
	// Packs do not take what was given up: the reserve is put back before they come.
	full.On(faults.Put).Under(reserveName).Times(5).Fail(storage.ErrFull) // of all sizes
	if err := r.be.Put(ctx, packPrefix+"y", make([]byte, 100), storage.PutOptions{}); !errors.Is(err, storage.ErrFull) || len(disk.Objects()[packPrefix+"y"]) > 0 {
		t.Errorf("a pack took the room of the reserve: %v", err)
	}
	if err := r.be.Put(ctx, packPrefix+"y", make([]byte, 100), storage.PutOptions{}); err != nil || sizeOf(disk) != reserveSize {
		t.Errorf("with room for both: %v, %d bytes in reserve", err, sizeOf(disk))
	}
	if err := r.be.Delete(ctx, packPrefix+"y"); err != nil {
		t.Fatal(err)
	}
	fails(packPrefix)
	room := new(RoomError)
	if err := r.be.Put(ctx, packPrefix+"x", make([]byte, 5<<20), storage.PutOptions{}); !errors.As(err, &room) || room.Size != 5<<20 {
		t.Errorf("a pack: %v", err)
	}
	if hints := strings.Join(fault.Hints(error(room)), "\n"); !strings.Contains(hints, "free 5.0 MiB or more") || !strings.Contains(hints, packPrefix+"x") {
		t.Errorf("it says %q", hints)
	}
	if err := c.End(t.Context()); err != nil || sizeOf(disk) != reserveSize {
		t.Errorf("at its end: %v, %d bytes in reserve", err, sizeOf(disk))
	}

	took := false
	full.On(faults.Delete).Under(reserveName).Do(func(string) { took = true })
	fails(ledgerPrefix)
	if err := r.Forget(t.Context(), snap); err != nil || !took || sizeOf(disk) != reserveSize {
		t.Errorf("forgetting: %v; took it: %v; %d bytes in reserve", err, took, sizeOf(disk))
	}

	// Any other failure is what it was.
	full.On(faults.Put).Under(lease.Prefix).Fail(fs.ErrPermission)
	if _, err := r.Collect(t.Context(), lease.Options{}); !errors.Is(err, fs.ErrPermission) || sizeOf(disk) == 0 {
		t.Errorf("refused: %v, %d bytes in reserve", err, sizeOf(disk))
	}
}

// What the reserve is counts for nothing else: not for the keys in use, and a check
// knows it.
func TestReserveIsNoObjectOfAKey(t *testing.T) {
	r, _, _ := reserved(t)
	s := startSession(t, r, SessionOptions{})
	mustCommit(t, s, Snapshot{Source: "s", Root: mustSave(t, s, KindTree, []byte("root"))})
	uses, err := r.KeyUses(t.Context())
	if err != nil || len(uses.Unknown) != 0 {
		t.Errorf("keys: %v, %v", uses.Unknown, err)
	}
	err = r.CheckObjects(t.Context(), func(p Problem) error {
		t.Errorf("%v", p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A storage without room for a stripe and the one that takes its place still lets
// packs go: the stripe goes first, and what stays is protected again.
func TestUnprotectWithoutRoom(t *testing.T) {
	d := buildProtected(t, testPack)
	all := d.packsOf(t)
	gone, stay := all[:len(all)/3], all[len(all)/3:]
	for _, misses := range []int{1, 2} { // how often each stripe finds no room
		d := d.copied(t)
		broken := faults.Wrap(openDir(t, d.dir))
		r := reopen(t, broken, d.ring)
		puts := 0
		for range 32 {
			broken.On(faults.Put).Under("parity/stripes/").Times(misses).Do(func(string) { puts++ }).Fail(storage.ErrFull)
			broken.On(faults.Put).Under("parity/stripes/").Do(func(string) { puts++ })
		}
		if err := r.Unprotect(t.Context(), gone); err != nil || puts <= misses {
			t.Fatalf("%d misses, %d puts: %v", misses, puts, err)
		}
		noTrace(t, r, gone)
		for _, id := range gone {
			if err := r.be.Delete(t.Context(), id.Object()); err != nil {
				t.Fatal(err)
			}
		}
		stillProtects(t, r, stay)
	}
}
