package peers

import (
	"context"
	"strings"

	"mahavishnu/loadtest/process"
)

// variant is this project's program with other settings than its defaults.
type variant struct {
	name   string
	config string   // added to the configuration file
	backup []string // flags of backup
	where  Where
	says   string
}

// parityOff is the configuration without parity.
const parityOff = "backup:\n  storage: {local: {parity: false}}\n"

// OwnName is the program with its defaults, which the aims are about.
const OwnName = "mahavishnu"

func ours(ctx context.Context, r process.Runner, path string) ([]Program, []string, error) {
	version, err := says(ctx, r, path, "version")
	if err != nil {
		return nil, nil, err
	}
	help, err := says(ctx, r, path, "backup", "--help")
	if err != nil {
		return nil, nil, err
	}
	settings, err := says(ctx, r, path, "config", "show", "--defaults")
	if err != nil {
		return nil, nil, err
	}
	variants := []variant{{name: OwnName, config: "{}\n", says: "the defaults: AES-256-GCM, zstd fastest, SHA-256 ids, one new blob of 64 decoded again at once, the snapshot's structure verified after each backup"}}
	var notes []string
	if strings.Contains(help, "--verify-inline") {
		variants = append(variants, variant{
			name: "mahavishnu, verifying inline", where: OneTree, config: "{}\n", backup: []string{"--verify-inline"},
			says: "every new blob decoded and compared before its pack is stored; else the defaults",
		})
	} else {
		notes = append(notes, "this mahavishnu cannot verify everything inline")
	}
	if strings.Contains(settings, "parity") {
		variants[0].says += ", parity on"
		variants = append(variants, variant{
			name: "mahavishnu, no parity", config: parityOff, says: "parity off; else the defaults",
		})
		// What is stored is compared like with like: restic compresses at zstd's
		// own default level, and no peer stores parity.
		variants = append(variants, variant{
			name: "mahavishnu, no parity, zstd 3", config: parityOff + "  compression: {algorithm: zstd, level: 3}\n", where: ManyVersions,
			says: "parity off, zstd at its default level, as restic has it; else the defaults",
		})
	}
	programs := make([]Program, len(variants))
	for i, v := range variants {
		programs[i] = Program{
			Name: v.name, Kind: Ours, Where: v.where, Version: firstLine(version),
			Settings: append([]string{"mahavishnu backup, restore latest, verify --read-data 100", v.says}, v.backup...),
			Plan:     func(p Place) Plan { return ownPlan(path, v, p) },
		}
	}
	return programs, notes, nil
}

func ownPlan(path string, v variant, p Place) Plan {
	key, config := p.State+"/key", p.State+"/mahavishnu.yaml"
	run := func(args ...string) process.Command {
		return command(p, nil, append([]string{path}, append(args, "--quiet", "--config", config, "--key", key,
			"--repository", p.Repository, "--cache-dir", p.State+"/cache")...)...)
	}
	return Plan{
		Files:   map[string]string{config: v.config},
		Prepare: []process.Command{run("key", "create")},
		Backup: func(int) process.Command {
			return run(append(append([]string{"backup"}, v.backup...), p.Tree, "--direct")...)
		},
		Again:   true,
		Check:   run("verify", "--read-data", "100"),
		Restore: func() process.Command { return run("restore", "latest", "--target", p.Restored) },
		Root:    p.Restored,
	}
}
