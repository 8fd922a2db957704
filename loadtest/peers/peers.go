// Package peers knows how to run the programs that are compared: restic, borg
// and kopia, this project's own program with several settings, and two limits of
// the machine: cp -a, which neither reduces nor protects, and the bare pipeline,
// which does what any backup must do and nothing else.
//
// Each is given fair settings, and tells them in words: encryption on, zstd at
// its fastest where there is a choice, keys and caches in a place of their own.
package peers

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/loadtest/process"
)

// Kind says what a program is in a comparison.
type Kind string

// The kinds of programs.
const (
	// Ours is this project's program.
	Ours Kind = "ours"
	// Peer is a backup program that we compare with.
	Peer Kind = "peer"
	// Limit is no backup program: it shows what the machine can do.
	Limit Kind = "limit"
)

// Where says on what trees a program is compared.
type Where string

// Where programs are compared, if not everywhere.
const (
	// OneTree is for programs whose times are of interest, and not what they
	// store of versions.
	OneTree Where = "one tree"
	// ManyVersions is for those of which only that is of interest.
	ManyVersions Where = "many versions"
)

// Place is where a program works. All are absolute paths; none but Tree exists
// before.
type Place struct {
	Tree       string // is backed up
	Repository string
	Restored   string // the directory to restore into
	State      string // keys, caches, settings
}

// Plan is how a program does its work in a place.
type Plan struct {
	// Files to write first: path and content.
	Files map[string]string
	// Prepare runs next and is not measured.
	Prepare []process.Command
	// Backup makes the n-th snapshot, counted from 0.
	Backup func(n int) process.Command
	// Again is false when a second backup would do all the work again.
	Again bool
	// Check reads all data; without arguments: it cannot.
	Check process.Command
	// Restore brings the newest snapshot into Place.Restored; nil: it cannot.
	Restore func() process.Command
	// Root is the directory below Place.Restored where the tree comes out.
	Root string
}

// Program is one of those compared.
type Program struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	Version string `json:"version"`
	// Settings are all that differ from doing nothing: commands and variables.
	Settings []string `json:"settings"`
	// Where it is compared; "" is everywhere.
	Where Where `json:"where,omitempty"`
	// Plan returns how it works in a place.
	Plan func(Place) Plan `json:"-"`
}

// Names of the families of peers.
const (
	Restic = "restic"
	Borg   = "borg"
	Kopia  = "kopia"
)

// Families lists the peers that are known.
func Families() []string { return []string{Restic, Borg, Kopia} }

// Options say which programs are wanted.
type Options struct {
	// Families of peers; those that are not found are noted and left out.
	Families []string
	// Program is this project's binary, and Self the one with the bare pipeline.
	Program, Self string
	// Only, when not empty, keeps the programs with these names.
	Only []string
}

// Find returns the programs there are, and a note for each that is not, or not
// with every setting that was wanted.
func Find(ctx context.Context, r process.Runner, o Options) (programs []Program, notes []string, err error) {
	own, ownNotes, err := ours(ctx, r, o.Program)
	if err != nil {
		return nil, nil, err
	}
	notes = append(notes, ownNotes...)
	for _, family := range o.Families {
		find, ok := map[string]finder{Restic: findRestic, Borg: findBorg, Kopia: findKopia}[family]
		if !ok {
			return nil, nil, fault.New("find programs", family, errors.New("this peer is not known"), "choose of: "+strings.Join(Families(), ", "))
		}
		path := process.Find(family)
		if path == "" {
			notes = append(notes, family+" is not on PATH and was left out")
			continue
		}
		found, more, err := find(ctx, r, path)
		if err != nil {
			return nil, nil, err
		}
		programs = append(programs, found...)
		notes = append(notes, more...)
	}
	programs = append(programs, own...)
	if cp := process.Find("cp"); cp != "" {
		programs = append(programs, copier(cp))
	}
	programs = append(programs, bare(o.Self))
	if len(o.Only) > 0 {
		names := make([]string, len(programs))
		for i, p := range programs {
			names[i] = p.Name
		}
		for _, name := range o.Only {
			if !slices.Contains(names, name) {
				return nil, nil, fault.New("find programs", name, errors.New("there is no such program here"), "there are: "+strings.Join(names, ", "))
			}
		}
		programs = slices.DeleteFunc(programs, func(p Program) bool { return !slices.Contains(o.Only, p.Name) })
	}
	return programs, notes, nil
}

type finder func(ctx context.Context, r process.Runner, path string) ([]Program, []string, error)

// says runs a program and returns what it prints, for versions and helps.
func says(ctx context.Context, r process.Runner, args ...string) (string, error) {
	r.Self = ""
	_, out, err := r.Run(ctx, process.Command{Args: args})
	return strings.TrimSpace(string(out)), err
}

// firstLine is enough of a version.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// command joins arguments that all commands of a program have.
func command(place Place, env []string, args ...string) process.Command {
	return process.Command{Args: args, Env: env, Dir: place.State}
}

func copier(cp string) Program {
	return Program{
		Name: "cp -a", Kind: Limit, Where: OneTree, Version: "of this system",
		Settings: []string{"cp -a TREE REPOSITORY, and back; no compression, no encryption, no checksum"},
		Plan: func(p Place) Plan {
			return Plan{
				Prepare: []process.Command{{Args: []string{"mkdir", "-p", p.Repository}}},
				Backup:  func(int) process.Command { return command(p, nil, cp, "-a", p.Tree, p.Repository+"/copy") },
				Restore: func() process.Command { return command(p, nil, cp, "-a", p.Repository+"/copy", p.Restored) },
				Root:    p.Restored,
			}
		},
	}
}

func bare(self string) Program {
	return Program{
		Name: "bare pipeline", Kind: Limit, Where: OneTree, Version: "of this program",
		Settings: []string{"loadtest pipeline TREE REPOSITORY: read, SHA-256, zstd fastest, AES-256-GCM; chunks of 1 MiB, packs of 32 MiB written once, past the page cache where the file system can (O_DIRECT); as many goroutines as cores; no index, no metadata, nothing to restore from"},
		Plan: func(p Place) Plan {
			return Plan{Backup: func(int) process.Command { return command(p, nil, self, "pipeline", p.Tree, p.Repository) }}
		},
	}
}

// having returns those flags that a help text knows, and those it does not.
func having(help string, flags ...string) (has, lacks []string) {
	for _, flag := range flags {
		name, _, _ := strings.Cut(flag, "=")
		if strings.Contains(help, name+" ") || strings.Contains(help, name+"\n") || strings.Contains(help, name+"=") || strings.Contains(help, name+",") {
			has = append(has, flag)
		} else {
			lacks = append(lacks, flag)
		}
	}
	return has, lacks
}
