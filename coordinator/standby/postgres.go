package standby

import (
	"context"
	"sync"

	"mahavishnu/fault"
	"mahavishnu/postgres"
)

// Postgres is a PostgreSQL server on this machine.
type Postgres struct {
	server *postgres.Server
	epochs *Epochs

	mu sync.Mutex
	// secured is what is known of each standby since commits are to wait for it.
	secured map[string]sighting
	// rejoined says how the last rejoin went.
	rejoined string
}

// sighting is a standby that commits wait for.
type sighting struct {
	times int
	// floor is where the primary's log ended at the second look: every process of the
	// primary knows by then that it has to wait.
	floor postgres.LSN
}

// NewPostgres returns the driver of a PostgreSQL server. The highest epoch seen is in a file
// beside the data directory, with ".epoch" appended to its name.
func NewPostgres(o postgres.Options) (*Postgres, error) {
	server, err := postgres.NewServer(o)
	if err != nil {
		return nil, err
	}
	epochs, err := OpenEpochs(server.DataDir() + ".epoch")
	if err != nil {
		return nil, err
	}
	return &Postgres{server: server, epochs: epochs, secured: map[string]sighting{}}, nil
}

// Server returns the server that is controlled.
func (d *Postgres) Server() *postgres.Server { return d.server }

// Epoch returns the highest epoch seen.
func (d *Postgres) Epoch() uint64 { return d.epochs.Seen() }

// Health looks at the server.
func (d *Postgres) Health(ctx context.Context) (Health, error) {
	h, err := d.server.Health(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	detail := h.Detail
	if detail == "" && h.Role == postgres.RoleStandby {
		detail = d.rejoined
	}
	return Health{
		Running: h.Running, Role: Role(h.Role), Writable: h.Writable, Timeline: uint64(h.Timeline), Position: h.Position.String(),
		Streaming: h.Streaming, LagBytes: h.LagBytes, LagTime: h.LagTime, Detail: detail,
	}, err
}

// Fence ends the server at once. What is remembered of it comes after: the disk may hang.
func (d *Postgres) Fence(ctx context.Context, epoch uint64) error {
	if err := d.epochs.Check(epoch); err != nil {
		return d.refused("fence", err)
	}
	if err := d.server.Fence(ctx); err != nil {
		return err
	}
	return d.epochs.Accept(epoch)
}

// Promote makes the server writable. One that is already stays so.
func (d *Postgres) Promote(ctx context.Context, epoch uint64) error {
	if err := d.epochs.Accept(epoch); err != nil {
		return d.refused("promote", err)
	}
	if h, err := d.server.Health(ctx); err == nil && h.Writable {
		return nil
	}
	_, err := d.server.Promote(ctx)
	return err
}

// Demote shuts the server down in an orderly way.
func (d *Postgres) Demote(ctx context.Context, epoch uint64) error {
	if err := d.epochs.Accept(epoch); err != nil {
		return d.refused("demote", err)
	}
	_, err := d.server.Stop(ctx)
	return err
}

// Rejoin makes the server a standby of a primary, by following, rewinding or copying it.
func (d *Postgres) Rejoin(ctx context.Context, primary Peer, epoch uint64) error {
	if err := d.epochs.Accept(epoch); err != nil {
		return d.refused("rejoin", err)
	}
	done, err := d.server.Rejoin(ctx, postgres.Peer{Name: primary.Name, Host: primary.Host, Port: primary.Port})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rejoined = done.String()
	return nil
}

func (d *Postgres) refused(verb string, err error) error {
	return fault.New(verb, d.server.Name(), err, "whoever ordered it belongs to a tenure that is over")
}

// Start starts the server as a standby.
func (d *Postgres) Start(ctx context.Context) error { return d.server.Start(ctx) }

// Reached compares positions in the write-ahead log.
func (d *Postgres) Reached(position, floor string) (bool, error) {
	at, err := postgres.ParseLSN(position)
	if err != nil {
		return false, err
	}
	least, err := postgres.ParseLSN(floor)
	return err == nil && at >= least, err
}

// SetSynchronous names the members that commits wait for.
func (d *Postgres) SetSynchronous(_ context.Context, members []string) error {
	d.mu.Lock()
	d.secured = map[string]sighting{}
	d.mu.Unlock()
	return d.server.SetSynchronous(members...)
}

// Replicas tells who streams from this server. A standby counts as secured when commits
// were seen to wait for it twice, and it has all that was written up to the second time.
func (d *Postgres) Replicas(ctx context.Context) ([]Replica, error) {
	seen, own, err := d.server.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := map[string]sighting{}
	var all []Replica
	for _, r := range seen {
		replica := Replica{Name: r.Name, Streaming: r.Streaming && r.Flushed > 0}
		if r.Synchronous && replica.Streaming {
			s := d.secured[r.Name]
			if s.times++; s.times == 2 {
				s.floor = own
			}
			now[r.Name] = s
			replica.Secured = s.times > 2 && r.Flushed >= s.floor
		}
		all = append(all, replica)
	}
	d.secured = now
	return all, nil
}
