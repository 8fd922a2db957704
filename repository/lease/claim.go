package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"

	"mahavishnu/storage"
)

// claimPrefix is where claims are.
const claimPrefix = "gc/claims/"

// Claim says that somebody may put snapshots under these names, if absent, now
// or much later. It comes before the look at what is there, so that whoever
// forgets a snapshot either is seen or sees the claim, and then leaves the name
// taken.
type Claim struct {
	s    *Store
	name string
}

// claimText is what a claim's object says.
type claimText struct {
	Names []string `json:"names"`
	// Session whose snapshot is put, if it is one's; its object is looked at
	// before.
	Session *ID `json:"session,omitempty"`
}

// Claim claims names for putting what is there already, in other bytes.
func (s *Store) Claim(ctx context.Context, names []string) (*Claim, error) {
	return s.claim(ctx, claimText{Names: names})
}

func (s *Store) claim(ctx context.Context, c claimText) (*Claim, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the program instead
	name := claimPrefix + hex.EncodeToString(id[:])
	if err := s.put(ctx, name, text, storage.PutOptions{Sync: true}); err != nil {
		return nil, err
	}
	return &Claim{s: s, name: name}, nil
}

// Release ends the claim: its holder will put nothing more.
func (c *Claim) Release(ctx context.Context) error { return c.s.be.Delete(ctx, c.name) }

// Claims are the names under which somebody may still put a snapshot.
type Claims struct {
	any   bool // something that cannot be read may claim any name
	names map[string]bool
}

// Has tells whether somebody may still put a snapshot of that name.
func (c Claims) Has(snapshot string) bool { return c.any || c.names[snapshot] }

// Claims returns the names that are claimed now: by a claim, or by the ticket of a
// session that has not said it is done.
func (s *Store) Claims(ctx context.Context) (Claims, error) {
	all := Claims{names: map[string]bool{}}
	records, err := s.records(ctx)
	if err != nil {
		return all, err
	}
	for _, r := range records {
		if !r.end || r.done {
			continue
		}
		t, err := s.readTicket(ctx, r.id.object()+endSuffix)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case errors.Is(err, errDamaged):
			all.any = true
		case err != nil:
			return all, err
		default:
			all.names[t.Snapshot] = true
		}
	}
	err = s.eachClaim(ctx, func(_ string, c claimText, err error) error {
		all.any = all.any || err != nil
		for _, name := range c.Names {
			all.names[name] = true
		}
		return nil
	})
	return all, err
}

// eachClaim reads all claims. A damaged one comes with an error.
func (s *Store) eachClaim(ctx context.Context, fn func(name string, c claimText, err error) error) error {
	var names []string
	err := s.be.List(ctx, claimPrefix, func(info storage.Info) error {
		names = append(names, info.Name)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := s.read(ctx, name, maxObject)
		var c claimText
		if err == nil {
			if jsonErr := json.Unmarshal(text, &c); jsonErr != nil {
				err = errors.Join(errDamaged, jsonErr)
			}
		}
		switch {
		case errors.Is(err, storage.ErrNotFound):
			continue
		case err != nil && !errors.Is(err, errDamaged):
			return err
		}
		if err := fn(name, c, err); err != nil {
			return err
		}
	}
	return nil
}

// dropClaims removes the claims of those who died, when they guard nothing any
// more: each name is taken for ever, or is free although nobody who saw the
// claim can have freed it.
func (s *Store) dropClaims(ctx context.Context, snaps Snapshots) error {
	return s.eachClaim(ctx, func(object string, c claimText, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a damaged claim guards every name, and stays
		}
		for _, name := range c.Names {
			there, err := snaps.Presence(ctx, name)
			if err != nil {
				return err
			}
			if there == Absent && c.Session != nil {
				_, err := s.be.Stat(ctx, c.Session.object())
				if err == nil {
					return nil // it may still be put
				}
				if !errors.Is(err, storage.ErrNotFound) {
					return err
				}
			}
			if there == Present {
				return nil
			}
		}
		return s.be.Delete(ctx, object)
	})
}
