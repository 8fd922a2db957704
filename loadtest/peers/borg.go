package peers

import (
	"context"
	"fmt"

	"mahavishnu/loadtest/process"
)

func findBorg(ctx context.Context, r process.Runner, path string) ([]Program, []string, error) {
	version, err := says(ctx, r, path, "--version")
	if err != nil {
		return nil, nil, err
	}
	return []Program{{
		Name: "borg", Kind: Peer, Version: firstLine(version),
		Settings: []string{
			"borg init --encryption repokey (AES-256-CTR with HMAC-SHA-256)",
			"borg create --compression zstd,1; extract; check --verify-data",
		},
		Plan: func(p Place) Plan { return borgPlan(path, p) },
	}}, nil, nil
}

func borgPlan(path string, p Place) Plan {
	env := []string{
		"BORG_PASSPHRASE=loadtest", "BORG_REPO=" + p.Repository, "BORG_BASE_DIR=" + p.State,
		"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
	}
	in := func(dir string, args ...string) process.Command {
		return process.Command{Args: append([]string{path}, args...), Env: env, Dir: dir}
	}
	last := 0
	plan := Plan{
		Prepare: []process.Command{in(p.State, "init", "--encryption", "repokey"), {Args: []string{"mkdir", "-p", p.Restored}}},
		Again:   true,
		Check:   in(p.State, "check", "--verify-data"),
		Root:    p.Restored,
	}
	plan.Backup = func(n int) process.Command {
		last = n
		return in(p.Tree, "create", "--compression", "zstd,1", fmt.Sprintf("::snapshot%d", n), ".")
	}
	plan.Restore = func() process.Command { return in(p.Restored, "extract", fmt.Sprintf("::snapshot%d", last)) }
	return plan
}
