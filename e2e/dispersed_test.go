package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/storagetest/servers"
)

// spread is a repository in six servers of three kinds, four of which are enough.
type spread struct {
	t       *testing.T
	dir     string
	place   string
	at      []string // the six
	stores  []interface{ Start() }
	stops   []func()
	secrets map[string]storage.Credentials // by place
	retry   storage.RetryOptions
	ring    *keyring.Ring
	trees   map[string]string
	order   []string
}

func newSpread(t *testing.T) *spread {
	t.Helper()
	s := &spread{
		t: t, dir: t.TempDir(), ring: keyring.Generate(time.Now()),
		secrets: map[string]storage.Credentials{}, trees: map[string]string{},
		retry: storage.RetryOptions{Attempts: 3, First: 20 * time.Millisecond, Longest: 200 * time.Millisecond, Elapsed: 20 * time.Second, Dead: time.Second},
	}
	for range 2 {
		one, two, three := servers.S3(t), servers.Azure(t), servers.GCS(t)
		s.add(one.URL("shards"), one, one.Stop, storage.Credentials{S3: storage.S3Credentials{AccessKey: one.AccessKey, SecretKey: one.SecretKey}})
		s.add(two.URL("shards"), two, two.Stop, storage.Credentials{Azure: storage.AzureCredentials{AccountKey: two.Key}})
		s.add(three.URL("shards"), three, three.Stop, storage.Credentials{})
	}
	// A quorum of four lets backups go on while two are away.
	s.place = dispersed.Layout{Data: 4, Parity: 2, Quorum: 4, At: s.at}.String()
	s.create(repository.StandardParity())
	return s
}

// create makes the repository.
func (s *spread) create(parity repository.Parity) {
	s.t.Helper()
	be := s.open(s.place)
	repo, err := repository.Create(s.t.Context(), be, s.ring, repository.CreateOptions{Parity: parity})
	if err == nil {
		err = errors.Join(repo.Close(), be.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *spread) add(place string, server interface{ Start() }, stop func(), c storage.Credentials) {
	s.at, s.stores, s.stops = append(s.at, place), append(s.stores, server), append(s.stops, stop)
	s.secrets[place] = c
}

func (s *spread) open(place string) storage.Backend {
	s.t.Helper()
	be, err := storage.OpenWith(s.t.Context(), place, storage.OpenOptions{
		Retry:          s.retry,
		CredentialsFor: func(place string) (storage.Credentials, error) { return s.secrets[place], nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return be
}

// within calls fn with the repository, opened anew.
func (s *spread) within(what string, fn func(context.Context, *repository.Repository) error) {
	s.t.Helper()
	began := time.Now()
	be := s.open(s.place)
	repo, err := repository.Open(s.t.Context(), be, s.ring, repository.OpenOptions{})
	if err == nil {
		err = errors.Join(fn(s.t.Context(), repo), repo.Close())
	}
	if err = errors.Join(err, be.Close()); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	s.t.Logf("%-44s %6.1f s", what, time.Since(began).Seconds())
}

func (s *spread) backup(what string, size int64) {
	s.t.Helper()
	seed := uint64(len(s.order) + 1)
	tree := filepath.Join(s.dir, fmt.Sprint("tree", seed))
	if _, err := corpus.Write(s.t.Context(), tree, corpus.Spec{Kind: corpus.Mixed, Files: 4, FileSize: size, Seed: seed}); err != nil {
		s.t.Fatal(err)
	}
	s.within("backup, "+what, func(ctx context.Context, repo *repository.Repository) error {
		got, err := snapshot.Backup(ctx, repo, snapshot.BackupOptions{
			Source: "s", Path: tree, Job: fmt.Sprint(seed), JobTime: time.Unix(1_700_000_000+int64(seed), 0),
		})
		s.trees[got.Snapshot.ID] = tree
		s.order = append(s.order, got.Snapshot.ID)
		return err
	})
}

// restore restores every snapshot and compares it.
func (s *spread) restore(what string) {
	s.t.Helper()
	s.within("restore, "+what, func(ctx context.Context, repo *repository.Repository) error {
		all, bad, err := repo.Snapshots(ctx, "")
		if err = errors.Join(append(bad, err)...); err != nil || len(all) != len(s.order) {
			return fmt.Errorf("%d snapshots of %d: %w", len(all), len(s.order), err)
		}
		for _, snap := range all {
			target := filepath.Join(s.dir, "restored")
			if _, err := snapshot.Restore(ctx, repo, snap, snapshot.RestoreOptions{Target: target}); err != nil {
				return fmt.Errorf("snapshot %s: %w", snap.ID, err)
			}
			_, differ, err := corpus.Compare(ctx, s.trees[snap.ID], target)
			if err != nil || len(differ) > 0 {
				return fmt.Errorf("snapshot %s came back as something else: %q, %w", snap.ID, differ, err)
			}
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		return nil
	})
}

// verify reads all data, and wants these objects to be named, and no others.
func (s *spread) verify(what string, wrong ...string) {
	s.t.Helper()
	s.within("verify, "+what, func(ctx context.Context, repo *repository.Repository) error {
		report, err := snapshot.Verify(ctx, repo, snapshot.VerifyOptions{ReadData: 100})
		var named []string
		for _, p := range report.Problems {
			named = append(named, p.Object)
		}
		if !slices.Equal(named, wrong) || report.Packs == 0 {
			return fmt.Errorf("%q of %d packs are named, want %q: %w", named, report.Packs, wrong, err)
		}
		if len(wrong) > 0 {
			err = nil // it says that these are
		}
		return err
	})
}

// Two of six servers are stopped and a third returns garbage for one object: backups,
// restores and verifies go on; when they are back a repair makes good what they
// missed. Stored bytes are 1.5 times those of one copy.
func TestDispersedOverSixServers(t *testing.T) {
	t.Parallel()
	s := newSpread(t)
	s.backup("all six up", 6<<20)
	s.restore("all six up")

	// The second S3 server and the first for GCS are gone.
	s.stops[3]()
	s.stops[2]()
	s.backup("two of six stopped", 4<<20)
	s.restore("two of six stopped")
	s.verify("two of six stopped")

	// The first Azure server returns garbage for one pack. That is one more than
	// the parity of the shards bears: the repository's own parity makes up for it.
	pack := s.damage(s.at[1], "packs/")
	s.backup("two stopped, one lies", 3<<20)
	s.restore("two stopped, one lies")
	s.verify("two stopped, one lies", pack)

	s.stores[3].Start()
	s.stores[2].Start()
	s.repair()
	s.stops[0]()
	s.stops[5]()
	s.restore("two others stopped after the repair")
	s.verify("two others stopped after the repair")
}

// damage replaces a server's shard of some object, under a prefix, by noise.
func (s *spread) damage(place, prefix string) (name string) {
	s.t.Helper()
	be := s.open(place)
	defer be.Close()
	size := int64(0)
	err := be.List(s.t.Context(), prefix, func(i storage.Info) error {
		if i.Size > size {
			name, size = i.Name, i.Size
		}
		return nil
	})
	if err == nil {
		noise := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
		err = be.Put(s.t.Context(), name, noise, storage.PutOptions{})
	}
	if err != nil || name == "" {
		s.t.Fatalf("damage %q: %v", name, err)
	}
	return name
}

// repair makes good what the servers missed, and prints what is stored.
func (s *spread) repair() {
	s.t.Helper()
	began := time.Now()
	be := s.open(s.place)
	defer be.Close()
	d, ok := dispersed.Of(be)
	if !ok {
		s.t.Fatalf("%T is not seen to be dispersed", be)
	}
	report, err := d.Repair(s.t.Context(), dispersed.CheckOptions{Depth: dispersed.Cells})
	if err != nil || !report.Whole() || report.Problems[dispersed.Missing] == 0 || report.Problems[dispersed.Damaged] == 0 {
		s.t.Fatalf("repair: %+v, %v", report, err)
	}
	s.t.Logf("%-44s %6.1f s: %v, %d repaired", "repair, all six back", time.Since(began).Seconds(), report.Problems, report.Repaired)
	stored := int64(0)
	for i, place := range s.at {
		one := s.open(place)
		bytes := int64(0)
		err := one.List(s.t.Context(), "", func(info storage.Info) error { bytes += info.Size; return nil })
		if err = errors.Join(err, one.Close()); err != nil {
			s.t.Fatal(err)
		}
		s.t.Logf("  storage %d %-8s %12d bytes", i+1, strings.SplitN(place, ":", 2)[0], bytes)
		stored += bytes
	}
	source := int64(0)
	for _, tree := range s.trees {
		err := filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				var info fs.FileInfo
				if info, err = d.Info(); err == nil {
					source += info.Size()
				}
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	ratio := float64(stored) / float64(report.Bytes)
	s.t.Logf("the repository has %d bytes in %d objects, of %d bytes of files", report.Bytes, report.Objects, source)
	s.t.Logf("  %-40s %12s %8s", "survives the loss of any two places by", "bytes", "times")
	s.t.Logf("  %-40s %12d %8.3f", "4+2 shards, measured", stored, ratio)
	s.t.Logf("  %-40s %12d %8.3f", "three full copies", 3*report.Bytes, 3.0)
	if ratio < 1.5 || ratio > 1.51 {
		s.t.Errorf("%d bytes are stored for %d: %.3f times", stored, report.Bytes, ratio)
	}
}
