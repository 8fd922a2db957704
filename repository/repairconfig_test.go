package repository

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/repository/keyring"
)

// A configuration comes back bit for bit, and from nothing but a replica of the very
// repository.
func TestRecoverConfig(t *testing.T) {
	whole := buildProtected(t, testPack)
	sick := whole.copied(t)
	stranger := buildProtected(t, testPack) // of another key ring
	sibling := memoryDir(t)                 // of the same
	r, err := Create(t.Context(), openDir(t, sibling), whole.ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, r)
	be := openDir(t, sick.dir)
	replica := func(dir string) Replica { return Replica{Name: filepath.Base(dir), Backend: openDir(t, dir)} }
	for name, change := range map[string]func(string) error{"missing": os.Remove, "half": halve} {
		t.Run(name, func(t *testing.T) {
			for _, object := range []string{configName, configCopy} {
				if err := change(filepath.Join(sick.dir, object)); err != nil {
					t.Fatal(err)
				}
			}
			for _, refused := range []struct {
				why      string
				replicas []Replica
				ring     *keyring.Ring
				id       string
			}{
				{"another key", []Replica{replica(stranger.dir)}, whole.ring, ""},
				{"another repository of the same key", []Replica{replica(sibling)}, whole.ring, ""},
				{"another id than is known", []Replica{replica(whole.dir)}, whole.ring, "00112233445566778899aabbccddeeff"},
				{"a key that does not open it", []Replica{replica(whole.dir)}, stranger.ring, ""},
			} {
				if got, err := RecoverConfig(t.Context(), be, refused.ring, RecoverOptions{Replicas: refused.replicas, ID: refused.id}); err == nil || got.From != "" {
					t.Errorf("%s: %+v, %v", refused.why, got, err)
				}
			}
			got, err := RecoverConfig(t.Context(), be, whole.ring, RecoverOptions{Replicas: []Replica{replica(stranger.dir), replica(sibling), replica(whole.dir)}})
			if err != nil || got.From != filepath.Base(whole.dir) {
				t.Fatalf("%+v, %v", got, err)
			}
			for _, object := range []string{configName, configCopy} {
				data, err := os.ReadFile(filepath.Join(sick.dir, object))
				if err != nil || sha256.Sum256(data) != whole.sums[object] {
					t.Errorf("%s is not as it was: %v", object, err)
				}
			}
			if again, err := RecoverConfig(t.Context(), be, whole.ring, RecoverOptions{}); err != nil || again.From != "" || again.ID != got.ID {
				t.Errorf("of a whole one: %+v, %v", again, err)
			}
		})
	}
	empty := memoryDir(t)
	if got, err := RecoverConfig(t.Context(), openDir(t, empty), whole.ring, RecoverOptions{Replicas: []Replica{replica(whole.dir)}}); err != nil || got.From != "" {
		t.Errorf("a place that holds nothing: %+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(empty, configName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was given a configuration: %v", err)
	}
}

// A creation that was killed between its two objects is finished by the first session;
// of a repository in use, an object that is gone was lost, and a check says so.
func TestFirstSessionFinishesTheCreation(t *testing.T) {
	dir, ring := memoryDir(t), buildProtected(t, testPack).ring
	r, err := Create(t.Context(), openDir(t, dir), ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, r)
	gone := func() bool {
		_, err := os.Stat(filepath.Join(dir, configName))
		return errors.Is(err, os.ErrNotExist)
	}
	store := func(content string) {
		if err := os.Remove(filepath.Join(dir, configName)); err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), openDir(t, dir), ring, OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeRepo(t, r)
		s, err := r.Session(t.Context(), SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Save(t.Context(), KindData, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Abort(t.Context()); err != nil { // keeps what was stored, and its index
			t.Fatal(err)
		}
	}
	store("one")
	if gone() {
		t.Fatal("the first session did not finish the creation")
	}
	store("two")
	if !gone() {
		t.Error("an object that was lost is back in silence")
	}
}
