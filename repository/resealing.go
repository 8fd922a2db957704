package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// resealingName is an object that says that somebody has begun to seal anew all
// that older versions of the key had sealed. It goes when that is done, so that a
// run which takes the place of one that died knows what to go on with. Nothing rests
// on it.
const resealingName = "gc/resealing"

// Resealing is a sealing anew that was begun and not finished.
type Resealing struct {
	// Host it was begun on, and when. Both are empty when the note of it is
	// damaged.
	Host    string    `json:"host,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// String says when and where it was begun.
func (r Resealing) String() string {
	if r.Started.IsZero() {
		return "begun some time ago"
	}
	return fmt.Sprintf("begun on %s at %s", r.Host, r.Started.Format("2006-01-02 15:04:05 MST"))
}

// Resealing tells what sealing anew was begun and not finished; nil is none.
func (r *Repository) Resealing(ctx context.Context) (*Resealing, error) {
	data, err := storage.ReadAll(ctx, r.be, resealingName, maxKeepSize, nil)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil //nolint:nilnil // nothing is an answer
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && !isDamage(err):
		return nil, err
	}
	found := &Resealing{}
	if text, openErr := r.keys.Open(seal.TypeGC, resealingName, data); err != nil || openErr != nil || json.Unmarshal(text, found) != nil {
		return &Resealing{}, nil //nolint:nilerr // that it is there says enough
	}
	return found, nil
}

// BeginReseal notes that all is to be sealed anew that older versions of the key
// have sealed. EndReseal takes the note back.
func (c *Collector) BeginReseal(ctx context.Context) error {
	host, _ := os.Hostname() // for people only
	text, err := json.Marshal(Resealing{Host: host, Started: c.o.Clock.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	sealed, err := c.r.keys.Seal(seal.TypeGC, resealingName, text)
	if err == nil {
		err = c.r.be.Put(ctx, resealingName, sealed, storage.PutOptions{Sync: true})
	}
	if err != nil {
		return fault.New("note the sealing anew in", c.r.be.Location(), err, "")
	}
	return nil
}

// EndReseal says that the sealing anew is done, or not wanted any more.
func (c *Collector) EndReseal(ctx context.Context) error {
	return c.r.be.Delete(ctx, resealingName)
}
