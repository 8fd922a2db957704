package failover

import (
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/lab/disk"
	"mahavishnu/messages"
)

// A keeper whose disk hangs, and that is asked something by a coordinator it has not heard of yet,
// stops its member all the same when it is told to, and gives the lease back.
func TestAKeeperOnADiskThatHangsObeysAFence(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system and freeze it")
	}
	dir := t.TempDir()
	d, err := disk.Mount(filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Run("hangs", func(t *testing.T) { // its keeper has ended when the disk goes
		k, held, _ := keptBy(t, filepath.Join(dir, "disk"), nil)
		if err := held.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reply := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbPromote, Epoch: 5}); !reply.OK {
			t.Fatalf("%+v", reply)
		}
		if err := d.Stall(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Thaw(); err != nil {
				t.Error(err)
			}
		}()
		const patience = 500
		asked := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Epoch: 6, PatienceMillis: patience})
		if asked.OK {
			t.Errorf("it says that it remembers what it could not write: %+v", asked)
		}
		obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbFence, Epoch: 6, PatienceMillis: patience})
		comes(t, "the member is stopped and the lease given back", func() bool {
			s := k.Status()
			return !s.Holds && s.State == keeper.Fenced
		})
		if late := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Epoch: 5, PatienceMillis: patience}); late.OK {
			t.Errorf("it obeys somebody older: %+v", late)
		}
	})
}
