package corpus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What happens to a tree of source text from one version to the next, as shares
// of its files.
const (
	editedShare  = 0.04
	addedShare   = 0.008
	removedShare = 0.004
	movedShare   = 0.004
)

// sourcePath of file n: twenty files in a package, twenty packages in a part.
func sourcePath(n int) string {
	pkg := n / 20
	return filepath.Join(fmt.Sprintf("part%03d", pkg/20), word(pkg)+fmt.Sprintf("%d", pkg%20), fmt.Sprintf("%s_%d.go", word(n*7+3), n))
}

// word returns one of the lexicon's words, bare.
func word(n int) string { return strings.TrimSpace(lexicon[n&0xfff]) }

// source writes a line of source text.
func (g *generator) source(source *rand.ChaCha8, size int64) (int64, error) {
	line := sourceLine(g.block[:0], source.Uint64())
	n, err := g.out.Write(line[:min(int64(len(line)), size)])
	return int64(n), err
}

// sourceLine appends a line as programs have them: often short, indented, of few
// different shapes and many different names.
func sourceLine(out []byte, x uint64) []byte {
	name := func(shift int) string { return word(int(min(x>>shift&0xfff, x>>(shift+9)&0xfff))) }
	a, b, c := name(8), name(20), name(32)
	switch x % 16 {
	case 0, 1:
		return fmt.Appendf(out, "\t// %s %s the %s of %s, which %s must not.\n", a, b, c, name(40), name(44))
	case 2:
		return fmt.Appendf(out, "}\n\nfunc (%c *%s) %s(%s int, %s string) error {\n", a[0], a, b, c, name(40))
	case 3, 4:
		return fmt.Appendf(out, "\tif %s.%s != nil {\n", a, b)
	case 5, 6:
		return fmt.Appendf(out, "\t\treturn fmt.Errorf(\"%s %s: %%w\", err)\n\t}\n", a, b)
	case 7:
		return fmt.Appendf(out, "\tfor i := range %s.%s {\n", a, b)
	case 8, 9, 10:
		return fmt.Appendf(out, "\t%s := %s.%s(%s, %d)\n", a, b, c, name(40), x>>50)
	case 11:
		return append(out, "\t}\n"...)
	case 12:
		return append(out, '\n')
	default:
		return fmt.Appendf(out, "\t\t%s.%s = append(%s.%s, %s)\n", a, b, a, b, c)
	}
}

// editor changes a tree of source text.
type editor struct {
	dir   string
	draw  *rand.Rand
	edits struct{ edited, added, removed, moved int }
}

// advanceSource makes the next version. All is drawn from one source in the
// order of the paths, so that equal trees change equally.
func advanceSource(ctx context.Context, dir string, s Spec, version int) (string, error) {
	paths, err := regularFiles(dir)
	if err != nil {
		return "", err
	}
	e := &editor{dir: dir, draw: rand.New(rand.NewChaCha8(versionSeed(s, version)))}
	for _, path := range paths {
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		if err := e.file(path, version); err != nil {
			return "", err
		}
	}
	// Numbers that no file of an earlier version has.
	first := s.Files * (version + 1)
	added := max(int(addedShare*float64(len(paths))+0.5), 1)
	g := newGenerator()
	for n := first; n < first+added; n++ {
		if _, err := g.file(dir, s, n); err != nil {
			return "", err
		}
		e.edits.added++
	}
	renamed, err := e.directory(version)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d files edited, %d added, %d removed, %d moved; %s", e.edits.edited, e.edits.added, e.edits.removed, e.edits.moved, renamed), nil
}

// versionSeed is one of its own for each version.
func versionSeed(s Spec, version int) (seed [32]byte) {
	binary.LittleEndian.PutUint64(seed[:], s.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(version))
	h := fnv.New64a()
	h.Write([]byte(s.Kind))
	h.Sum(seed[16:16])
	return seed
}

// regularFiles returns the paths of all files below dir, in order.
func regularFiles(dir string) (paths []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	slices.Sort(paths)
	return paths, err
}

// file edits, removes, moves or leaves a file.
func (e *editor) file(path string, version int) error {
	switch draw := e.draw.Float64(); {
	case draw < editedShare:
		e.edits.edited++
		return e.edit(path)
	case draw < editedShare+removedShare:
		e.edits.removed++
		return os.Remove(path)
	case draw < editedShare+removedShare+movedShare:
		e.edits.moved++
		to := filepath.Join(e.dir, "moved", word(e.draw.IntN(4096)))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		return os.Rename(path, filepath.Join(to, fmt.Sprintf("v%d_%s", version, filepath.Base(path))))
	}
	return nil
}

// edit replaces, inserts or deletes some lines in one to four places.
func (e *editor) edit(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for range 1 + e.draw.IntN(4) {
		at := e.draw.IntN(len(lines))
		end := min(at+e.draw.IntN(6), len(lines))
		var fresh [][]byte
		for range e.draw.IntN(12) {
			fresh = append(fresh, sourceLine(nil, e.draw.Uint64()))
		}
		lines = slices.Replace(lines, at, end, fresh...)
		if len(lines) == 0 {
			lines = [][]byte{[]byte("package empty\n")}
		}
	}
	return os.WriteFile(path, bytes.Join(lines, nil), 0o644)
}

// directory renames one of the packages.
func (e *editor) directory(version int) (string, error) {
	var packages []string
	parts, err := os.ReadDir(e.dir)
	if err != nil {
		return "", err
	}
	for _, part := range parts {
		below, err := os.ReadDir(filepath.Join(e.dir, part.Name()))
		if err != nil {
			return "", err
		}
		for _, d := range below {
			packages = append(packages, filepath.Join(part.Name(), d.Name()))
		}
	}
	if len(packages) == 0 {
		return "no directory renamed", nil
	}
	slices.SortFunc(packages, cmp.Compare)
	from := packages[e.draw.IntN(len(packages))]
	err = os.Rename(filepath.Join(e.dir, from), filepath.Join(e.dir, fmt.Sprintf("%s_v%d", from, version)))
	return "a directory renamed", err
}
