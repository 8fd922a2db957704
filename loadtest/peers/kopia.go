package peers

import (
	"context"

	"mahavishnu/loadtest/process"
)

func findKopia(ctx context.Context, r process.Runner, path string) ([]Program, []string, error) {
	version, err := says(ctx, r, path, "--version")
	if err != nil {
		return nil, nil, err
	}
	return []Program{{
		Name: "kopia", Kind: Peer, Version: firstLine(version),
		Settings: []string{
			"kopia repository create filesystem (AES-256-GCM with HMAC-SHA-256, BLAKE2B-256-128 ids)",
			"kopia policy set --global --compression zstd-fastest; snapshot create; restore; snapshot verify --verify-files-percent 100",
			"no automatic maintenance while it is measured",
		},
		Plan: func(p Place) Plan { return kopiaPlan(path, p) },
	}}, nil, nil
}

func kopiaPlan(path string, p Place) Plan {
	env := []string{
		"KOPIA_PASSWORD=loadtest", "KOPIA_CONFIG_PATH=" + p.State + "/kopia.config",
		"KOPIA_CACHE_DIRECTORY=" + p.State + "/cache", "KOPIA_LOG_DIR=" + p.State + "/log", "KOPIA_CHECK_FOR_UPDATES=false",
	}
	run := func(args ...string) process.Command {
		return command(p, env, append([]string{path, "--no-progress", "--no-auto-maintenance"}, args...)...)
	}
	return Plan{
		Prepare: []process.Command{
			{Args: []string{"mkdir", "-p", p.Repository}},
			run("repository", "create", "filesystem", "--path", p.Repository),
			run("policy", "set", "--global", "--compression", "zstd-fastest"),
		},
		Backup: func(int) process.Command { return run("snapshot", "create", p.Tree) },
		Again:  true,
		Check:  run("snapshot", "verify", "--verify-files-percent", "100"),
		Restore: func() process.Command {
			return run("snapshot", "restore", p.Tree, p.Restored, "--snapshot-time", "latest")
		},
		Root: p.Restored,
	}
}
