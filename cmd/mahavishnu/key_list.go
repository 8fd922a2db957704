package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/repository"
)

func newKeyListCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "list",
		Short: "Show the versions of the key, and what each has sealed",
		Long: `Show the fingerprint of the key ring and of each version in it. No secret is shown.
With --repository, or a configuration, it looks into the repository and tells how
much of it each version has sealed.`,
		Example: "  mahavishnu key list\n  mahavishnu key list --repository /mnt/backups --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runKeyList(cmd.Context(), e) },
	}, exitIntegrity)
}

func runKeyList(ctx context.Context, e *env) error {
	ring, path, err := e.ring()
	if err != nil {
		return err
	}
	info := describeRing(path, ring)
	var unknown []string
	place, err := e.chosenPlace()
	if err != nil {
		return err
	}
	if place != "" {
		uses, err := e.keyUses(ctx, place)
		switch {
		case err == nil:
			info.Repository = place
			unknown = uses.Unknown
			for i := range info.Versions {
				v := &info.Versions[i]
				use := versionUse(uses.Versions[v.Number])
				v.Use = &use
			}
		case ctx.Err() != nil:
			return err
		case errors.Is(err, repository.ErrNotRepository) && e.Repository == "":
			// Configured, and not made yet.
		default: // the ring can be shown all the same
			e.term.Warnf("what each version has sealed cannot be told: %v", err)
		}
	}
	e.term.Document(info)
	e.printRing(info)
	if len(unknown) > 0 {
		return fault.New("count what each version sealed in", place, untold(unknown), "mahavishnu verify --repair")
	}
	return nil
}

// chosenPlace is the repository that somebody chose, by flag or configuration;
// "" when there are only the defaults.
func (e *env) chosenPlace() (string, error) {
	if e.Repository != "" {
		return e.Repository, nil
	}
	if e.KeyPath != "" && e.configFile() == "" {
		return "", nil
	}
	cfg, err := e.config()
	if err != nil || cfg.File() == "" {
		return "", err
	}
	return cfg.Place(), nil
}

// keyUses counts what each version of the key has sealed in a repository.
func (e *env) keyUses(ctx context.Context, place string) (uses repository.KeyUses, err error) {
	repo, err := e.openAt(ctx, place)
	if err != nil {
		return uses, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	uses, err = repo.KeyUses(ctx)
	slices.Sort(uses.Unknown)
	return uses, err
}

// openAt opens the repository of another place with the same key ring.
func (e *env) openAt(ctx context.Context, place string) (*app.Opened, error) {
	old := e.Repository
	e.Repository = place
	defer func() { e.Repository = old }()
	return e.open(ctx)
}
