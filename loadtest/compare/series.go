package compare

import (
	"context"
	"os"

	"mahavishnu/loadtest/corpus"
)

// series has all programs back up one version after another, each into a
// repository of its own. All see the same version in turn.
func (b *bench) series(ctx context.Context, run int) error {
	if err := os.RemoveAll(b.tree); err != nil {
		return err
	}
	var contests []*contest
	for version := range b.o.Versions {
		if err := b.version(ctx, run, version); err != nil {
			return err
		}
		if version == 0 {
			for _, p := range b.order(run) {
				at, err := b.begin(ctx, run, p)
				if err != nil {
					return err
				}
				contests = append(contests, at)
			}
		}
		for _, at := range contests {
			at.version = version
			if err := warm(ctx, b.tree); err != nil {
				return err
			}
			work := NextBackup
			if version == 0 {
				work = FirstBackup
			}
			if err := b.step(ctx, at, work, at.plan.Backup(version)); err != nil {
				return err
			}
		}
		// Whoever was first comes last at the next version.
		contests = append(contests[1:], contests[0])
	}
	for _, at := range contests {
		if err := b.readBack(ctx, at); err != nil {
			return err
		}
		if err := b.end(at); err != nil {
			return err
		}
	}
	return nil
}

// version brings the tree to its next version.
func (b *bench) version(ctx context.Context, run, version int) error {
	var v Version
	if version == 0 {
		b.say("make the tree: %s", b.o.Corpus.Describe())
		if _, err := corpus.Write(ctx, b.tree, b.o.Corpus); err != nil {
			return err
		}
	} else {
		b.say("change the tree to version %d of %d", version+1, b.o.Versions)
		changed, err := corpus.Advance(ctx, b.tree, b.o.Corpus, version)
		if err != nil {
			return err
		}
		v.Changed = changed
	}
	if run > 0 {
		return nil
	}
	size, err := corpus.Measure(b.tree)
	if err != nil {
		return err
	}
	v.Files, v.Bytes = size.Files, size.Bytes
	b.out.Corpus.Versions = append(b.out.Corpus.Versions, v)
	b.out.Corpus.Files, b.out.Corpus.Bytes = size.Files, size.Bytes
	return nil
}
