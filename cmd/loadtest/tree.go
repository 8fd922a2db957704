package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"mahavishnu/loadtest/corpus"
)

// tree are the flags that say what is measured where.
type tree struct {
	program, dir, kind, size string
	files                    int
	seed                     uint64
	keep                     bool
}

func (t *tree) add(cmd *cobra.Command, size string) {
	flags := cmd.Flags()
	flags.StringVar(&t.size, "size", size, "bytes in the tree")
	flags.StringVar(&t.kind, "corpus", string(corpus.Mixed), fmt.Sprintf("kind of tree: %v", corpus.Kinds()))
	flags.IntVar(&t.files, "files", 0, "number of files; by default as many as make files of the usual size")
	flags.Uint64Var(&t.seed, "seed", 1, "selects one of many trees of the same shape")
	t.addPlaces(cmd)
}

// addPlaces adds the flags of commands that work on no tree.
func (t *tree) addPlaces(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.dir, "dir", "", "directory to work in, new or empty (default: a temporary one)")
	flags.BoolVar(&t.keep, "keep", false, "keep the directory")
	flags.StringVar(&t.program, "program", "", "the mahavishnu binary (default: the one beside this program)")
}

func (t *tree) spec() (corpus.Spec, error) {
	size, err := humanize.ParseBytes(t.size)
	if err != nil || size == 0 || size > 1<<50 {
		return corpus.Spec{}, fmt.Errorf("--size %q is not a size like 10GB", t.size)
	}
	spec := corpus.Sized(corpus.Kind(t.kind), int64(size))
	spec.Seed = t.seed
	if t.files > 0 {
		spec.Files, spec.FileSize = t.files, max(int64(size)/int64(t.files), 1)
	}
	return spec, nil
}

// binaries returns this project's program and this one.
func (t *tree) binaries() (program, self string, err error) {
	if self, err = os.Executable(); err != nil {
		return "", "", err
	}
	if t.program != "" {
		program, err = filepath.Abs(t.program)
		return program, self, err
	}
	program = filepath.Join(filepath.Dir(self), "mahavishnu")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	return program, self, nil
}

// directory returns where to work.
func (t *tree) directory() (string, error) {
	if t.dir != "" {
		return t.dir, nil
	}
	return os.MkdirTemp("", "mahavishnu-loadtest-")
}
