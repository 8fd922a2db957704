package peers

import (
	"context"
	"strings"

	"mahavishnu/loadtest/process"
)

// findRestic returns restic as it comes, and as fast as its version can be made.
func findRestic(ctx context.Context, r process.Runner, path string) ([]Program, []string, error) {
	version, err := says(ctx, r, path, "version")
	if err != nil {
		return nil, nil, err
	}
	help, err := says(ctx, r, path, "backup", "--help")
	if err != nil {
		return nil, nil, err
	}
	found := []Program{restic(path, version, "restic", nil, nil)}
	fast, lacks := having(help, "--no-scan", "--read-concurrency=4", "--no-extra-verify")
	var global []string
	if strings.Contains(help, "fastest") {
		global = []string{"--compression=fastest"}
	} else {
		lacks = append(lacks, "--compression=fastest")
	}
	var notes []string
	if len(lacks) > 0 {
		notes = append(notes, firstLine(version)+" does not have "+strings.Join(lacks, ", "))
	}
	if len(fast)+len(global) == 0 {
		return found, append(notes, "restic was not run with faster settings: this version has none"), nil
	}
	return append(found, restic(path, version, "restic fastest", global, fast)), notes, nil
}

func restic(path, version, name string, global, backup []string) Program {
	// --no-extra-verify is a global flag in the versions that have it, and is
	// taken by every command; it changes only those that store.
	flags := append(append([]string{}, global...), backup...)
	settings := []string{"restic init, backup, restore latest, check --read-data; its own AES-256-CTR with Poly1305; packs of 16 MiB"}
	if len(flags) > 0 {
		settings = append(settings, "backup "+strings.Join(flags, " "))
	} else {
		settings = append(settings, "no further flags: compression auto, which is zstd")
	}
	return Program{
		Name: name, Kind: Peer, Version: firstLine(version), Settings: settings,
		Plan: func(p Place) Plan {
			env := []string{"RESTIC_PASSWORD=loadtest", "RESTIC_REPOSITORY=" + p.Repository, "RESTIC_CACHE_DIR=" + p.State + "/cache"}
			run := func(args ...string) process.Command {
				return command(p, env, append([]string{path, "--quiet"}, args...)...)
			}
			return Plan{
				Prepare: []process.Command{run("init")},
				Backup:  func(int) process.Command { return run(append(append([]string{"backup"}, flags...), p.Tree)...) },
				Again:   true,
				Check:   run("check", "--read-data"),
				Restore: func() process.Command { return run("restore", "latest", "--target", p.Restored) },
				Root:    p.Restored + p.Tree,
			}
		},
	}
}
