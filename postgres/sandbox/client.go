package sandbox

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"mahavishnu/clock"
)

// Client reaches a server as users of it do.
type Client struct {
	// Dial connects. It is asked anew for every connection: where the server is may
	// have changed.
	Dial func(ctx context.Context) (net.Conn, error)
	// ConnectTimeout bounds dialling and the beginning of a session, WriteTimeout the
	// time until a write is acknowledged; after either, the connection is given up.
	ConnectTimeout, WriteTimeout time.Duration
	// Pause is what is waited after each write, and after a connection that failed.
	Pause time.Duration
	// Clock is nil outside tests.
	Clock clock.Clock
}

// readOnly is the code with which a server that is no primary refuses writes.
const readOnly = "25006"

// session is a connection with a deadline that does not depend on the server.
type session struct {
	*pgx.Conn
	raw   net.Conn
	clock clock.Clock
}

// open begins a session.
func (c Client) open(ctx context.Context) (*session, error) {
	config, err := pgx.ParseConfig("host=server user=postgres dbname=postgres sslmode=disable")
	if err != nil {
		return nil, err
	}
	s := &session{clock: clock.Or(c.Clock)}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"server"}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if s.raw != nil {
			return nil, errors.New("it is not dialled twice") // to cancel a query that nobody waits for
		}
		var err error
		s.raw, err = c.Dial(ctx)
		return s.raw, err
	}
	if s.Conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		s.hangUp()
		return nil, err
	}
	return s, nil
}

// do runs a statement, and fails when it is not acknowledged in time.
func (s *session) do(ctx context.Context, timeout time.Duration, sql string, args ...any) error {
	if err := s.raw.SetDeadline(s.clock.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := s.Exec(ctx, sql, args...)
	return err
}

// hangUp ends the session without a word: the other side may be frozen.
func (s *session) hangUp() {
	if s.raw != nil {
		_ = s.raw.Close() // it may be broken already
	}
	if s.Conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // of a connection that is closed
	}
}

// Setup makes the tables that Write and AwaitWritable write to.
func (c Client) Setup(ctx context.Context) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.hangUp()
	return s.do(ctx, c.WriteTimeout, "CREATE TABLE IF NOT EXISTS rows (n bigint PRIMARY KEY); CREATE TABLE IF NOT EXISTS signs (n int)")
}

// Write writes numbered rows through one connection, made anew whenever it breaks,
// until ctx ends. Next numbers the rows, acked hears of those that were acknowledged,
// by which data directory, and broken of what went wrong.
func (c Client) Write(ctx context.Context, next func() int64, acked func(row int64, dataDir string), broken func(error)) {
	for ctx.Err() == nil {
		if err := c.writeOn(ctx, next, acked); err != nil && ctx.Err() == nil {
			broken(err)
		}
		if clock.Or(c.Clock).Sleep(ctx, c.Pause) != nil {
			return
		}
	}
}

func (c Client) writeOn(ctx context.Context, next func() int64, acked func(int64, string)) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.hangUp()
	if err := s.raw.SetDeadline(s.clock.Now().Add(c.ConnectTimeout)); err != nil {
		return err
	}
	var dir string
	if err := s.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return err
	}
	for {
		row := next()
		if err := s.do(ctx, c.WriteTimeout, "INSERT INTO rows VALUES ($1)", row); err != nil {
			return err
		}
		acked(row, dir)
		if err := s.clock.Sleep(ctx, c.Pause); err != nil {
			return err
		}
	}
}

// AwaitWritable tries to write again and again, without a pause that counts, and
// returns when a write was acknowledged: the moment from which the server takes writes.
func (c Client) AwaitWritable(ctx context.Context) (time.Time, error) {
	const pause = 5 * time.Millisecond
	system := clock.Or(c.Clock)
	for {
		at, err := c.awaitOn(ctx, pause)
		if err == nil {
			return at, nil
		}
		if err := system.Sleep(ctx, pause); err != nil {
			return time.Time{}, err
		}
	}
}

func (c Client) awaitOn(ctx context.Context, pause time.Duration) (time.Time, error) {
	s, err := c.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer s.hangUp()
	for {
		err := s.do(ctx, c.WriteTimeout, "INSERT INTO signs VALUES (1)")
		var refused *pgconn.PgError
		if err == nil || !errors.As(err, &refused) || refused.Code != readOnly {
			return s.clock.Now(), err
		}
		if err := s.clock.Sleep(ctx, pause); err != nil {
			return time.Time{}, err
		}
	}
}

// Missing returns which of these rows a server does not have.
func (c Client) Missing(ctx context.Context, rows []int64) ([]int64, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.hangUp()
	if err := s.raw.SetDeadline(s.clock.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	found, err := s.Query(ctx, "SELECT r FROM unnest($1::bigint[]) r WHERE NOT EXISTS (SELECT FROM rows WHERE n = r) ORDER BY r", rows)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowTo[int64])
}
