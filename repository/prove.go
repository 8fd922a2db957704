package repository

import (
	"context"
	"errors"

	"mahavishnu/repository/ledger"
)

// Prove reads packs whole, as a verification does, and notes durably what it
// finds: those that are right count as verified from now on. It returns what is
// wrong with the others. Packs that this collector wrote itself need no proof: what
// is in them was hashed when it was copied.
func (c *Collector) Prove(ctx context.Context, s *Survey, packs []PackID, progress func(bytes int64)) (wrong map[PackID]error, err error) {
	var ids []PackID
	for _, id := range packs {
		if !c.Own(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	now := c.o.Clock.Now()
	wrong = map[PackID]error{}
	var marks []ledger.Mark
	err = c.r.CheckPacks(ctx, ids, func(id PackID, size int64, p *Problem) {
		if p != nil {
			wrong[id] = p.Err
			s.Suspect(id)
		} else {
			marks = append(marks, ledger.Mark{ID: id, Full: now.Unix()})
			if at, there := s.find(id); there {
				s.packs[at].Verified = now.Unix()
			}
		}
		if progress != nil {
			progress(size)
		}
	})
	return wrong, errors.Join(err, c.r.Record(ctx, ledger.New(marks, nil)), c.r.RecordDoubts(ctx, now, nil))
}
