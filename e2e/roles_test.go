package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"mahavishnu/app"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
)

// role is what this test binary does when it is started as a process of its own:
// what the program does, with patience so short that what is left of killed
// processes can be collected within a test.
type role struct {
	Do       string // "backup", "prune" or "replicate"
	Location string // of the repository
	To       string // of its replica
	Key      string // its file
	Path     string
	Source   string
	Tag      string
	Type     string
	TTL      time.Duration
	Wait     time.Duration
}

const roleEnv = "MAHAVISHNU_E2E_ROLE"

// env returns the environment of a process that plays the role.
func (r role) env() ([]string, error) {
	text, err := json.Marshal(r)
	return append(os.Environ(), roleEnv+"="+string(text)), err
}

// playRole plays the role that the environment asks for, if there is one, and
// never returns then. Exit codes are the program's.
func playRole() {
	text, ok := os.LookupEnv(roleEnv)
	if !ok {
		return
	}
	var r role
	err := json.Unmarshal([]byte(text), &r)
	if err == nil {
		err = r.play(context.Background())
	}
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if errors.Is(err, repository.ErrFenced) {
		code = 5
	}
	os.Exit(code)
}

func (r role) play(ctx context.Context) (err error) {
	if r.Do == "replicate" {
		return r.replicate(ctx)
	}
	repo, err := app.Access{Location: r.Location, KeyPath: r.Key}.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	if r.Do == "backup" {
		_, err := snapshot.Backup(ctx, repo.Repository, snapshot.BackupOptions{
			Source: r.Source, Path: r.Path, Type: r.Type, Tags: []string{r.Tag}, Lease: lease.Options{TTL: r.TTL},
		})
		return err
	}
	report, err := prune.Run(ctx, repo.Repository, prune.Options{TTL: r.TTL, Wait: r.Wait})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
