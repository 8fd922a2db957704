package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/terminal"
)

func newKeyCommand(e *env) *cobra.Command {
	cmd := parent("key", "Make, rotate, show and drop the key that seals every backup",
		`The key ring is one small file that seals every backup. It lies outside the
storage, readable by its owner only. Without it nobody can read any backup: keep
a recovery copy on paper, in a safe.`,
		`  mahavishnu key create --key ~/mahavishnu.key
  mahavishnu key list
  mahavishnu key print | lpr`,
		newKeyCreateCommand(e), newKeyListCommand(e), newKeyRotateCommand(e), newKeyDropCommand(e), newKeyPrintCommand(e), newKeyRecoverCommand(e))
	return cmd
}

// ringInfo is what is shown of a key ring; it holds no secret.
type ringInfo struct {
	Path        string        `json:"path"`
	Fingerprint string        `json:"fingerprint"`
	Versions    []versionLine `json:"versions"`
	// Repository that was looked at, if one was.
	Repository string `json:"repository,omitempty"`
	Recovery   string `json:"recovery,omitempty"`
}

type versionLine struct {
	Number  uint32    `json:"number"`
	Created time.Time `json:"created"`
	// State is "current", "retired" or "dropped".
	State       string    `json:"state"`
	Current     bool      `json:"current"`
	Dropped     time.Time `json:"dropped,omitzero"`
	Fingerprint string    `json:"fingerprint"`
	// Use is what a repository holds that was sealed with it; nil when none was
	// looked at.
	Use *versionUse `json:"use,omitempty"`
}

type versionUse struct {
	Packs     int   `json:"packs"`
	PackBytes int64 `json:"pack_bytes"`
	Objects   int   `json:"objects"`
}

func describeRing(path string, ring *keyring.Ring) ringInfo {
	info := ringInfo{Path: path, Fingerprint: ring.Fingerprint()}
	for _, v := range ring.Versions() {
		line := versionLine{Number: v.Number, Created: v.Created, State: "retired", Current: v.Current, Dropped: v.Dropped, Fingerprint: v.Fingerprint}
		switch {
		case v.Current:
			line.State = "current"
		case !v.Dropped.IsZero():
			line.State = "dropped"
		}
		info.Versions = append(info.Versions, line)
	}
	return info
}

func (e *env) printRing(info ringInfo) {
	e.term.Printf("key ring %s\nfingerprint %s", info.Path, info.Fingerprint)
	columns := []string{"version>", "created", "fingerprint", "use"}
	if info.Repository != "" {
		columns = []string{"version>", "created", "fingerprint", "packs>", "bytes>", "other objects>", "use"}
	}
	table := terminal.NewTable(columns...)
	for _, v := range info.Versions {
		use := "opens what it sealed"
		switch v.State {
		case "current":
			use = "seals new backups"
		case "dropped":
			use = "dropped " + v.Dropped.Format(time.DateOnly) + ": opens nothing any more"
		}
		row := []string{terminal.Count(v.Number), terminal.Moment(v.Created), v.Fingerprint, use}
		if v.Use != nil {
			row = []string{row[0], row[1], row[2], terminal.Count(v.Use.Packs), terminal.Bytes(v.Use.PackBytes), terminal.Count(v.Use.Objects), use}
		}
		table.Row(row...)
	}
	e.term.Printf("%s", table)
}

const lossWarning = `
Without this file no backup can be read, by anyone. Keep a copy that survives
this machine:
  mahavishnu key print --key %[1]s     a recovery copy to print and lock away
Never keep it beside the backups.`

func newKeyCreateCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "create",
		Short: "Make a new key ring",
		Long: `Make a new key ring where --key or the configuration's encryption.key_path says.
An existing one is never overwritten.`,
		Example: "  mahavishnu key create\n  mahavishnu key create --key ~/mahavishnu.key",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runKeyCreate(e) },
	})
}

func runKeyCreate(e *env) error {
	path, err := e.keyPath()
	if err != nil {
		return err
	}
	ring, err := keyring.Create(path, e.clock.Now())
	if err != nil {
		return err
	}
	info := describeRing(path, ring)
	e.term.Document(info)
	e.term.Sayf("made key ring %s\nfingerprint %s", path, info.Fingerprint)
	e.term.Sayf(lossWarning, path)
	return nil
}

func newKeyRotateCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "rotate",
		Short: "Add a new version that seals from now on",
		Long: `Add a new version to the key ring. New backups are sealed with it; older ones
still open with the versions that sealed them, which stay in the ring. Recovery
copies made before do not hold the new version: print a new one.`,
		Example: "  mahavishnu key rotate\n  mahavishnu key print",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runKeyRotate(e) },
	})
}

func runKeyRotate(e *env) error {
	path, err := e.keyPath()
	if err != nil {
		return err
	}
	ring, err := keyring.Rotate(path, e.clock.Now())
	if err != nil {
		return err
	}
	info := describeRing(path, ring)
	e.term.Document(info)
	e.printRing(info)
	e.term.Warnf("recovery copies made before now lack version %d; make a new one: mahavishnu key print --key %s", ring.Current(), path)
	e.term.Sayf("what older versions sealed stays readable; to seal it anew: mahavishnu prune --reseal")
	return nil
}

func newKeyPrintCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "print",
		Short: "Print a recovery copy of the key, to keep on paper",
		Long: `Print the key ring as text that can be typed in again, each line with a check of
its own. Whoever reads it can read every backup: print it, lock it away, and
leave no file behind.`,
		Example: "  mahavishnu key print | lpr",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runKeyPrint(e) },
	})
}

func runKeyPrint(e *env) error {
	ring, path, err := e.ring()
	if err != nil {
		return err
	}
	info := describeRing(path, ring)
	info.Recovery = ring.RecoveryText()
	e.term.Document(info)
	e.term.Printf("%s", info.Recovery)
	return nil
}

type keyRecoverOptions struct {
	from string
}

func newKeyRecoverCommand(e *env) *cobra.Command {
	var o keyRecoverOptions
	cmd := &cobra.Command{
		Use:   "recover [FILE]",
		Short: "Make the key ring again from a recovery copy",
		Long: `Read the text that "key print" wrote, from a file or typed in and ended with
Ctrl-D, and write the key ring where --key or the configuration says. A line
that was mistyped is named.`,
		Example: "  mahavishnu key recover --key ~/mahavishnu.key\n  mahavishnu key recover typed-from-paper.txt",
		Args:    takes(0, 1, ""),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.from = args[0]
			}
			return runKeyRecover(e, o)
		},
	}
	return exits(cmd)
}

func runKeyRecover(e *env, o keyRecoverOptions) error {
	path, err := e.keyPath()
	if err != nil {
		return err
	}
	// A recovery copy is a few lines; a megabyte is something else.
	input := io.LimitReader(e.in, 1<<20)
	if o.from != "" && o.from != "-" {
		file, err := os.Open(o.from)
		if err != nil {
			return fault.New("open recovery copy", o.from, err, "")
		}
		defer file.Close()
		input = io.LimitReader(file, 1<<20)
	}
	text, err := io.ReadAll(input)
	if err != nil {
		return fault.New("read recovery copy", o.from, err, "")
	}
	ring, err := keyring.Recover(string(text))
	if err != nil {
		return err
	}
	if err := ring.WriteNew(path); err != nil {
		return err
	}
	info := describeRing(path, ring)
	e.term.Document(info)
	e.printRing(info)
	return nil
}
