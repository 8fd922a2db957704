package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
)

// peerPatience is how long a backup waits for another region to say whether it was
// made the primary. One that does not answer may be what was lost.
const peerPatience = 5 * time.Second

// Peer is a copy of the repository that another region keeps.
type Peer struct {
	// Name is how --replica and the commands of replication take it.
	Name string
	URL  string
}

// peersOf are the copies of this node's region's repository.
func peersOf(cfg *config.Config) []Peer {
	var all []Peer
	for _, pair := range cfg.Backup.Replication.Regions {
		if pair.Primary != cfg.Node.Region || !cfg.Backup.Replication.Enabled {
			continue
		}
		if place, ok := cfg.ReplicaPlace(pair.Primary, pair.Secondary); ok {
			all = append(all, Peer{pair.String(), place.URL})
		}
	}
	return all
}

// stand finds out what the storage is to its repository. What is opened to be
// changed must be the primary; what is read and is none can only be read.
func (a Access) stand(ctx context.Context, be storage.Backend) (storage.Backend, error) {
	if a.Write {
		return be, a.mustBePrimary(ctx, be)
	}
	standing, err := replication.RoleOf(ctx, be)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if storage.Unanswered(err) {
		return nil, fault.New("open repository", be.Location(), fmt.Errorf("%w: %w", repository.ErrUnreachable, err), "")
	}
	if err == nil && standing.Role == replication.Primary {
		return be, nil
	}
	if err == nil {
		err = replication.ErrReplica
	}
	return protect(be, err), nil
}

// mustBePrimary fails when the storage is a replica, or one of its replicas was made
// the primary since.
func (a Access) mustBePrimary(ctx context.Context, be storage.Backend) (err error) {
	var others []storage.Backend
	defer func() { err = errors.Join(err, closeAll(others)) }()
	for _, peer := range a.Peers {
		other, err := a.Storage.Hasty(peerPatience).Open(ctx, peer.URL)
		if err != nil {
			continue // as good as one that does not answer
		}
		if answers(ctx, other) {
			others = append(others, other)
		} else if err := other.Close(); err != nil {
			return err
		}
	}
	return replication.CheckPrimary(ctx, be, others...)
}

// answers reports whether a storage tells its role within peerPatience.
func answers(ctx context.Context, be storage.Backend) bool {
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	_, err := replication.RoleOf(ctx, be)
	return err == nil
}

// protect returns a storage that is only read, but for what each place keeps for
// itself: who reads now, and what was verified there. Doubts about blobs are the
// primary's, and come with replication.
func protect(be storage.Backend, why error) storage.Backend {
	p := protected{be, why}
	if thaws, ok := be.(storage.Thawer); ok {
		return thawing{p, thaws}
	}
	return p
}

type protected struct {
	storage.Backend
	why error
}

// thawing is a protected storage whose objects may be in an archive.
type thawing struct {
	protected
	storage.Thawer
}

// Put refuses what would change the repository.
func (p protected) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if err := p.refuse("put", name); err != nil {
		return err
	}
	return p.Backend.Put(ctx, name, data, o)
}

// Delete refuses what would change the repository.
func (p protected) Delete(ctx context.Context, name string) error {
	if err := p.refuse("delete", name); err != nil {
		return err
	}
	return p.Backend.Delete(ctx, name)
}

func (p protected) refuse(op, name string) error {
	bare := strings.TrimPrefix(name, "copies/")
	for _, own := range []string{lease.Prefix, "ledger/", DoctorFolder} {
		if strings.HasPrefix(bare, own) && !strings.HasPrefix(bare, "ledger/bad-") {
			return nil
		}
	}
	return fault.New(op, name+" in "+p.Location(), errors.Join(storage.ErrReadOnly, p.why),
		"change the primary, which `mahavishnu replication status` names, and replication brings it here; if that is lost: `mahavishnu replication promote COPY`")
}
