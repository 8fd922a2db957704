package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"mahavishnu/fault"
)

// Ways to make a standby of a data directory.
const (
	// Following: it was one already, and streams.
	Following = "following"
	// Followed: its history is a part of the primary's.
	Followed = "followed"
	// Rewound: it went on alone, and what it wrote then was undone by pg_rewind.
	Rewound = "rewound"
	// Copied: the primary was copied anew.
	Copied = "copied"
)

// Rejoined is what Rejoin did.
type Rejoined struct {
	// Way is Following, Followed, Rewound or Copied.
	Way string
	// Reason says why it was not less.
	Reason string
	// Aside is where the old data directory is, if it was moved.
	Aside string
}

func (r Rejoined) String() string {
	text := r.Way
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	if r.Aside != "" {
		text += "; what was there is in " + r.Aside
	}
	return text
}

// rewindMark names the file that is beside the data directory while pg_rewind works, which
// leaves nothing usable when it is cut off. In the directory pg_rewind would remove it.
func (s *Server) rewindMark() string { return s.o.DataDir + ".rewinding" }

func (s *Server) halfRewound() bool {
	_, err := os.Lstat(s.rewindMark())
	return err == nil
}

// errNothingToRewind: pg_rewind sees no difference where there is one, in records that change no page.
var errNothingToRewind = errors.New("pg_rewind sees no difference")

// Rejoin makes this member a standby of a primary and returns when it streams from it. What
// this server wrote after the histories parted is undone (and was never
// acknowledged, if the primary was promoted under the rules of the keeper). A server that takes writes is refused
// with [ErrPrimary], a primary of another cluster with [ErrForeign].
func (s *Server) Rejoin(ctx context.Context, to Peer) (Rejoined, error) {
	done, err := s.rejoin(ctx, to)
	if err != nil {
		return done, fault.New("rejoin", s.o.Name+" to "+to.String(), err, "")
	}
	return done, nil
}

func (s *Server) rejoin(ctx context.Context, to Peer) (Rejoined, error) {
	h, err := s.Health(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return Rejoined{}, err
	case err != nil: // it hangs
		if err := s.kill(ctx); err != nil {
			return Rejoined{}, err
		}
	case h.Writable:
		return Rejoined{}, fault.New("make a standby of", s.o.Name, ErrPrimary, "demote or fence it first")
	}
	primary, err := s.connect(ctx, to.Host, to.Port)
	if err != nil {
		return Rejoined{}, err
	}
	defer s.hangUp(ctx, primary)
	past, err := readAncestry(ctx, primary)
	if err != nil {
		return Rejoined{}, fault.New("read the history of", to.String(), err, "")
	}
	if err := s.reserve(ctx, primary); err != nil {
		return Rejoined{}, err
	}
	switch {
	case !s.has("PG_VERSION"):
		return s.anew(ctx, primary, to, "there was no data directory")
	case s.halfRewound():
		return s.anew(ctx, primary, to, "a rewind was cut off in the data directory")
	}
	if err := s.related(ctx, primary); err != nil {
		return Rejoined{}, err
	}
	if h.Streaming {
		if ok, err := s.streamsFrom(ctx, to); err == nil && ok {
			return s.redirect(ctx, to)
		}
	}
	return s.repair(ctx, primary, to, past)
}

// related returns ErrForeign when the primary is not of this server's cluster.
func (s *Server) related(ctx context.Context, primary *pgx.Conn) error {
	var theirs string
	if err := primary.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&theirs); err != nil {
		return err
	}
	ours, err := s.Control(ctx)
	if err != nil {
		return err
	}
	if ours.SystemID != theirs {
		return fault.New("compare", s.o.DataDir, ErrForeign, "if this data may go, move the directory away: a copy is made of the primary then")
	}
	return nil
}

// redirect confirms that a standby that streams from the primary goes on doing so.
func (s *Server) redirect(ctx context.Context, to Peer) (Rejoined, error) {
	if err := s.follow(to); err != nil {
		return Rejoined{}, err
	}
	if err := s.reload(); err != nil {
		return Rejoined{}, err
	}
	return Rejoined{Way: Following}, s.awaitStream(ctx, to)
}

// repair makes a standby of a data directory that is down, or will be.
func (s *Server) repair(ctx context.Context, primary *pgx.Conn, to Peer, past ancestry) (Rejoined, error) {
	timeline, end, rewindable, err := s.settle(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Rejoined{}, err
		}
		return s.anew(ctx, primary, to, "it cannot be brought to a clean end: "+err.Error())
	}
	done := Rejoined{Way: Followed}
	agree, at, err := s.agrees(ctx, primary, past, timeline, end)
	if err != nil {
		return Rejoined{}, err
	}
	if agree != "" {
		return s.anew(ctx, primary, to, agree)
	}
	if at < end {
		why := fmt.Sprintf("it went on alone from %s to %s on timeline %d", at, end, timeline)
		if !rewindable {
			return s.anew(ctx, primary, to, why+", and has neither data checksums nor wal_log_hints, which pg_rewind needs")
		}
		if err := s.rewind(ctx, primary, to); err != nil {
			if ctx.Err() != nil {
				return Rejoined{}, err
			}
			return s.anew(ctx, primary, to, why+", and "+err.Error())
		}
		done = Rejoined{Way: Rewound, Reason: why}
	}
	if err := s.follow(to); err != nil {
		return Rejoined{}, err
	}
	if err := s.Start(ctx); err != nil {
		return Rejoined{}, err
	}
	return done, errors.Join(s.dropSlots(ctx), s.awaitStream(ctx, to))
}

// settle brings a data directory to a clean end, whatever state it is in, and returns
// where its log ends then. A crashed primary replays its log as a standby that follows
// nobody, so that it is not writable for a moment.
func (s *Server) settle(ctx context.Context) (timeline uint32, end LSN, rewindable bool, err error) {
	c, err := s.Control(ctx)
	if err != nil {
		return 0, 0, false, err
	}
	alive, err := s.Alive()
	if err != nil {
		return 0, 0, false, err
	}
	if !alive && c.Clean() && !c.Standby() {
		// The last record of a clean shutdown begins at the checkpoint: what has this
		// byte has the whole record.
		return c.Timeline, c.Checkpoint + 1, c.Rewindable, nil
	}
	if err := s.configure(setting{"primary_conninfo", ""}, setting{"primary_slot_name", ""}); err != nil {
		return 0, 0, false, err
	}
	if alive {
		if err := s.reload(); err != nil {
			return 0, 0, false, err
		}
	}
	if err := s.Start(ctx); err != nil {
		return 0, 0, false, err
	}
	if end, err = s.awaitReplayed(ctx); err != nil {
		return 0, 0, false, err
	}
	if _, err := s.Stop(ctx); err != nil {
		return 0, 0, false, err
	}
	if c, err = s.Control(ctx); err != nil {
		return 0, 0, false, err
	}
	return max(c.Timeline, c.RecoveryTimeline), max(end, c.RecoveryEnd), c.Rewindable, nil
}

// awaitReplayed waits until a standby that follows nobody has replayed all it has, and
// returns how far that is.
func (s *Server) awaitReplayed(ctx context.Context) (LSN, error) {
	conn, err := s.local(ctx)
	if err != nil {
		return 0, err
	}
	defer s.hangUp(ctx, conn)
	for {
		var text string
		var waits bool
		err := conn.QueryRow(ctx, `SELECT COALESCE(pg_last_wal_replay_lsn(), '0/0')::text,
			EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event IN ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream'))
			AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)`).Scan(&text, &waits)
		if err != nil {
			return 0, err
		}
		if waits {
			return ParseLSN(text)
		}
		if err := s.clock.Sleep(ctx, pollState); err != nil {
			return 0, fmt.Errorf("it still replays its log: %w", err)
		}
	}
}

// rewind undoes what this server wrote after it left the primary's history.
func (s *Server) rewind(ctx context.Context, primary *pgx.Conn, to Peer) error {
	// pg_rewind learns the primary's timeline from its last checkpoint, which after a
	// promotion may be minutes away.
	if _, err := primary.Exec(ctx, `CHECKPOINT`); err != nil {
		return err
	}
	who, err := s.owner()
	if err != nil {
		return err
	}
	if err := putFile(s.rewindMark(), nil, who); err != nil {
		return err
	}
	said, err := s.run(ctx, "pg_rewind", "-D", s.o.DataDir, "--source-server", s.administering(to.Host, to.Port))
	if err != nil {
		return err
	}
	if strings.Contains(said, "no rewind required") {
		return errNothingToRewind
	}
	// It makes the directory like the primary's.
	if err := s.guard(); err != nil {
		return err
	}
	return os.Remove(s.rewindMark())
}

// anew moves what is there aside and copies the primary.
func (s *Server) anew(ctx context.Context, primary *pgx.Conn, to Peer, why string) (Rejoined, error) {
	if err := ctx.Err(); err != nil {
		return Rejoined{}, context.Cause(ctx)
	}
	if err := s.kill(ctx); err != nil {
		return Rejoined{}, err
	}
	done := Rejoined{Way: Copied, Reason: why}
	if s.has("PG_VERSION") {
		var err error
		if done.Aside, err = s.aside(); err != nil {
			return Rejoined{}, err
		}
	}
	if err := os.Remove(s.rewindMark()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Rejoined{}, err
	}
	if err := s.copyFrom(ctx, primary, to); err != nil {
		return done, err
	}
	return done, s.awaitStream(ctx, to)
}

// awaitStream waits until this standby receives what the primary writes.
func (s *Server) awaitStream(ctx context.Context, from Peer) error {
	for {
		var last string
		h, err := s.Health(ctx)
		switch {
		case err != nil:
			last = err.Error()
		case h.Streaming:
			ok, err := s.streamsFrom(ctx, from)
			if ok {
				return nil
			}
			if last = "it streams from another server"; err != nil {
				last = err.Error()
			}
		default:
			last = h.Detail
		}
		if err := s.clock.Sleep(ctx, pollState*5); err != nil {
			return fault.New("stream from", from.String(), fmt.Errorf("%w: %s: %s", err, last, s.lastWords()), "the standby's log is "+s.o.LogFile)
		}
	}
}

// streamsFrom tells whether the connection that a standby streams through is the one that was asked for.
func (s *Server) streamsFrom(ctx context.Context, from Peer) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ProbeTimeout)
	defer cancel()
	conn, err := s.local(ctx)
	if err != nil {
		return false, err
	}
	defer s.hangUp(ctx, conn)
	var host string
	var port int
	err = conn.QueryRow(ctx, `SELECT COALESCE(sender_host, ''), COALESCE(sender_port, 0) FROM pg_stat_wal_receiver`).Scan(&host, &port)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return host == from.Host && port == from.Port, err
}
