package torturetest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Deep is the top-level directory whose descendants' paths exceed PATH_MAX.
// Programs that use whole paths, such as rsync, must be told to skip it.
const Deep = "deep"

// Sparse is the path of the 10 GiB file that occupies about 2 MiB.
const Sparse = "sparse/10GiB"

// SparseSize is its size in bytes.
const SparseSize = 10 << 30

// Full reports whether the environment asks for the whole torture.
func Full() bool { return os.Getenv("MAHAVISHNU_TORTURE") == "full" }

// builder makes things below root; the first failure ends the test.
type builder struct {
	testing.TB
	root string
	priv bool // running as root
}

// Dir makes a directory for a torture tree or a copy of one. Unlike that of
// t.TempDir it can be removed again by an ordinary user, whatever the modes of
// the directories in it.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "torture-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		unlock := func(path string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		}
		// Twice: the first walk cannot enter what it is about to unlock.
		_, _ = filepath.WalkDir(dir, unlock), filepath.WalkDir(dir, unlock)
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// Build fills dir, which must exist and be empty.
func Build(tb testing.TB, dir string) {
	tb.Helper()
	b := &builder{TB: tb, root: dir, priv: os.Geteuid() == 0}
	b.content()
	b.names()
	b.deep()
	b.crowd()
	b.empties()
	b.symlinks()
	b.hardLinks()
	b.sparse()
	b.attributes()
	b.modes()
	b.specials()
	b.times() // last: what is made in a directory changes its time
}

// AddUnreadable adds a file and a directory that their owner cannot read, and
// returns their paths below dir; as root, who reads everything, it returns none.
func AddUnreadable(tb testing.TB, dir string) []string {
	tb.Helper()
	b := &builder{TB: tb, root: dir, priv: os.Geteuid() == 0}
	if b.priv {
		return nil
	}
	b.write("locked/file", []byte("nobody reads this"))
	b.write("locked/dir/inside", []byte("nor this"))
	b.try(os.Chmod(b.path("locked/file"), 0))
	b.try(os.Chmod(b.path("locked/dir"), 0))
	return []string{"locked/dir", "locked/file"}
}

func (b *builder) try(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("build the torture tree: %v", err)
	}
}

func (b *builder) path(name string) string { return b.root + "/" + name }

func (b *builder) mkdir(name string) { b.Helper(); b.try(os.MkdirAll(b.path(name), 0o755)) }

func (b *builder) write(name string, data []byte) {
	b.Helper()
	b.try(os.MkdirAll(filepath.Dir(b.path(name)), 0o755))
	b.try(os.WriteFile(b.path(name), data, 0o644))
}

// noise is n bytes that do not compress, the same for the same name.
func noise(name string, n int) []byte {
	r := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	out := make([]byte, n)
	_, _ = r.Read(out) // never fails
	return out
}

func (b *builder) content() {
	b.write("content/one-byte", []byte{0})
	b.write("content/text", []byte(strings.Repeat("the same line, many times over\n", 20000)))
	b.write("content/noise-9MiB", noise("9", 9<<20+137))
	b.write("content/zeros-allocated", make([]byte, 3<<20))
	shared := noise("shared", 5<<20)
	b.write("content/shared-a", shared)
	b.write("content/shared-b", append([]byte("moved by a prefix"), shared...))
}

func (b *builder) names() {
	every := make([]byte, 0, 256)
	for c := 1; c < 256; c++ {
		if c == '/' {
			continue
		}
		every = append(every, byte(c))
		b.write("names/byte-"+string([]byte{byte(c)}), []byte{byte(c)})
	}
	b.write("names/"+string(every[:127]), []byte("first half"))
	b.write("names/"+string(every[127:]), []byte("second half"))
	b.write("names/"+strings.Repeat("n", 255), []byte("full length"))
	b.write("names/"+strings.Repeat("\xff", 255), []byte("full length, no text"))
	b.write("names/"+strings.Repeat("d", 255)+"/"+strings.Repeat("é", 127)+"x", []byte("both"))
	for _, name := range []string{
		" ", "-rf", "a b", "line\nfeed", "*", "?[a-z]", "#x", "!x", `back\slash`, "...", ".hidden", "~", "con", "nul.txt",
		"\u202eright-to-left", "e\u0301", "\u00e9", "UPPER", "upper", "trailing.", "trailing ",
	} {
		b.write("names/odd/"+name, []byte(name))
	}
	b.write("names/.gitignore", []byte("*\n"))
}

func (b *builder) deep() {
	b.mkdir(Deep)
	root, err := os.OpenRoot(b.path(Deep))
	b.try(err)
	for i := range 22 { // 22 × 250 bytes > 4096
		name := fmt.Sprintf("%03d%s", i, strings.Repeat("p", 247))
		b.try(root.Mkdir(name, 0o755))
		b.try(root.WriteFile("file-at-each-level", fmt.Append(nil, i), 0o600))
		next, err := root.OpenRoot(name)
		b.try(err)
		b.try(root.Close())
		root = next
	}
	b.try(root.Symlink("../up", "link"))
	b.try(root.Close())
}

func (b *builder) crowd() {
	n := 1500
	if Full() {
		n = 100_000
	}
	b.mkdir("crowd")
	var data [8]byte
	for i := range n {
		binary.LittleEndian.PutUint64(data[:], uint64(i))
		b.try(os.WriteFile(b.path(fmt.Sprintf("crowd/%x-%06d", sha256.Sum256(data[:]), i)), data[:i%9], 0o644))
	}
}

func (b *builder) empties() {
	b.write("empty/file", nil)
	b.mkdir("empty/dir")
	b.mkdir("empty/nested/a/b/c")
}

func (b *builder) symlinks() {
	b.mkdir("symlinks/real-dir")
	b.write("symlinks/real-dir/file", []byte("behind a link"))
	for name, target := range map[string]string{
		"dangling": "nowhere", "absolute": "/etc/passwd", "to-dir": "real-dir", "up": "../../..",
		"self": "self", "loop-a": "loop-b", "loop-b": "loop-a", "bytes": "\x01\xff\n\xfe",
		"long": strings.Repeat("t/", 2047), "trailing": "real-dir/",
	} {
		b.try(os.Symlink(target, b.path("symlinks/"+name)))
	}
	b.try(unix.Linkat(unix.AT_FDCWD, b.path("symlinks/dangling"), unix.AT_FDCWD, b.path("symlinks/dangling-again"), 0))
}

func (b *builder) hardLinks() {
	b.write("links/a/first", noise("hard", 2<<20))
	b.mkdir("links/b/deeper")
	for _, name := range []string{"links/a/second", "links/b/third", "links/b/deeper/fourth", "links-elsewhere"} {
		b.try(os.Link(b.path("links/a/first"), b.path(name)))
	}
	b.write("links/a/empty", nil)
	b.try(os.Link(b.path("links/a/empty"), b.path("links/b/empty")))
	// One name inside, one outside the tree: no group to restore.
	outside := b.TempDir()
	b.try(os.Link(b.path("links/a/empty"), filepath.Join(outside, "outside")))
}

func (b *builder) sparse() {
	b.mkdir("sparse")
	b.holes(Sparse, SparseSize, map[int64]int{12345: 1, 4<<30 - 100: 5000, 7<<30 + 777: 2 << 20})
	b.holes("sparse/only-a-hole", 3<<30+1, nil)
	b.holes("sparse/data-then-hole", 64<<20, map[int64]int{0: 100_000})
	b.holes("sparse/hole-then-data", 64<<20, map[int64]int{64<<20 - 4096: 4096})
	parts := map[int64]int{}
	for i := range int64(200) { // more extents than a node holds itself
		parts[i*1<<20+i*7] = 4096
	}
	b.holes("sparse/comb", 256<<20, parts)
}

func (b *builder) holes(name string, size int64, data map[int64]int) {
	f, err := os.Create(b.path(name))
	b.try(err)
	b.try(f.Truncate(size))
	for off, n := range data {
		_, err := f.WriteAt(noise(fmt.Sprint(name, off), n), off)
		b.try(err)
	}
	b.try(f.Close())
}
