package postgres

import (
	"context"
	"fmt"
	"syscall"

	"mahavishnu/fault"
)

// Fence makes sure that the server takes no more writes and acknowledges none: every
// process of it is ended (see the package's description), and it will start as a standby only.
// Fencing what is down already is fine. On an error the server may still be writable,
// unless the error comes from putting standby.signal into place; see [ErrAlive].
func (s *Server) Fence(ctx context.Context) error {
	// The processes first: the disk that standby.signal is written to may be what hangs.
	if err := s.kill(ctx); err != nil {
		return err
	}
	if !s.has("PG_VERSION") {
		return nil // no data directory yet
	}
	return s.guard()
}

// Stop shuts the server down in an orderly way: clients are disconnected, standbys that are
// connected receive everything, and a last checkpoint is written, whose position is returned. A
// standby that has this position has everything. A server that is down is left alone.
func (s *Server) Stop(ctx context.Context) (LSN, error) {
	all, err := s.processes()
	if err != nil {
		return 0, fault.New("stop PostgreSQL in", s.o.DataDir, err, "")
	}
	if master, ok := s.postmaster(all); ok {
		if err := s.guard(); err != nil {
			return 0, err
		}
		if err := s.signal(master, syscall.SIGINT); err != nil {
			return 0, fault.New("stop PostgreSQL in", s.o.DataDir, err, "run the keeper as root or as the owner of the data directory")
		}
		for {
			all, err := s.processes()
			if err != nil {
				return 0, fault.New("stop PostgreSQL in", s.o.DataDir, err, "")
			}
			if len(all) == 0 {
				break
			}
			if err := s.clock.Sleep(ctx, pollState); err != nil {
				return 0, fault.New("stop PostgreSQL in", s.o.DataDir, fmt.Errorf("it still shuts down: %w", err), "fence it instead, which is an immediate stop")
			}
		}
	}
	c, err := s.Control(ctx)
	if err != nil {
		return 0, err
	}
	if !c.Clean() {
		return 0, fault.New("stop PostgreSQL in", s.o.DataDir, fmt.Errorf("it is down and was not shut down cleanly (%s)", c.State), "its standbys may lack what it acknowledged last")
	}
	if c.Standby() {
		return c.RecoveryEnd, nil
	}
	return c.Checkpoint, nil
}
