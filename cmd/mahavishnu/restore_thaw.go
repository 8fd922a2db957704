package main

import (
	"github.com/spf13/pflag"

	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// thawOptions say how a restore brings back what is in an archive class of the
// storage.
type thawOptions struct {
	wanted bool
	days   int
	speed  string
}

func (o *thawOptions) add(flags *pflag.FlagSet) {
	flags.BoolVar(&o.wanted, "thaw", false, "bring back first what is in an archive class of the storage, and wait for it; it may take hours")
	flags.IntVar(&o.days, "thaw-days", 7, "with --thaw: for how many `DAYS` it stays readable")
	flags.StringVar(&o.speed, "thaw-speed", "", "with --thaw: bulk, standard or expedited, as far as the storage knows them (default: the storage's usual one)")
}

func (o *thawOptions) check(command string, staging bool) error {
	switch {
	case o.wanted && staging:
		return usagef(command, "--thaw waits for hours, which no job does: restore here, without --staging")
	case !o.wanted && (o.days != 7 || o.speed != ""):
		return usagef(command, "--thaw-days and --thaw-speed say how to --thaw: give that too")
	case o.days < 1 || o.days > 365:
		return usagef(command, "--thaw-days must be from 1 to 365, not %d", o.days)
	case o.speed == "":
		return nil
	}
	return oneOf(command, "--thaw-speed", o.speed, "bulk", "standard", "expedited")
}

// thaw returns how to bring back what is archived; nil when that is not wanted.
func (e *env) thaw(o restoreOptions) *snapshot.ThawOptions {
	if !o.thaw.wanted || o.dryRun {
		return nil
	}
	told := snapshot.ThawState{Waiting: -1}
	return &snapshot.ThawOptions{Days: o.thaw.days, Speed: o.thaw.speed, OnState: func(s snapshot.ThawState) {
		e.term.Event("thaw", s)
		if s.Waiting == told.Waiting {
			return // nothing new
		}
		first := told.Waiting < 0
		told = s
		packs := s.Ready + s.Waiting
		switch {
		case s.Waiting == 0 && first:
			e.term.Detailf("nothing that is needed has to be thawed")
		case s.Waiting == 0:
			e.term.Sayf("all of %s can be read now, after %s to thaw it", terminal.Bytes(s.Bytes), terminal.Plural(s.Requests, "request"))
		default:
			e.term.Sayf("thawing: %d of %s, %s in all, can be read; %s made; the rest may take up to %s. Interrupted, the same command goes on",
				s.Ready, terminal.Plural(packs, "pack"), terminal.Bytes(s.Bytes), terminal.Plural(s.Requests, "request"), terminal.Duration(s.Expected))
		}
	}}
}
