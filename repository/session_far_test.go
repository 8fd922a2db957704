package repository

import (
	"runtime"
	"testing"
)

// Over a network packs are larger, and one more of them is under way; what they take
// together stays below 200 MB on two cores, with 85 MB for all else.
func TestPacksOfFarStorage(t *testing.T) {
	near, err := SessionOptions{}.withDefaults(false)
	if err != nil {
		t.Fatal(err)
	}
	far, err := SessionOptions{}.withDefaults(true)
	if err != nil {
		t.Fatal(err)
	}
	if far.PackSize <= near.PackSize || far.Budget/int64(far.PackSize) != near.Budget/int64(near.PackSize)+farPacks {
		t.Errorf("near %d in packs of %d, far %d of %d", near.Budget, near.PackSize, far.Budget, far.PackSize)
	}
	if runtime.GOMAXPROCS(0) <= 2 && far.Budget > 200e6-84e6 {
		t.Errorf("packs take %d bytes", far.Budget)
	}
	own, err := SessionOptions{PackSize: testPack, Budget: 5 * testPack}.withDefaults(true)
	if err != nil || own.PackSize != testPack || own.Budget != 5*testPack {
		t.Errorf("what was asked for became %+v, %v", own, err)
	}
}
