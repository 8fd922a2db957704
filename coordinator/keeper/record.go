package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
)

// Record is what all members of a service must agree on, and is changed by compare-and-set only:
// who was the last primary, and who else has everything that it acknowledged.
type Record struct {
	// Primary claimed the service with its tenure's Epoch.
	Primary string `json:"primary"`
	Epoch   uint64 `json:"epoch"`
	// Members have all that was acknowledged: no write is, that one of them lacks. A name is
	// added after the primary waits for it, and taken out before it no longer does.
	Members []string `json:"members,omitempty"`
}

// DecodeRecord reads a record.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, err
	}
	if r.Primary == "" || r.Epoch == 0 {
		return Record{}, errors.New("it names no primary or no epoch")
	}
	return r, nil
}

// claimPause is how long a claim waits before it looks again.
const claimPause = 20 * time.Millisecond

// known is a record as it was last read or written.
type known struct {
	Record
	revision uint64 // 0: there is none
}

func (k *Keeper) load(ctx context.Context) (known, error) {
	data, revision, err := k.o.Records.Load(ctx, k.o.key())
	if err != nil || revision == 0 || data == nil {
		return known{}, err
	}
	r, err := DecodeRecord(data)
	if err != nil {
		return known{}, fault.New("read the record of", k.o.Service, err, "")
	}
	return known{r, revision}, nil
}

func (k *Keeper) save(ctx context.Context, r Record, revision uint64) (known, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return known{}, err
	}
	revision, err = k.o.Records.Save(ctx, k.o.key(), data, revision)
	return known{r, revision}, err
}

// entitled tells whether the record lets this member be the primary. c is nil when nobody
// told it to. Only the write that follows decides; see claim.
func (k *Keeper) entitled(r known, c *Command) error {
	last := r.revision == 0 || r.Primary == k.o.Member
	switch {
	case last:
		return nil
	case c == nil:
		return fmt.Errorf("%w: %s was the last primary, since epoch %d", ErrDeposed, r.Primary, r.Epoch)
	case c.Force || k.o.Mode == Asynchronous || slices.Contains(r.Members, k.o.Member):
		return nil
	case len(r.Members) == 0:
		return fault.WithHint(fmt.Errorf("%w: %s went on without waiting for anybody", ErrBehind, r.Primary),
			"bring "+r.Primary+" back, or force the promotion and lose what only "+r.Primary+" has")
	}
	return fault.WithHint(fmt.Errorf("%w: writes waited for %v", ErrBehind, r.Members), "promote one of them, or force the promotion")
}

// claim enters this member as the primary of a tenure. It writes in place of the very record that
// entitles it: had the old primary stopped waiting for this member meanwhile, or somebody
// else claimed the service, it fails.
func (k *Keeper) claim(ctx context.Context, epoch uint64, c *Command) (known, error) {
	for {
		r, err := k.load(ctx)
		if err != nil {
			return known{}, err
		}
		if r.Primary == k.o.Member && r.Epoch == epoch {
			return r, nil // written, and never heard so
		}
		if err := k.entitled(r, c); err != nil {
			return known{}, err
		}
		if r.Epoch >= epoch {
			return known{}, fault.WithHint(fmt.Errorf("%w: the lease has epoch %d and the record %d", ErrStale, epoch, r.Epoch),
				"the servers lost a part of what they stored: write leases until their epoch is higher")
		}
		claimed, err := k.save(ctx, Record{Primary: k.o.Member, Epoch: epoch}, r.revision)
		if !errors.Is(err, ErrDeposed) {
			return claimed, err
		}
		// A change between the two calls, or a read that was old: look again.
		if err := k.o.Clock.Sleep(ctx, claimPause); err != nil {
			return known{}, err
		}
	}
}
