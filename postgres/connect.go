package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"mahavishnu/fault"
)

// SQLSTATEs of a server that answers and does not serve.
const (
	cannotConnectNow   = "57P03"
	tooManyConnections = "53300"
)

// connect opens one connection as Admin. Commits wait for the local disk only, so that
// control does not hang while a synchronous standby is away.
func (s *Server) connect(ctx context.Context, host string, port int) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.administering(host, port))
	if err != nil {
		return nil, fault.New("connect to PostgreSQL at", fmt.Sprintf("%s:%d", host, port), err, "")
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "mahavishnu"
	config.RuntimeParams["synchronous_commit"] = "local"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fault.New("connect to PostgreSQL at", fmt.Sprintf("%s:%d", host, port), err, "see Admin's login, pg_hba.conf and the password file")
	}
	return conn, nil
}

// local opens a connection to this server.
func (s *Server) local(ctx context.Context) (*pgx.Conn, error) {
	return s.connect(ctx, s.o.Host, s.o.Port)
}

// hangUp closes a connection whose context may have ended. There is nothing to lose.
func (s *Server) hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.ProbeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}

// answered tells whether err is what a server said, and its code.
func answered(err error) (code string, ok bool) {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code, true
	}
	return "", false
}
