package postgres

import (
	"context"
	"fmt"

	"mahavishnu/fault"
)

// Promotion is what became of a standby.
type Promotion struct {
	// Timeline is the new history.
	Timeline uint32
	// Position is up to where it had the log when it took its first write.
	Position LSN
}

// Promote makes a standby writable and returns when it is. All that it has received
// is replayed first, however long that takes. One that is down is started. What is not a standby is refused
// with [ErrNotStandby]. When ctx ends the promotion may still happen: fence to be sure.
func (s *Server) Promote(ctx context.Context) (Promotion, error) {
	if err := s.Start(ctx); err != nil {
		return Promotion{}, err
	}
	conn, err := s.local(ctx)
	if err != nil {
		return Promotion{}, err
	}
	defer s.hangUp(ctx, conn)
	var recovering bool
	if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering); err != nil {
		return Promotion{}, s.promoteError(err)
	}
	if !recovering {
		return Promotion{}, fault.New("promote", s.o.Name, ErrNotStandby, "fence it and let it rejoin")
	}
	if _, err := conn.Exec(ctx, `SELECT pg_promote(false)`); err != nil {
		return Promotion{}, s.promoteError(err)
	}
	for recovering {
		if err := s.clock.Sleep(ctx, pollState); err != nil {
			return Promotion{}, s.promoteError(fmt.Errorf("it still replays: %w", err))
		}
		if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering); err != nil {
			return Promotion{}, s.promoteError(err)
		}
	}
	// The promotion has taken the file away.
	if err := s.guard(); err != nil {
		return Promotion{}, err
	}
	h, _, err := look(ctx, conn)
	if err != nil {
		return Promotion{}, s.promoteError(err)
	}
	return Promotion{Timeline: h.Timeline, Position: h.Position}, nil
}

func (s *Server) promoteError(err error) error {
	return fault.New("promote", s.o.Name, err, "the server's log is "+s.o.LogFile)
}
