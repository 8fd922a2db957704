package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

const packPrefix = "packs/"

// rescue looks into packs that no index fragment knows, and adds what they say
// of themselves to the index of this process: a lost or damaged fragment costs
// nothing but this. It runs once, when a blob cannot be found, and reports
// whether there is anything new. left says why not all packs could be looked into,
// when that is so; a blob that was not found may be in one of those.
func (r *Repository) rescue(ctx context.Context) (more bool, left, err error) {
	if err := r.rescueTurn.take(ctx); err != nil {
		return false, nil, err
	}
	defer r.rescueTurn.give()
	if r.rescued {
		return r.rescueFound, r.rescueLeft, nil
	}
	var b index.Builder
	some := false
	err = r.eachPackObject(ctx, func(id PackID, size int64) error {
		some = true
		if _, known := r.index.pack(id); known {
			return nil
		}
		p, entries, err := r.readTable(ctx, id, size)
		switch {
		case err == nil:
			b.AddPack(p, entries)
			return nil
		case isDamage(err), errors.Is(err, storage.ErrNotFound), errors.Is(err, keyring.ErrNoVersion):
			return nil // nothing to be had from it
		case errors.Is(err, ErrUnreadable), errors.Is(err, storage.ErrArchived):
			left = err
			return nil
		}
		return err
	})
	switch _, other := r.sight.tolerate(err, packPrefix); {
	case other != nil:
		return false, nil, other
	case err != nil && some:
		left = fmt.Errorf("%w: %w", ErrUnreadable, err)
	case err != nil: // nothing can be said of any pack
		left = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if !b.Empty() {
		text, err := b.Build()
		if err != nil {
			return false, nil, err
		}
		if _, err = r.index.add("", text); err != nil {
			return false, nil, err
		}
		r.rescueFound = true
	}
	r.rescued, r.rescueLeft = true, left
	return r.rescueFound, left, nil
}

// eachPackObject lists the packs in the storage. Objects that are not named
// like packs are left to CheckObjects.
func (r *Repository) eachPackObject(ctx context.Context, fn func(PackID, int64) error) error {
	return listBelow(ctx, r.be, packPrefix, func(info storage.Info) error {
		id, ok := parsePackObject(info.Name)
		if !ok {
			return nil
		}
		return fn(id, info.Size)
	})
}

func parsePackObject(name string) (PackID, bool) {
	parts := strings.Split(name, "/")
	id, err := blob.ParsePackID(parts[len(parts)-1])
	return id, err == nil && id.Object() == name
}

// readTable learns a pack's blobs: from its footer, or from its records when
// the footer is damaged.
func (r *Repository) readTable(ctx context.Context, id PackID, size int64) (index.Pack, []index.Entry, error) {
	t, entries, err := r.readFooter(ctx, id, size)
	if isDamage(err) {
		return r.scanPack(ctx, id)
	}
	if err != nil {
		return index.Pack{}, nil, err
	}
	return indexPack(t.Header, size, len(entries)), indexEntries(entries), nil
}

// readFooter reads the table at the end of a pack.
func (r *Repository) readFooter(ctx context.Context, id PackID, size int64) (pack.Trailer, []pack.Entry, error) {
	fail := func(err error) (pack.Trailer, []pack.Entry, error) {
		return pack.Trailer{}, nil, fault.New("read", id.Object(), damage(err), "")
	}
	if size < pack.MinSize || size > pack.MaxSize {
		return fail(pack.ErrNotPack)
	}
	// One read gets both for all but packs of very small blobs.
	tail := make([]byte, min(size, 64<<10))
	if err := r.readPack(ctx, id, size-int64(len(tail)), tail); err != nil {
		return fail(err)
	}
	t, err := pack.ParseTrailer(tail[len(tail)-pack.TrailerSize:], size)
	if err != nil {
		return fail(err)
	}
	if t.ID != id {
		return fail(pack.ErrOther)
	}
	record := tail[:len(tail)-pack.TrailerSize]
	if int(t.FooterSize) <= len(record) {
		record = record[len(record)-int(t.FooterSize):]
	} else {
		record = make([]byte, t.FooterSize)
		if err := r.readPack(ctx, id, int64(t.FooterOffset), record); err != nil {
			return fail(err)
		}
	}
	dec, err := r.decoder(t.KeyVersion, id, t.Kind)
	if err != nil {
		return fail(err)
	}
	entries, err := dec.Footer(t, record)
	if err != nil {
		return fail(err)
	}
	return t, entries, nil
}

// scanPack finds what is whole in a damaged pack.
func (r *Repository) scanPack(ctx context.Context, id PackID) (index.Pack, []index.Entry, error) {
	data, err := storage.ReadAll(ctx, r.be, id.Object(), pack.MaxSize, nil)
	if err != nil {
		return index.Pack{}, nil, err
	}
	found, h, err := r.scan(id, data)
	if err != nil {
		return index.Pack{}, nil, fault.New("read", id.Object(), damage(err), "")
	}
	return indexPack(h, int64(len(data)), len(found)), indexEntries(found), nil
}

// scan opens the whole records of a damaged pack. A lost header is guessed:
// there are few kinds and key versions, and a seal opens with the right ones
// only.
func (r *Repository) scan(id PackID, data []byte) ([]pack.Entry, pack.Header, error) {
	candidates := []pack.Header{}
	if h, err := pack.ParseHeader(data); err == nil {
		candidates = append(candidates, h)
	}
	for version := r.keys.Current(); version > 0; version-- {
		for _, kind := range []Kind{KindData, KindTree} {
			candidates = append(candidates, pack.Header{Kind: kind, KeyVersion: version, ID: id})
		}
	}
	for _, h := range candidates {
		dec, err := r.decoder(h.KeyVersion, id, h.Kind)
		if err != nil {
			continue
		}
		entries := dec.Scan(data, func(b []byte) ID { return r.ids.id(h.Kind, b) })
		if len(entries) > 0 {
			h.ID = id
			return entries, h, nil
		}
	}
	return nil, pack.Header{}, pack.ErrNotPack
}

func indexPack(h pack.Header, size int64, blobs int) index.Pack {
	return index.Pack{
		ID: h.ID, Size: uint32(size), KeyVersion: h.KeyVersion, Blobs: uint32(blobs), Kind: h.Kind, Flags: h.Flags,
	}
}

func indexEntries(entries []pack.Entry) []index.Entry {
	out := make([]index.Entry, len(entries))
	for i, e := range entries {
		out[i] = index.Entry{ID: e.ID, Offset: e.Offset, Stored: e.Stored, Raw: e.Raw}
	}
	return out
}
