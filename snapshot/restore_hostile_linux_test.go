package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/snapshot/torturetest"
	"mahavishnu/snapshot/tree"
	"mahavishnu/usertest"
)

// rawDir stores a directory blob entry by entry without the writer's checks:
// names are put in after encoding.
func rawDir(ctx context.Context, saver tree.Saver, names []string, node func(i int) tree.Node) (tree.Content, error) {
	blob := []byte{'E', 1}
	for i, name := range names {
		n := node(i)
		n.Name = []byte(strings.Repeat("N", len(name)))
		b, err := tree.AppendNode(nil, &n)
		if err != nil {
			return tree.Content{}, err
		}
		b = []byte(strings.Replace(string(b), string(n.Name), name, 1))
		blob = append(binary.AppendUvarint(blob, uint64(len(b))), b...)
	}
	id, err := saver.Save(ctx, blob)
	return tree.Content{Extents: []tree.Extent{{ID: id, Length: uint64(len(names))}}}, err
}

func TestHostileTreesAreRefused(t *testing.T) {
	for _, name := range []string{"..", ".", "../escaped", "/tmp/escaped", "a/../../escaped", "a/b", "nul\x00byte"} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			snap := s.craft(func(ctx context.Context, saver tree.Saver) (tree.ID, error) {
				c, err := rawDir(ctx, saver, []string{name}, func(int) tree.Node {
					return tree.Node{Type: tree.Symlink, LinkTarget: []byte("x")}
				})
				if err != nil {
					return tree.ID{}, err
				}
				return tree.SaveRoot(ctx, saver, &tree.Node{Type: tree.Dir, Mode: 0o755, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Content: c})
			})
			around := t.TempDir()
			report, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: around + "/target"})
			if !errors.Is(err, repository.ErrDamaged) || report.Damaged == 0 {
				t.Errorf("%v: %+v", err, report)
			}
			wantContents(t, around, map[string]string{"target/": ""})
		})
	}
}

// A tree that names one thing twice, first as a link out and then as a
// directory to be filled, must not reach through the link.
func TestALinkCannotBecomeADirectory(t *testing.T) {
	s := newStore(t)
	outside := t.TempDir()
	snap := s.craft(func(ctx context.Context, saver tree.Saver) (tree.ID, error) {
		inner, err := rawDir(ctx, saver, []string{"planted"}, func(int) tree.Node { return tree.Node{Type: tree.FIFO} })
		if err != nil {
			return tree.ID{}, err
		}
		c, err := rawDir(ctx, saver, []string{"a", "a"}, func(i int) tree.Node {
			if i == 0 {
				return tree.Node{Type: tree.Symlink, LinkTarget: []byte(outside)}
			}
			return tree.Node{Type: tree.Dir, Mode: 0o755, Content: inner}
		})
		if err != nil {
			return tree.ID{}, err
		}
		return tree.SaveRoot(ctx, saver, &tree.Node{Type: tree.Dir, Mode: 0o755, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Content: c})
	})
	_, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: t.TempDir()})
	if !errors.Is(err, repository.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	wantContents(t, outside, map[string]string{})
}

// Somebody who may write to the target puts a link in place of a directory
// while it is being filled.
func TestADirectorySwappedForALinkLeadsNowhere(t *testing.T) {
	s := newStore(t)
	src, dst, outside := t.TempDir(), t.TempDir(), t.TempDir()
	files := map[string]string{}
	for i := range 300 {
		files["d/"+strings.Repeat("x", i%50+1)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = noise(byte(i), 1000)
	}
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if err := os.Rename(dst+"/d", dst+"/moved"); err == nil {
				_ = os.Symlink(outside, dst+"/d") // whoever is first
				return
			}
			select {
			case <-t.Context().Done():
				return
			default:
			}
		}
	}()
	_, _ = Restore(t.Context(), s.repo, snap, RestoreOptions{Target: dst}) // it may fail, or restore into what was moved
	<-done
	wantContents(t, outside, map[string]string{})
}

func TestWhatAnOrdinaryUserCannotSetIsNamed(t *testing.T) {
	usertest.Run(t, func(t *testing.T) {
		s := newStore(t)
		dst := torturetest.Dir(t)
		me := uint32(os.Getuid())
		snap := s.craftDir(
			tree.Node{Name: []byte("device"), Type: tree.CharDev, UID: me, GID: me, Mode: 0o600, Rdev: 1<<8 | 3},
			tree.Node{Name: []byte("foreign"), Type: tree.File, UID: 1, GID: 1, Mode: 0o4755},
			tree.Node{Name: []byte("plain"), Type: tree.File, UID: me, GID: me, Mode: 0o640},
			tree.Node{
				Name: []byte("trusted"), Type: tree.File, UID: me, GID: me, Mode: 0o400,
				Xattrs: []tree.Xattr{{Name: []byte("trusted.x"), Value: []byte("1")}, {Name: []byte("user.y"), Value: []byte("2")}},
			},
		)
		report, said, err := s.tryRestore(snap, RestoreOptions{Target: dst})
		if !errors.Is(err, ErrIncomplete) || report.Lost != 2 || report.Failed != 1 {
			t.Errorf("%v: %+v", err, report)
		}
		for _, want := range []string{"failed device", "metadata lost foreign", "metadata lost trusted", "create plain"} {
			if !slices.Contains(said, want) {
				t.Errorf("nobody said %q: %q", want, said)
			}
		}
		info, err := os.Stat(dst + "/foreign")
		s.must(err)
		if info.Mode() != 0o755 {
			t.Errorf("a program of somebody else came back as %v", info.Mode())
		}
		s.restore(snap, RestoreOptions{Target: torturetest.Dir(t), Owners: 2, Include: []string{"plain"}})
	})
}

// A second restore over directories and files that their owner may not write.
func TestReadOnlyTargetsAreRestoredInto(t *testing.T) {
	usertest.Run(t, func(t *testing.T) {
		s := newStore(t)
		src, dst := torturetest.Dir(t), torturetest.Dir(t)
		fill(t, src, map[string]string{"ro/file": "one", "ro/sub/file": "two", "large": noise(1, resumable+1)})
		s.must(os.Chmod(src+"/ro/file", 0o400))
		s.must(os.Chmod(src+"/large", 0o400))
		s.must(os.Chmod(src+"/ro/sub", 0o500))
		s.must(os.Chmod(src+"/ro", 0o500))
		snap := s.backup(src).Snapshot
		s.restore(snap, RestoreOptions{Target: dst})
		s.must(os.Chmod(dst+"/ro/file", 0o600))
		s.must(os.WriteFile(dst+"/ro/file", []byte("changed"), 0o600))
		s.must(os.Chmod(dst+"/large", 0o600))
		spoil(t, dst+"/large", 5)
		s.must(os.Chmod(dst+"/large", 0o400))
		s.restore(snap, RestoreOptions{Target: dst, Overwrite: OverwriteAlways})
		if got := s.compare(t, snap, dst); got != nil {
			t.Error(got)
		}
	})
}

func TestATargetThatIsFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount the small file system this needs")
	}
	dst := t.TempDir()
	if err := syscall.Mount("small", dst, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("this system lets nobody mount: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dst, 0); err != nil {
			t.Error(err)
		}
	}()
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"a": "small", "b": noise(1, 2<<20), "c": noise(2, 9<<20), "d": noise(3, 1<<20)})
	snap := s.backup(src).Snapshot
	_, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: dst})
	if !errors.Is(err, ErrTargetFull) {
		t.Fatalf("got %v", err)
	}
	want := contents(t, src)
	for name, content := range contents(t, dst) {
		if isPart(filepath.Base(name)) {
			t.Errorf("%s is left behind", name)
		} else if content != want[name] {
			t.Errorf("%s is not whole", name)
		}
	}
	s.must(syscall.Mount("small", dst, "tmpfs", syscall.MS_REMOUNT, "size=30m"))
	s.restore(snap, RestoreOptions{Target: dst})
	if got := s.compare(t, snap, dst); got != nil {
		t.Error(got)
	}
}
