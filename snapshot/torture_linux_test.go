package snapshot

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"mahavishnu/snapshot/torturetest"
	"mahavishnu/usertest"
)

func TestTortureTreeComesBackTheSame(t *testing.T) { restoreTorture(t) }

func TestTortureTreeComesBackTheSameForAnOrdinaryUser(t *testing.T) {
	usertest.Run(t, restoreTorture)
}

func restoreTorture(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	s := newStore(t)
	res := s.backup(src)
	report := s.restore(res.Snapshot, RestoreOptions{Target: dst, Verify: true})
	t.Logf("%+v", report)
	torturetest.Same(t, src, dst)
}

func TestTortureTreeHasNoDifferences(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	s := newStore(t)
	before := s.backup(src).Snapshot
	s.restore(before, RestoreOptions{Target: dst})
	if got := s.compare(t, before, dst); got != nil {
		t.Errorf("snapshot and restored tree: %v", got)
	}
	after := s.backup(dst).Snapshot
	if got := s.diff(t, before, after); got != nil {
		t.Errorf("snapshots of original and restored tree: %v", got)
	}
}

// The system's tar unpacks a dump of the torture tree into the same tree, but
// for what the format cannot hold.
func TestDumpOfDirectoriesIsReadByTar(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	s := newStore(t)
	snap := s.backup(src, func(o *BackupOptions) {
		// Zeros are written out, names of the tool's limits and sockets are not.
		o.Exclude = []string{"/sparse", "/" + torturetest.Deep, "/special/socket", "/times", "/symlinks/long"}
	}).Snapshot
	cmd := exec.CommandContext(t.Context(), "tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", dst)
	in, err := cmd.StdinPipe()
	s.must(err)
	var out bytes.Buffer
	cmd.Stderr = &out
	s.must(cmd.Start())
	s.must(Dump(t.Context(), s.repo, snap, "", in))
	s.must(in.Close())
	if err := cmd.Wait(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out.String())
	}
	got := s.compare(t, snap, dst)
	// A link's target and owner are set by tar, its attributes are not.
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "changed symlink xattrs/link") })
	if got != nil {
		t.Errorf("unpacked differently: %s", strings.Join(got, "\n"))
	}
}
