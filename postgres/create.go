package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"mahavishnu/durable"
	"mahavishnu/fault"
)

// Create makes a standby of another server in an absent or empty data directory, and
// starts it. The copy is made beside the data directory and takes its place when it is
// whole. Tablespaces are put where the primary has them; their places must be empty.
func (s *Server) Create(ctx context.Context, from Peer) error {
	entries, err := os.ReadDir(s.o.DataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.New("make a standby in", s.o.DataDir, err, "")
	}
	if len(entries) > 0 {
		return fault.New("make a standby in", s.o.DataDir, ErrOccupied, "rejoin it, which keeps what is there")
	}
	primary, err := s.connect(ctx, from.Host, from.Port)
	if err != nil {
		return err
	}
	defer s.hangUp(ctx, primary)
	return s.copyFrom(ctx, primary, from)
}

// copyFrom makes the data directory a copy of the primary's and starts it.
func (s *Server) copyFrom(ctx context.Context, primary *pgx.Conn, from Peer) error {
	if err := s.reserve(ctx, primary); err != nil {
		return err
	}
	fresh := s.o.DataDir + ".new"
	// What an attempt that was cut off left.
	if err := os.RemoveAll(fresh); err != nil {
		return fault.New("make a standby in", s.o.DataDir, err, "")
	}
	if _, err := s.run(ctx, "pg_basebackup", "-D", fresh, "-d", s.copying(from), "-X", "stream", "-S", slot(s.o.Name),
		"-c", "fast", "-R", "--no-password"); err != nil {
		return fault.New("copy "+from.String()+" to", s.o.DataDir, err, "see Replication's login, pg_hba.conf and the password file")
	}
	if err := os.Remove(s.o.DataDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.New("make a standby in", s.o.DataDir, err, "the data directory must not be a mount point; use a directory in it")
	}
	if err := os.Rename(fresh, s.o.DataDir); err != nil {
		return fault.New("make a standby in", s.o.DataDir, err, "the data directory must not be a mount point; use a directory in it")
	}
	if err := durable.SyncDir(filepath.Dir(s.o.DataDir)); err != nil {
		return fault.New("make a standby in", s.o.DataDir, err, "")
	}
	if err := s.follow(from); err != nil {
		return err
	}
	return s.Start(ctx)
}

// follow makes the data directory one of a standby of a peer, which a start heeds.
func (s *Server) follow(from Peer) error {
	if err := s.guard(); err != nil {
		return err
	}
	return s.configure(setting{"primary_conninfo", s.streaming(from)}, setting{"primary_slot_name", slot(s.o.Name)},
		// As a primary it would wait for itself.
		setting{"synchronous_standby_names", ""})
}

// reserve makes this member's slot on the primary, so that it keeps the log for it.
func (s *Server) reserve(ctx context.Context, primary *pgx.Conn) error {
	_, err := primary.Exec(ctx, `SELECT pg_create_physical_replication_slot($1::name, true)
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1::name)`, slot(s.o.Name))
	if err != nil {
		return fault.New("reserve the log for", s.o.Name, err, "is max_replication_slots used up?")
	}
	return nil
}

// dropSlots drops the slots that this member kept for its standbys while it was a primary. As
// a standby it would keep the log for them for ever. What is in use or not ours stays.
func (s *Server) dropSlots(ctx context.Context) error {
	conn, err := s.local(ctx)
	if err != nil {
		return err
	}
	defer s.hangUp(ctx, conn)
	_, err = conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
		WHERE slot_type = 'physical' AND NOT active AND slot_name LIKE $1`, `mahavishnu\_%`)
	if err != nil {
		return fault.New("drop the slots of", s.o.Name, err, "")
	}
	return nil
}

// aside moves the data directory out of the way, or deletes it when that is wanted, and
// returns where it is now. The name says when, in seconds since 1970.
func (s *Server) aside() (string, error) {
	if s.o.Discard {
		if err := os.RemoveAll(s.o.DataDir); err != nil {
			return "", fault.New("delete", s.o.DataDir, err, "")
		}
		return "", nil
	}
	to := fmt.Sprintf("%s.aside-%d", s.o.DataDir, s.clock.Now().Unix())
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s.aside-%d-%d", s.o.DataDir, s.clock.Now().Unix(), i)
	}
	if err := os.Rename(s.o.DataDir, to); err != nil {
		return "", fault.New("move aside", s.o.DataDir, err, "the data directory must not be a mount point; use a directory in it")
	}
	return to, durable.SyncDir(filepath.Dir(s.o.DataDir))
}
