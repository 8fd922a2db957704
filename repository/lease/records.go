package lease

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"mahavishnu/storage"
)

// record is what is there of one session.
type record struct {
	id                      ID
	object, beat, end, done bool
}

// records lists the sessions, ordered by id.
func (s *Store) records(ctx context.Context) ([]record, error) {
	at := map[ID]*record{}
	err := s.be.List(ctx, Prefix, func(info storage.Info) error {
		name, suffix, dotted := strings.Cut(strings.TrimPrefix(info.Name, Prefix), ".")
		id, ok := parseID(name)
		if !ok {
			return nil
		}
		r := at[id]
		if r == nil {
			r = &record{id: id}
			at[id] = r
		}
		switch {
		case !dotted:
			r.object = true
		case "."+suffix == beatSuffix:
			r.beat = true
		case "."+suffix == endSuffix:
			r.end = true
		case "."+suffix == doneSuffix:
			r.done = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]record, 0, len(at))
	for _, r := range at {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b record) int { return bytes.Compare(a.id[:], b.id[:]) })
	return list, nil
}

// info reads a session's object. One that cannot be read tells nothing, and is
// waited for like any other.
func (s *Store) info(ctx context.Context, id ID) (Info, error) {
	unknown := Info{TTL: int64(DefaultTTL.Seconds())}
	text, err := s.read(ctx, id.object(), maxObject)
	if err != nil {
		if errors.Is(err, errDamaged) || errors.Is(err, storage.ErrNotFound) {
			err = nil
		}
		return unknown, err
	}
	info := Info{}
	if json.Unmarshal(text, &info) != nil || info.TTL <= 0 {
		return unknown, nil //nolint:nilerr // it is told from its objects all the same
	}
	return info, nil
}

// pulse reads how often a session has beaten. 0 is for none yet, and for a beat
// that was just being replaced.
func (s *Store) pulse(ctx context.Context, id ID) (uint64, error) {
	text, err := s.read(ctx, id.object()+beatSuffix, maxObject)
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, storage.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(text) != 8:
		return 0, nil
	}
	return binary.LittleEndian.Uint64(text), nil
}
