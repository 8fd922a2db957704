package loadtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/process"
)

// Options say what [Run] measures.
type Options struct {
	// Program is the binary under test.
	Program string
	// Dir holds everything: the tree, the repository, the restored files. It
	// must not exist or be empty, and is removed afterwards unless Keep is set.
	Dir  string
	Keep bool
	// Tree is backed up.
	Tree corpus.Spec
	// Restore adds a restore, compared with the tree.
	Restore bool
	// Progress hears the name of each step as it begins.
	Progress func(step string)
	// Runner starts the program.
	Runner process.Runner
}

// Step is one measured command.
type Step struct {
	Name string `json:"name"`
	process.Usage
	// Bytes the step is about: those of the tree.
	Bytes int64 `json:"bytes"`
	// Stored is the size of the repository after the step.
	Stored int64 `json:"stored"`
}

// Rate is bytes a second.
func (s Step) Rate() float64 {
	if s.Wall <= 0 {
		return 0
	}
	return float64(s.Bytes) / s.Wall.Seconds()
}

// Report is the outcome of [Run].
type Report struct {
	Tree  corpus.Spec `json:"tree"`
	Bytes int64       `json:"bytes"`
	When  time.Time   `json:"when"`
	Steps []Step      `json:"steps"`
}

// Run makes the tree, then backs it up, backs it up unchanged, verifies every
// stored byte, and restores it if asked to. Each is a process of its own.
func Run(ctx context.Context, o Options) (Report, error) {
	c := clock.Or(o.Runner.Clock)
	tree, repo := filepath.Join(o.Dir, "tree"), filepath.Join(o.Dir, "repository")
	key, restored := filepath.Join(o.Dir, "key"), filepath.Join(o.Dir, "restored")
	if !o.Keep {
		defer os.RemoveAll(o.Dir)
	}
	say := func(step string) {
		if o.Progress != nil {
			o.Progress(step)
		}
	}
	say("make the tree")
	total, err := corpus.Write(ctx, tree, o.Tree)
	report := Report{Tree: o.Tree, Bytes: total, When: c.Now()}
	if err != nil {
		return report, err
	}
	flags := func(args ...string) []string {
		return append(args, "--key", key, "--repository", repo, "--quiet")
	}
	keyCreate := process.Command{Args: []string{o.Program, "key", "create", "--key", key, "--quiet"}}
	if _, _, err := o.Runner.Run(ctx, keyCreate); err != nil {
		return report, err
	}
	plan := []struct {
		name string
		args []string
	}{
		{"first backup", flags("backup", tree, "--direct")},
		{"nothing changed", flags("backup", tree, "--direct")},
		{"verify all data", flags("verify", "--read-data", "100")},
	}
	if o.Restore {
		plan = append(plan, struct {
			name string
			args []string
		}{"restore", flags("restore", "latest", "--target", restored)})
	}
	for _, p := range plan {
		say(p.name)
		usage, _, err := o.Runner.Run(ctx, process.Command{Args: append([]string{o.Program}, p.args...)})
		if err != nil {
			return report, err
		}
		stored, err := treeSize(repo)
		if err != nil {
			return report, err
		}
		report.Steps = append(report.Steps, Step{Name: p.name, Usage: usage, Bytes: total, Stored: stored})
	}
	if o.Restore {
		say("compare")
		if err := same(ctx, tree, restored); err != nil {
			return report, err
		}
	}
	return report, nil
}

func treeSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

func same(ctx context.Context, tree, restored string) error {
	_, differ, err := corpus.Compare(ctx, tree, restored)
	if err == nil && len(differ) > 0 {
		err = fmt.Errorf("%d entries differ, the first: %s", len(differ), differ[0])
	}
	if err != nil {
		return fault.New("compare restored tree", restored, err, "")
	}
	return nil
}
