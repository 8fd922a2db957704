package snapshot

import (
	"context"
	"errors"
	"sync"
	"testing"

	"mahavishnu/snapshot/tree"
)

func TestLinksAreForgottenWhenAllNamesWereSeen(t *testing.T) {
	var l links
	id := inode{1, 2}
	k, first := l.claim(id, 3)
	if !first {
		t.Fatal("the first name is not the first")
	}
	l.settle(id, k, &tree.Node{Size: 7})
	for range 2 {
		k, first := l.claim(id, 3)
		n, err := k.wait(t.Context())
		if first || err != nil || n.Size != 7 {
			t.Errorf("a later name: first %v, node %v, error %v", first, n, err)
		}
	}
	if len(l.known) != 0 {
		t.Errorf("%d inodes are remembered after all names", len(l.known))
	}
}

func TestANameThatFailsLeavesTheInodeToTheNext(t *testing.T) {
	var l links
	id := inode{1, 2}
	k, _ := l.claim(id, 3)
	waiting, _ := l.claim(id, 3)
	l.settle(id, k, nil)
	if n, err := waiting.wait(t.Context()); n != nil || err != nil {
		t.Errorf("node %v, error %v, want none of either", n, err)
	}
	if _, first := l.claim(id, 3); !first {
		t.Error("nobody may try again")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	again, _ := l.claim(id, 3)
	if _, err := again.wait(ctx); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// TestOneOfManyReads: of many workers that come to an inode at once, one reads
// it, though some fail.
func TestOneOfManyReads(t *testing.T) {
	var l links
	var mu sync.Mutex
	tries, reads, got := 0, 0, 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for {
				k, first := l.claim(inode{1, 1}, 1000)
				if !first {
					n, err := k.wait(t.Context())
					if err != nil {
						t.Error(err)
					}
					if n == nil {
						continue
					}
					mu.Lock()
					got++
					mu.Unlock()
					return
				}
				mu.Lock()
				tries++
				good := tries > 5
				if good {
					reads++
				}
				mu.Unlock()
				if good {
					l.settle(inode{1, 1}, k, &tree.Node{})
				} else {
					l.settle(inode{1, 1}, k, nil)
				}
				return
			}
		})
	}
	wg.Wait()
	if reads != 1 || got != 44 {
		t.Errorf("%d reads, %d names given the result; want 1 and 44", reads, got)
	}
}

func TestGroupsOfOtherDevicesAreApart(t *testing.T) {
	if g := linkGroup(inode{5, 77}, 5); g != 77 {
		t.Errorf("group %d on the root's device, want the inode", g)
	}
	a, b := linkGroup(inode{6, 77}, 5), linkGroup(inode{7, 77}, 5)
	if a == b || a>>63 != 1 || b>>63 != 1 {
		t.Errorf("groups %x and %x of other devices", a, b)
	}
}
