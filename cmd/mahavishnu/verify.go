package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

type verifyOptions struct {
	source     string
	readData   float64
	oldest     config.Size
	fresh      bool
	scrub      bool
	acceptLoss string
	repair     bool
	acceptBack string
}

func newVerifyCommand(e *env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [SNAPSHOT]...",
		Short: "Check that what is stored is whole and would restore",
		Long: `Check the structure of the repository: every object is there and whole, every
tree can be walked, every piece of data is where the index says. With --read-data
also read that share of the data and compare every byte with what was stored;
100 reads everything.

What was read and found whole is noted in the repository. --oldest reads as many
bytes as it says of what was never verified, or has gone unverified for longest: a
run a day comes round to everything. --new reads what the backups of the named
snapshots stored, and checks nothing that they do not need, so it costs the same
however large the repository is. --scrub compares the checksum of every stored
object; it needs no key, so it can run beside the storage.

Blobs that turn out damaged are not reused: the next backup stores them again if
the source still has them. A snapshot that is gone although nobody forgot it is
named too, until --accept-loss says that it is not missed.

Every damaged object is named, with the snapshots and files that need it. It ends
with 4 when anything a restore needs is damaged. With --replica it is the copy in that
region that is checked, and its storage is asked of every object until when it is kept
from being deleted, where that is configured.

With --repair what is damaged is mended for good, as far as parity, second copies
and the copies in other regions reach, the repository's configuration included when both
objects of it are lost: it is written back as it was, byte for byte, made durable, and
compared. Parity that is missing or damaged is made again. What
somebody else deleted in a storage that keeps versions of it (S3 with lock=, Azure
with immutability=, Google Cloud Storage with versions) is brought back first: of
each object the newest version that is whole, so that what was overwritten before
comes back as well. It ends with 0 when everything that was found is mended, with 4
when something is left. Add --read-data 100 to find damage in data, too, and not
only in the structure.

A repository that is dispersed over several storages stores nothing while more of them
are rolled back to an older state than may be lost. When their newest state is nowhere,
--accept-rolled-back goes on without it: it takes what the storages have now for what
counts, after it has named what is lost, fetches that from copies in other regions as far
as they have it, and gives the rest up. Verify names it all before, and the TOKEN that
stands for exactly that. Let no backup run meanwhile.`,
		Example: `  mahavishnu verify
  mahavishnu verify --read-data 100
  mahavishnu verify latest:home --read-data 5
  mahavishnu verify --oldest 100GiB
  mahavishnu verify --scrub --repository /mnt/backups
  mahavishnu verify --repair --read-data 100
  mahavishnu verify --accept-rolled-back 4f2a91bc`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), e, args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.source, "source", "", "only snapshots of this `SOURCE`")
	flags.Float64Var(&o.readData, "read-data", 0, "also read this `PERCENT` of the data; another part each time")
	flags.TextVar(&o.oldest, "oldest", config.Size(0), "read this many bytes (`SIZE`) of what has gone unverified for longest")
	flags.BoolVar(&o.fresh, "new", false, "read what the backups of these snapshots stored, and check nothing else")
	flags.BoolVar(&o.scrub, "scrub", false, "compare stored checksums only; works without the key ring")
	flags.StringVar(&o.acceptLoss, "accept-loss", "", "stop missing the lost snapshot of this `ID`")
	flags.BoolVar(&o.repair, "repair", false, "mend what is damaged, and make parity that is missing")
	flags.StringVar(&o.acceptBack, "accept-rolled-back", "", "go on without what rolled back storages lost, for which `TOKEN` stands")
	return exits(cmd, exitIntegrity)
}

func (o verifyOptions) check(refs []string) error {
	const command = "mahavishnu verify"
	switch {
	case o.readData < 0 || o.readData > 100:
		return usagef(command, "--read-data is a percentage from 0 to 100, not %v", o.readData)
	case o.source != "" && len(refs) > 0:
		return usagef(command, "give snapshots or --source, not both")
	case o.oldest > 0 && o.readData > 0:
		return usagef(command, "give --oldest or --read-data, not both")
	case o.fresh && (len(refs) == 0 || o.readData > 0):
		return usagef(command, "--new reads what the backups of snapshots stored: name them, without --read-data, for example latest:SOURCE")
	case o.scrub && (len(refs) > 0 || o.source != "" || o.readData > 0 || o.oldest > 0 || o.fresh || o.repair || o.acceptLoss != ""):
		return usagef(command, "--scrub compares everything that is stored; it goes with no snapshot and no other flag")
	case o.acceptBack != "" && (len(refs) > 0 || o.source != "" || o.readData > 0 || o.oldest > 0 || o.fresh || o.repair || o.scrub || o.acceptLoss != ""):
		return usagef(command, "--accept-rolled-back goes alone: give it the token that verify names")
	case o.acceptLoss != "" && (len(refs) > 0 || o.repair || o.fresh):
		return usagef(command, "--accept-loss goes alone: give it the id that verify names")
	}
	return nil
}

func runVerify(ctx context.Context, e *env, refs []string, o verifyOptions) (err error) {
	if err := o.check(refs); err != nil {
		return err
	}
	switch {
	case o.scrub:
		return runScrub(ctx, e)
	case o.acceptBack != "":
		return runAcceptRolledBack(ctx, e, o.acceptBack)
	}
	if o.repair {
		if err := e.undelete(ctx); err != nil {
			return err
		}
		if err := e.recoverConfig(ctx); err != nil {
			return err
		}
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	if o.acceptLoss != "" {
		if err := repo.AcceptLoss(ctx, e.clock.Now(), o.acceptLoss); err != nil {
			return err
		}
		e.term.Printf("snapshot %s is not missed any more", o.acceptLoss)
		return nil
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	var shards error
	if all := len(refs) == 0 && o.source == ""; o.repair || all {
		if shards, err = e.checkShards(ctx, repo, o.readData >= 100 || o.repair && o.readData > 0, o.repair); err != nil {
			return err
		}
	}
	chosen, err := verifiable(ctx, repo.Repository, refs, o.source)
	if err != nil {
		return err
	}
	verify, mends := e.verify, mayMend(ctx, repo)
	if o.repair && mends {
		verify = e.repair
	}
	clean := "no problem found"
	if shards != nil {
		clean = "no problem of the objects themselves found"
	}
	if len(refs) == 0 && o.source == "" {
		if err := e.tellCopyProtection(ctx); err != nil {
			return err
		}
	}
	err = verify(ctx, repo.Repository, clean, snapshot.VerifyOptions{
		Snapshots: chosen, ReadData: o.readData, Seed: uint64(e.clock.Now().UnixNano()),
		Oldest: int64(o.oldest), New: o.fresh, MaxAge: cfg.Backup.Validation.MaxUnverifiedAge.Std(),
	})
	switch {
	case err == nil:
	case shards != nil && !mends:
		err = unadvised{err}
	case e.Replica != "" && errors.Is(err, repository.ErrDamaged):
		err = fault.WithHint(unadvised{err}, "what the copy lacks, or has damaged, comes from its primary again: mahavishnu replicate "+e.Replica)
	}
	return errors.Join(shards, err)
}

// verifiable returns the snapshots to verify; nil means all.
func verifiable(ctx context.Context, repo *repository.Repository, refs []string, source string) ([]repository.Snapshot, error) {
	if source != "" {
		// Damaged ones are found again, and told, by the check of objects.
		all, _, err := repo.Snapshots(ctx, source)
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("verify %s: %w", source, repository.ErrNoSnapshot)
		}
		return all, err
	}
	var chosen []repository.Snapshot
	for _, ref := range refs {
		s, err := repo.FindSnapshot(ctx, ref)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

// verify runs a verification and tells what it found; clean says that it is nothing.
func (e *env) verify(ctx context.Context, repo *repository.Repository, clean string, o snapshot.VerifyOptions) error {
	progress := e.term.Progress("verifying")
	o.Progress, o.Clock = adapter{progress}, e.clock
	o.OnProblem = func(p repository.Problem) {
		e.term.Detailf("found: %s %s: %v", p.Kind, p.Object, p.Err)
	}
	report, err := snapshot.Verify(ctx, repo, o)
	progress.Stop()
	if ctx.Err() != nil {
		e.term.Warnf("interrupted; until now %s of %s were read, %s found", terminal.Plural(report.PacksRead, "pack"),
			terminal.Count(report.Packs), terminal.Plural(report.ProblemsTotal, "problem"))
		return err
	}
	e.term.Event("verify", report)
	e.tellVerified(report)
	switch harmful := report.ProblemsTotal - report.HarmlessTotal; {
	case harmful == 0 && err == nil:
		e.term.Printf("%s", e.term.Mark(terminal.Good, clean))
	case harmful > 0:
		e.term.Printf("%s", e.term.Mark(terminal.Bad, terminal.Plural(harmful, "problem")+" found"))
	}
	e.tellCorrections(repo)
	return err
}

// tellVerified prints what a verification looked at and what is wrong.
func (e *env) tellVerified(report snapshot.VerifyReport) {
	e.tellProblems(report.Problems)
	if hidden := report.ProblemsTotal - len(report.Problems); hidden > 0 {
		e.term.Printf("and %s", terminal.Plural(hidden, "more problem"))
	}
	read := "no data was read; --read-data 100 reads all of it"
	if report.PacksRead > 0 {
		read = fmt.Sprintf("%s of %s read and compared, %s at %s", terminal.Count(report.PacksRead), terminal.Plural(report.Packs, "pack"),
			terminal.Bytes(report.BytesRead), terminal.Rate(report.BytesRead, report.Duration))
	}
	e.term.Sayf("%s, %s, %s; %s; took %s", terminal.Plural(report.Snapshots, "snapshot"), terminal.Plural(report.Entries, "entry"),
		terminal.Bytes(report.Bytes), read, terminal.Duration(report.Duration))
	if report.ColdPacks > 0 {
		e.term.Sayf("%s, %s, in an archive class of the storage were not read", terminal.Plural(report.ColdPacks, "pack"), terminal.Bytes(report.ColdBytes))
	}
	if at := report.Unprotected; at != nil {
		e.tellProtection(*at)
	}
	if c := report.Coverage; c != nil && c.Packs > 0 {
		e.term.Sayf("%s", waiting(*c))
	}
	if report.NotRecorded != "" {
		e.term.Warnf("what was verified is not noted in the repository: %s", report.NotRecorded)
	}
}

// waiting says how long stored bytes have gone unverified.
func waiting(c repository.Coverage) string {
	text := "no stored byte has gone unverified for more than " + terminal.Duration(seconds(c.Oldest))
	if c.NeverBytes > 0 {
		text += fmt.Sprintf("; %s of %s were never verified", terminal.Bytes(c.NeverBytes), terminal.Bytes(c.Bytes))
	}
	return text
}

// overdue says what has gone unverified for longer than promised, or "".
func overdue(c repository.Coverage) string {
	if c.OverdueBytes == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s have gone unverified for more than %s, the longest for %s; verify them: mahavishnu verify --oldest %s",
		terminal.Bytes(c.OverdueBytes), terminal.Bytes(c.Bytes), terminal.Duration(seconds(c.MaxAge)), terminal.Duration(seconds(c.Oldest)),
		config.Size((c.OverdueBytes+1<<30-1)>>30<<30))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// shownText is a path that was made printable already.
func shownText(path string) string {
	if path == "" {
		return "."
	}
	return path
}
