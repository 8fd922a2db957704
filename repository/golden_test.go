package repository

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/repository/compress"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/ledger"
)

var update = flag.Bool("update", false, "write the golden repository of the present format anew")

// golden is what the golden repositories hold: blobs by what makes them.
type golden struct {
	Blobs     []goldenBlob        `json:"blobs"`
	Snapshots map[string]Snapshot `json:"snapshots"`
}

type goldenBlob struct {
	ID   ID     `json:"id"`
	Kind Kind   `json:"kind"`
	Seed uint64 `json:"seed"`
	Size int    `json:"size"`
}

var goldenSizes = []int{0, 1, 100, 1000, 7000, 3}

// TestGoldenRepositories restores repositories that released formats wrote.
// They must stay readable for ever, so they are never written anew: a new
// format gets a new directory.
func TestGoldenRepositories(t *testing.T) {
	for _, name := range []string{"v1-sha256", "v1-blake3"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			if *update {
				writeGolden(t, dir)
			}
			want, ring := readGolden(t, dir)
			// A copy: checks store again what is missing of the second copies.
			place := t.TempDir()
			if err := os.CopyFS(place, os.DirFS(filepath.Join(dir, "storage"))); err != nil {
				t.Fatal(err)
			}
			r := reopen(t, openDir(t, place), ring)
			for _, b := range want.Blobs {
				data := content(b.Seed, b.Size)
				mustLoad(t, r, b.ID, b.Kind, data)
				if got := r.ids.id(b.Kind, data); got != b.ID {
					t.Errorf("blob of seed %d has the id %s today, it was %s", b.Seed, got, b.ID)
				}
			}
			checkGoldenNotes(t, r, want)
			for id, want := range want.Snapshots {
				got, err := r.FindSnapshot(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if text, text2 := mustJSON(t, got), mustJSON(t, want); text != text2 {
					t.Errorf("snapshot reads as\n%s, it was\n%s", text, text2)
				}
			}
			checkWhole(t, r)
			if err := storedTwice(r.be, len(want.Snapshots)); err != nil {
				t.Error(err)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readGolden(t *testing.T, dir string) (golden, *keyring.Ring) {
	t.Helper()
	var g golden
	text, err := os.ReadFile(filepath.Join(dir, "content.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	// Kept as recovery text: a version control system keeps no file mode, and
	// the text must stay readable for ever too.
	text, err = os.ReadFile(filepath.Join(dir, "key-ring.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Recover(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return g, ring
}

func writeGolden(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	be := openDir(t, filepath.Join(dir, "storage"))
	ring := newRing()
	hash := Hash(filepath.Base(dir)[len("v1-"):])
	created, err := Create(t.Context(), be, ring, CreateOptions{Hash: hash, Parity: StandardParity()})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, created)
	g := golden{Snapshots: map[string]Snapshot{}}
	for i, o := range []SessionOptions{
		{}, {Compression: gzip6}, {Compression: store, Type: TypeArchival}, {Compression: compress.Best()},
	} {
		if i == 2 {
			ring = ring.Rotated(testTime.Add(time.Hour))
		}
		r := reopen(t, be, ring)
		s := startSession(t, r, o)
		var root ID
		for j, size := range goldenSizes {
			b := goldenBlob{Kind: KindData, Seed: uint64(i*100 + j), Size: size}
			if j == len(goldenSizes)-1 {
				b.Kind = KindTree
			}
			b.ID = mustSave(t, s, b.Kind, content(b.Seed, b.Size))
			root = b.ID
			g.Blobs = append(g.Blobs, b)
		}
		snap := mustCommit(t, s, Snapshot{
			Source: []string{"home", "Data Base/ü"}[i%2], Type: []string{"full", "incremental", "archival", "full"}[i],
			Time: testTime.Add(time.Duration(i) * time.Hour), Start: testTime, End: testTime.Add(time.Minute), Host: "host", Path: "/srv",
			Root: root, Job: fmt.Sprint("job-", i), Attempt: 1, Tags: []string{"golden"}, Engine: "1.0",
			Totals: Totals{Files: 5, Bytes: 8104}, Unreadable: []Unreadable{{Path: "/srv/x", Err: "permission denied"}}, UnreadableTotal: 1,
			Changed: []string{"/srv/log"}, ChangedTotal: 1, Labels: map[string]string{"a": "b"},
		})
		g.Snapshots[snap.ID] = snap
	}
	goldenGarbage(t, reopen(t, be, ring))
	goldenNotes(t, reopen(t, be, ring), g)
	if err := os.WriteFile(filepath.Join(dir, "content.json"), []byte(mustJSON(t, g)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key-ring.txt"), []byte(ring.RecoveryText()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "storage", ".tmp")); err != nil {
		t.Fatal(err)
	}
}

// goldenGarbage leaves what collecting garbage leaves: a fragment that stands for
// others, a list of condemned packs, sessions and their tickets.
func goldenGarbage(t *testing.T, r *Repository) {
	t.Helper()
	compacted(t, r, CompactOptions{Reseal: true})
	c, err := r.Collect(t.Context(), lease.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Condemn(t.Context(), []PackID{{2}, {1}}); err != nil {
		t.Fatal(err)
	}
	if err := c.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// goldenNotes leaves what is noted beside the data: a pin, a hold, a ledger.
func goldenNotes(t *testing.T, r *Repository, g golden) {
	t.Helper()
	for _, snap := range g.Snapshots {
		if snap.Job == "job-0" {
			if err := r.Pin(t.Context(), snap, goldenKeep); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Hold(t.Context(), Hold{Source: "Data Base/ü", Name: "anomaly", Keep: goldenKeep}); err != nil {
		t.Fatal(err)
	}
	if err := r.Record(t.Context(), goldenLedger); err != nil {
		t.Fatal(err)
	}
}

var (
	goldenKeep   = Keep{Reason: "kept for ever", By: "somebody", Time: testTime}
	goldenLedger = ledger.New([]ledger.Mark{{ID: PackID{1}, Scrub: testTime.Unix(), Full: testTime.Unix() - 1}},
		[]ledger.Fate{{Name: "snapshots/home/x", Seen: testTime.Unix(), Forgotten: testTime.Unix() + 1}})
)

// checkGoldenNotes reads them.
func checkGoldenNotes(t *testing.T, r *Repository, g golden) {
	t.Helper()
	pins, err := r.Pins(t.Context(), "")
	if err != nil || len(pins) != 1 {
		t.Errorf("pins: %v, %v", pins, err)
	}
	for id, pin := range pins {
		if g.Snapshots[id].Job != "job-0" || pin != goldenKeep {
			t.Errorf("pin of %s: %+v", id, pin)
		}
	}
	holds, err := r.Holds(t.Context())
	if err != nil || len(holds) != 1 || holds[0] != (Hold{Source: "Data Base/ü", Name: "anomaly", Keep: goldenKeep}) {
		t.Errorf("holds: %+v, %v", holds, err)
	}
	l, err := r.Ledger(t.Context(), testTime.Add(time.Hour))
	if err != nil || l.Mark(PackID{1}) != goldenLedger.Marks[0] || l.Fate("snapshots/home/x") != goldenLedger.Fates[0] {
		t.Errorf("ledger: %+v, %v", l, err)
	}
}
