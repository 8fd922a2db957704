package repository

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/repository/parity"
)

// A directory that lies where an object belongs is no object: what belonged there is
// missing, and repair brings it back.
func TestADirectoryInPlaceOfAnObject(t *testing.T) {
	whole := buildProtected(t, testPack)
	for _, prefix := range []string{configName, packPrefix, parity.Prefix, parity.StripePrefix, indexPrefix, copyOf(indexPrefix), snapshotPrefix, copyOf(snapshotPrefix)} {
		t.Run(prefix, func(t *testing.T) {
			d := whole.copied(t)
			name := d.objects(prefix)[0]
			path := filepath.Join(d.dir, name)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			r := reopen(t, openDir(t, d.dir), d.ring)
			if mended := repairAll(t, r); len(mended) != 1 || mended[0].Object != name || !mended[0].Mended() {
				t.Errorf("mended %v, want %s alone", mended, name)
			}
			d.same(t)
			left, err := filepath.Glob(filepath.Join(d.dir, ".aside", filepath.Base(name)+"-*"))
			if err != nil || len(left) != 1 {
				t.Errorf("the directory is kept as %s (%v)", strings.Join(left, " "), err)
			}
		})
	}
}
