package repository

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mahavishnu/repository/ledger"
	"mahavishnu/repository/parity"
)

// damageAll changes every object of the prefixes.
func (d protected) damageAll(t *testing.T, change func(path string) error, prefixes ...string) {
	t.Helper()
	for _, prefix := range prefixes {
		names := d.objects(prefix)
		if len(names) == 0 {
			t.Fatalf("there is nothing below %s", prefix)
		}
		for _, name := range names {
			if err := change(filepath.Join(d.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// What nothing in the repository mends comes back from the replica that has it
// whole, bit for bit; a replica that is damaged too, or that holds something else
// under a name, changes nothing.
func TestRepairFromReplicas(t *testing.T) {
	whole := buildProtected(t, testPack)
	damaged, lying := whole.copied(t), whole.copied(t)
	damaged.damageAll(t, halve, packPrefix, snapshotPrefix, copyPrefix, indexPrefix)
	packs := lying.objects(packPrefix)
	for i, name := range packs { // each is a whole pack, of another name
		data, err := os.ReadFile(filepath.Join(whole.dir, packs[(i+1)%len(packs)]))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(lying.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var replicas []Replica
	for _, d := range []protected{damaged, lying, whole} {
		replicas = append(replicas, Replica{Name: filepath.Base(d.dir), Backend: openDir(t, d.dir)})
	}
	for name, change := range map[string]func(string) error{"half": halve, "missing": os.Remove} {
		t.Run(name, func(t *testing.T) {
			d := whole.copied(t)
			r := reopen(t, openDir(t, d.dir), d.ring)
			snaps, _, err := r.Snapshots(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			mustRecord(t, r, ledger.Ledger{Fates: Seen(testTime, snaps)}) // what vanishes is missed
			d.damageAll(t, change, packPrefix, parity.Prefix, parity.StripePrefix, snapshotPrefix, copyPrefix+snapshotPrefix)
			r = reopen(t, openDir(t, d.dir), d.ring)
			var actions []Action
			report, err := r.Repair(t.Context(), RepairOptions{
				Packs: true, Parity: true, Replicas: replicas, OnAction: func(a Action) { actions = append(actions, a) },
			})
			if err != nil || report.Left > 0 {
				t.Fatalf("%+v, %v: %v", report, err, actions)
			}
			fetched := 0
			for _, a := range actions {
				if a.By == ByReplica && a.Kind == ObjectPack {
					fetched++
				}
			}
			if all := len(d.objects(packPrefix)); fetched < all/2 {
				t.Errorf("%d of %d packs were fetched", fetched, all)
			}
			for _, name := range append(d.objects(packPrefix), d.objects(snapshotPrefix)...) {
				// What is left of a stripe may still mend one pack.
				if !slices.ContainsFunc(actions, func(a Action) bool { return a.Object == name && (a.By == ByReplica || a.By == ByStripe) }) {
					t.Errorf("%s was not mended: %v", name, actions)
				}
				want, _ := os.ReadFile(filepath.Join(whole.dir, name))
				if got, err := os.ReadFile(filepath.Join(d.dir, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s is not what it was: %v", name, err)
				}
			}
			fresh := reopen(t, openDir(t, d.dir), d.ring)
			checkWhole(t, fresh)
			for _, w := range d.work {
				w.check(t, fresh)
			}
		})
	}
}
