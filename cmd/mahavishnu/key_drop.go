package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/terminal"
)

// errInUse means that something is sealed with the version still.
var errInUse = errors.New("it is still in use")

func newKeyDropCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "drop VERSION [REPOSITORY]...",
		Short: "Take an old version of the key out of the ring",
		Long: `Take the key of an old version out of the ring, once nothing is sealed with it any
more: after "prune --reseal". Whoever got hold of that version can then read
nothing of what is stored now.

Every object of the configured repository, of the one named by --repository and of
the REPOSITORIES is looked at; while one of them was sealed with the version, or
somebody is storing backups, the ring stays as it is. A repository that is not named
is not looked at: name all that this key ring seals, and their copies.

The ring remembers the number, the dates and the fingerprint of the dropped version. A
recovery copy printed before still holds its key: keep it as long as old copies of
the repository may turn up, then destroy it.`,
		Example: "  mahavishnu key drop 1\n  mahavishnu key drop 1 --repository /mnt/backups /mnt/second-copy",
		Args:    takes(1, -1, "the version's number, as in \"key list\""),
		RunE:    func(cmd *cobra.Command, args []string) error { return runKeyDrop(cmd.Context(), e, args[0], args[1:]) },
	}, exitIntegrity)
}

func runKeyDrop(ctx context.Context, e *env, text string, more []string) error {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		return usagef("mahavishnu key drop", "%q is not the number of a version; see: mahavishnu key list", text)
	}
	version := uint32(number)
	ring, path, err := e.ring()
	if err != nil {
		return err
	}
	if _, err := ring.Without(version, e.clock.Now()); err != nil {
		hint := "see `mahavishnu key list`"
		if errors.Is(err, keyring.ErrCurrent) {
			hint = "make a new one first: mahavishnu key rotate"
		}
		return fault.New("drop key from", path, err, hint)
	}
	places, err := e.keyPlaces(more)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := e.mustNotUse(ctx, place, version); err != nil {
			return err
		}
	}
	ring, err = keyring.Drop(path, version, e.clock.Now())
	if err != nil {
		return err
	}
	info := describeRing(path, ring)
	e.term.Document(struct {
		ringInfo
		Checked []string `json:"checked"`
	}{info, places})
	e.printRing(info)
	e.term.Sayf("nothing in %s was sealed with version %d", strings.Join(places, ", "), version)
	e.term.Warnf("make a new recovery copy: mahavishnu key print --key %s; copies printed before hold version %d still", path, version)
	return nil
}

// keyPlaces are the repositories to look at: the configured one, the one of
// --repository, and those named beside it.
func (e *env) keyPlaces(more []string) ([]string, error) {
	places := slices.Clone(more)
	if e.Repository != "" {
		places = append([]string{e.Repository}, places...)
	}
	if e.KeyPath == "" || e.configFile() != "" {
		cfg, err := e.config()
		if err != nil {
			return nil, err
		}
		if cfg.File() != "" && !slices.Contains(places, cfg.Place()) && cfg.Backup.Encryption.KeyPath != "" {
			if same, err := e.sameRing(cfg.Backup.Encryption.KeyPath); err != nil || same {
				places = append([]string{cfg.Place()}, places...)
			}
		}
	}
	if len(places) == 0 {
		return nil, usagef("mahavishnu key drop", "name every repository that this key ring seals: they are looked at before anything is dropped")
	}
	return places, nil
}

// sameRing reports whether the configuration's key ring is the one in use.
func (e *env) sameRing(configured string) (bool, error) {
	path, err := e.keyPath()
	return path == configured, err
}

// mustNotUse refuses while something in a repository is sealed with the version,
// or may be in a moment.
func (e *env) mustNotUse(ctx context.Context, place string, version uint32) error {
	uses, err := e.keyUses(ctx, place)
	if err != nil {
		return err
	}
	const op = "drop key version"
	use := uses.Versions[version]
	object := fmt.Sprintf("%d of %s", version, place)
	var parts []string
	if use.Packs > 0 {
		parts = append(parts, terminal.Plural(use.Packs, "pack")+" of "+terminal.Bytes(use.PackBytes))
	}
	if use.Objects > 0 {
		parts = append(parts, terminal.Plural(use.Objects, "other object"))
	}
	switch {
	case len(parts) > 0:
		return fault.New(op, object, fmt.Errorf("%w: %s", errInUse, strings.Join(parts, " and ")),
			"seal them anew, then drop it: mahavishnu prune --reseal --repository "+place)
	case len(uses.Unknown) > 0:
		return fault.New(op, object, untold(uses.Unknown), "mahavishnu verify --repair --repository "+place)
	}
	return nil
}

// untold is the error of objects that do not say which version sealed them.
func untold(names []string) error {
	shown := names[:min(len(names), 3)]
	return fmt.Errorf("%w: %s, for instance %s, cannot be read to the point of telling which version sealed them",
		repository.ErrDamaged, terminal.Plural(len(names), "object"), strings.Join(shown, ", "))
}
