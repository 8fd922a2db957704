package pipeline

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/loadtest/corpus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryByteIsCarried(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "packs")
	// More than a pack of what does not shrink, and a file of several chunks.
	spec := corpus.Spec{Kind: corpus.Incompressible, Files: 20, FileSize: 2<<20 + 77}
	want, err := corpus.Write(t.Context(), from, spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Run(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	if got.Files != 20 || got.Bytes != want {
		t.Errorf("carried %+v, want 20 files of %d bytes", got, want)
	}
	var stored int64
	err = filepath.WalkDir(to, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, _ := d.Info()
			stored += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored != got.Stored || stored < want {
		t.Errorf("%d bytes are stored, said are %d, of %d that do not shrink", stored, got.Stored, want)
	}
}

func TestWhatIsStoredCanBeOpened(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "packs")
	text := []byte("sealed with a key that is no secret, over and over and over and over and over and over")
	if err := os.WriteFile(filepath.Join(from, "file"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(filepath.Join(to, "000001"))
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(text)
	if [32]byte(stored[:32]) != id {
		t.Fatalf("the pack does not begin with the hash of the file: %x", stored[:32])
	}
	key, _ := aes.NewCipher(make([]byte, 32))
	aead, _ := cipher.NewGCM(key)
	for end := 44 + aead.Overhead(); end < len(stored); end++ {
		if _, err := aead.Open(nil, stored[32:44], stored[44:end], id[:]); err == nil {
			return
		}
	}
	t.Error("no part of the pack opens")
}

func TestAnUnreadableTreeIsAnError(t *testing.T) {
	if _, err := Run(t.Context(), filepath.Join(t.TempDir(), "nowhere"), t.TempDir()); err == nil {
		t.Error("a tree that is not there was carried")
	}
}
