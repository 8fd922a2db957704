package histories

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// content is what a snapshot must hold: the seed of each file's bytes, by path.
// Files lie in directories one deep.
type content map[string]uint64

// seeds is how many different files there are: few, so that snapshots share
// much, and what one forgets another stores again.
const seeds = 40

// bytesOf returns the bytes of a file.
func bytesOf(seed uint64) []byte {
	if seed >= bigSeed {
		return bigBytes(seed)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, 150+rng.IntN(1500))
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	return out
}

// drawContent changes a content here and there.
func drawContent(t *rapid.T, old content) content {
	c := maps.Clone(old)
	if c == nil {
		c = content{}
	}
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		path := fmt.Sprintf("d%d/f%d", rapid.IntRange(0, 2).Draw(t, "dir"), rapid.IntRange(0, 3).Draw(t, "file"))
		if rapid.IntRange(0, 4).Draw(t, "remove") == 0 && len(c) > 1 {
			delete(c, path)
		} else {
			c[path] = rapid.Uint64Range(1, seeds).Draw(t, "seed")
		}
	}
	return c
}

// byDir returns the files of each directory, in order.
func (c content) byDir() (dirs []string, files map[string][]string) {
	files = map[string][]string{}
	for path := range c {
		dir, file, _ := strings.Cut(path, "/")
		files[dir] = append(files[dir], file)
	}
	for dir := range files {
		slices.Sort(files[dir])
	}
	return slices.Sorted(maps.Keys(files)), files
}

var fileTime = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// write makes a directory hold the content. Files that have it already are not
// touched, so that a backup finds them unchanged.
func (c content) write(dir string, old content) error {
	for path := range old {
		if _, kept := c[path]; !kept {
			if err := os.Remove(filepath.Join(dir, path)); err != nil {
				return err
			}
		}
	}
	for path, seed := range c {
		if old[path] == seed {
			continue
		}
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, bytesOf(seed), 0o600); err != nil {
			return err
		}
		// Told by the seed, so that a change is never missed in the same instant.
		at := fileTime.Add(time.Duration(seed) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			return err
		}
	}
	return nil
}

// saver stores trees in a session.
type saver struct{ s *repository.Session }

func (s saver) Save(ctx context.Context, data []byte) (tree.ID, error) {
	id, _, err := s.s.Save(ctx, repository.KindTree, data)
	return tree.ID(id), err
}

// store stores a content the way a backup does and returns the root.
func (c content) store(ctx context.Context, s *repository.Session) (repository.ID, error) {
	root := tree.NewWriter(saver{s})
	dirs, files := c.byDir()
	for _, dir := range dirs {
		w := tree.NewWriter(saver{s})
		for _, file := range files[dir] {
			data := bytesOf(c[dir+"/"+file])
			id, _, err := s.Save(ctx, repository.KindData, data)
			if err != nil {
				return repository.ID{}, err
			}
			n := tree.Node{
				Name: []byte(file), Type: tree.File, Mode: 0o600, Size: uint64(len(data)),
				Content: tree.Content{Extents: []tree.Extent{{ID: tree.ID(id), Length: uint64(len(data))}}},
			}
			if err := w.Add(ctx, &n); err != nil {
				return repository.ID{}, err
			}
		}
		entries, err := w.Finish(ctx)
		if err != nil {
			return repository.ID{}, err
		}
		if err := root.Add(ctx, &tree.Node{Name: []byte(dir), Type: tree.Dir, Mode: 0o700, Content: entries}); err != nil {
			return repository.ID{}, err
		}
	}
	entries, err := root.Finish(ctx)
	if err != nil {
		return repository.ID{}, err
	}
	id, err := tree.SaveRoot(ctx, saver{s}, &tree.Node{Type: tree.Dir, Mode: 0o700, Content: entries})
	return repository.ID(id), err
}

// loader reads trees from a repository.
type loader struct{ r *repository.Repository }

func (l loader) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	return l.r.Load(ctx, repository.ID(id), repository.KindTree, buf)
}

// restores reads a snapshot and compares it with what it must hold, byte by
// byte.
func (c content) restores(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
	root, err := tree.LoadRoot(ctx, loader{r}, tree.ID(snap.Root))
	if err != nil {
		return err
	}
	left := maps.Clone(c)
	err = eachEntry(ctx, r, root, func(dir tree.Node) error {
		if dir.Type != tree.Dir {
			return fmt.Errorf("%s is a %s", dir.Name, dir.Type)
		}
		return eachEntry(ctx, r, dir, func(file tree.Node) error {
			path := string(dir.Name) + "/" + string(file.Name)
			seed, ok := left[path]
			if !ok {
				return fmt.Errorf("%s does not belong there", path)
			}
			delete(left, path)
			return compareFile(ctx, r, file, bytesOf(seed))
		})
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("missing: %v", left)
	}
	return err
}

func eachEntry(ctx context.Context, r *repository.Repository, dir tree.Node, fn func(tree.Node) error) error {
	for entries := tree.NewReader(loader{r}, dir.Content); ; {
		n, err := entries.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(n)
		}
		if err != nil {
			return err
		}
	}
}

func compareFile(ctx context.Context, r *repository.Repository, n tree.Node, want []byte) error {
	var got []byte
	for extents := tree.NewExtents(loader{r}, n.Content); ; {
		e, err := extents.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		data, err := r.Load(ctx, repository.ID(e.ID), repository.KindData, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		got = append(got, data...)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s holds other bytes", n.Name)
	}
	return nil
}
