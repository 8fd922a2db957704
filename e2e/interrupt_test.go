package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestInterruptedBackupGoesOn interrupts a backup that works without a queue,
// at random moments, until the same command gets through. No byte is stored
// twice, whatever was stored is used, and the figure is printed.
func TestInterruptedBackupGoesOn(t *testing.T) {
	t.Parallel()
	source := tree(t, mixed())
	for n := range 5 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, source, "")
			args := []string{"backup", source, "--direct", "--json", "--repository", s.access.Location, "--key", s.access.KeyPath}
			stored := map[string]int64{}
			interrupted := 0
			for pause := 50 * time.Millisecond; ; pause += time.Duration(rand.Int64N(int64(300 * time.Millisecond))) {
				p := s.start("backup", args...)
				select {
				case <-p.Exited():
				case <-time.After(pause):
					p.signal(interrupt)
				}
				code := p.wait()
				if code == 0 {
					break
				}
				if code == -1 && p.log.String() == "" {
					continue // the system ended it before it had begun to listen
				}
				if code != 130 {
					t.Fatalf("interrupted after %v: exit code %d, want 130\n%s", pause, code, p.log.String())
				}
				interrupted++
				stored = s.packs()
			}
			repo := s.open()
			snap, err := repo.FindSnapshot(t.Context(), "latest")
			if err != nil {
				t.Fatal(err)
			}
			s.storedOnce(stored)
			s.restores(snap.ID)
			if interrupted > 0 && len(stored) > 0 && snap.Totals.ReusedBytes == 0 {
				t.Errorf("interrupted %d times with %d packs stored, and nothing was reused", interrupted, len(stored))
			}
			t.Logf("interrupted %d times; %d bytes reused, %d new", interrupted, snap.Totals.ReusedBytes, snap.Totals.NewBytes)
		})
	}
}
