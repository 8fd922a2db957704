package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBothNamesOfTheStorage(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                       "backups",
		"backup: {directory: ./a}": "a",
		"backup: {storage: {local: {path: ./b}}}":                      "b",
		"backup: {directory: ./c, storage: {local: {path: ./x/../c}}}": "c",
	} {
		c, dir := loadText(t, text)
		if got, want := c.Backup.Storage.Local.Path, filepath.Join(dir, want); got != want || c.Backup.Directory != want {
			t.Errorf("%s: storage %s, directory %s, want %s", text, got, c.Backup.Directory, want)
		}
		if !strings.HasPrefix(c.Place(), "file:///") {
			t.Errorf("Place() = %s, want a file URL", c.Place())
		}
	}
}

func TestSourcesThatContainTheRepository(t *testing.T) {
	for _, exclude := range []string{
		`["/backups/", "/data/"]`, `["/backups", "/data"]`, `["*.tmp", "/data/", "/backups/", "!keep.tmp"]`,
	} {
		loadText(t, "sources: {all: {path: ., exclude: "+exclude+"}}")
	}
	// Excluding a directory above is as good.
	loadText(t, `{backup: {directory: ./var/b}, node: {data_dir: ./var/d}, sources: {all: {path: ., exclude: ["/var/"]}}}`)
	// Another region's path is not this machine's.
	loadText(t, "{regions: [a, b], node: {region: a}, sources: {all: {path: ., region: b}}}")
	for _, exclude := range []string{
		`[]`, `["/backups/"]`, `["backups/", "data/"]`, `["/backups/", "/data/", "!/backups/"]`, `["/backups/*", "/data/*"]`,
	} {
		_, err := Parse("x.yaml", []byte("sources: {all: {path: ., exclude: "+exclude+"}}"), none)
		if err == nil {
			t.Errorf("exclude %s leaves the repository in, and was accepted", exclude)
		}
	}
}

func TestAKeyBehindALinkIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "real", "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "link")); err != nil {
		t.Skip("this system makes no links: ", err)
	}
	text := "backup: {directory: ./real, encryption: {key_path: ./link/keys/ring}}"
	_, err := Parse(filepath.Join(dir, "c.yaml"), []byte(text), none)
	if err == nil || !strings.Contains(err.Error(), "lies inside the storage path") {
		t.Errorf("Parse = %v, want the key to be found inside the storage path", err)
	}
}
