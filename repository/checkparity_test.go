package repository

import (
	"testing"

	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// A loss of power tears a pack that no index names yet, and its parity: that is
// garbage, and harmless. Of a pack that is indexed it is not.
func TestTornParityOfAnOrphanIsHarmless(t *testing.T) {
	d := buildProtected(t, testPack)
	r := reopen(t, openDir(t, d.dir), d.ring)
	orphan := PackID{1, 2, 3}
	whole := d.packsOf(t)[0]
	for _, name := range []string{orphan.Object(), parity.Name(orphan), parity.Name(whole)} {
		if err := r.be.Put(t.Context(), name, make([]byte, 100), storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	harmless := map[string]bool{}
	err := r.CheckParity(t.Context(), []PackID{orphan, whole}, func(p Problem) { harmless[p.Object] = p.Harmless })
	if err != nil || len(harmless) != 2 || !harmless[parity.Name(orphan)] || harmless[parity.Name(whole)] {
		t.Errorf("harmless are %v, %v", harmless, err)
	}
}
