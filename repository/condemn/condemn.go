// Package condemn keeps the lists of packs that are to go.
//
// A list is put once and never taken back: its packs are reused and adopted by
// no session that begins after the list is durable, and deleted when all sessions
// from before have ended. The list goes last. Each is kept twice, since what
// cannot be read condemns everything; beside it a note tells which sessions were
// there when it became durable.
//
//	gc/condemned/<id>         sealed; copies/gc/condemned/<id> has the same bytes
//	gc/condemned/<id>.wait    the sessions to wait for; its loss costs time only
package condemn

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const (
	// Prefix is where the lists are.
	Prefix     = "gc/condemned/"
	copyPrefix = "copies/" + Prefix

	waitSuffix = ".wait"
	magic      = "MHVdoom1"
	headerSize = 16
	idSize     = 16
	maxList    = 256 << 20 // bytes
)

// ErrDamaged means that a list cannot be read in either of its copies.
var ErrDamaged = errors.New("stored data is damaged")

// List is packs condemned together.
type List struct {
	// Name of its object.
	Name string
	// Packs, ascending, each once.
	Packs []blob.PackID
}

// Lists is all that is condemned.
type Lists struct {
	Lists []List
	// Damaged names the lists that cannot be read. As long as there is one, any
	// pack may be condemned.
	Damaged map[string]error
}

// Has tells whether a pack is, or may be, condemned.
func (l *Lists) Has(id blob.PackID) bool {
	if len(l.Damaged) > 0 {
		return true
	}
	for _, list := range l.Lists {
		if list.Has(id) {
			return true
		}
	}
	return false
}

// Has tells whether a pack is on the list.
func (l List) Has(id blob.PackID) bool {
	_, ok := slices.BinarySearchFunc(l.Packs, id, blob.PackID.Compare)
	return ok
}

// Encode returns the text of a list. It sorts packs.
func Encode(packs []blob.PackID) []byte {
	slices.SortFunc(packs, blob.PackID.Compare)
	packs = slices.Compact(packs)
	out := make([]byte, 0, headerSize+len(packs)*idSize)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(packs)))
	out = append(out, 0, 0, 0, 0)
	for _, id := range packs {
		out = append(out, id[:]...)
	}
	return out
}

// Decode reads what Encode wrote.
func Decode(text []byte) ([]blob.PackID, error) {
	if len(text) < headerSize || string(text[:8]) != magic {
		return nil, fmt.Errorf("%w: not a list of condemned packs", ErrDamaged)
	}
	n := uint64(binary.LittleEndian.Uint32(text[8:]))
	body := text[headerSize:]
	if uint64(len(body)) != n*idSize {
		return nil, fmt.Errorf("%w: a list of %d packs in %d bytes", ErrDamaged, n, len(body))
	}
	packs := make([]blob.PackID, n)
	for i := range packs {
		packs[i] = blob.PackID(body[i*idSize:][:idSize])
		if i > 0 && packs[i-1].Compare(packs[i]) >= 0 {
			return nil, fmt.Errorf("%w: a list out of order", ErrDamaged)
		}
	}
	return packs, nil
}

// Put condemns packs: when it returns, the list is durable, twice.
func Put(ctx context.Context, be storage.Backend, keys *seal.Keys, packs []blob.PackID) (List, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the program instead
	list := List{Name: Prefix + hex.EncodeToString(id[:])}
	text := Encode(packs)
	sealed, err := keys.Seal(seal.TypeGC, list.Name, text)
	if err != nil {
		return list, err
	}
	for _, name := range []string{list.Name, copyOf(list.Name)} {
		if err := be.Put(ctx, name, sealed, storage.PutOptions{Sync: true}); err != nil {
			return list, err
		}
	}
	list.Packs, err = Decode(text)
	return list, err
}

func copyOf(name string) string { return "copies/" + name }

// Read reads all lists. One that goes meanwhile is none: its packs went before
// it. The error is of the storage.
func Read(ctx context.Context, be storage.Backend, keys *seal.Keys) (*Lists, error) {
	names := map[string]bool{}
	for _, prefix := range []string{Prefix, copyPrefix} {
		err := be.List(ctx, prefix, func(info storage.Info) error {
			if name := strings.TrimPrefix(info.Name, "copies/"); !strings.HasSuffix(name, waitSuffix) {
				names[name] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	l := &Lists{Damaged: map[string]error{}}
	for name := range names {
		packs, err := readEither(ctx, be, keys, name)
		switch {
		case err == nil:
			l.Lists = append(l.Lists, List{Name: name, Packs: packs})
		case errors.Is(err, ErrDamaged):
			l.Damaged[name] = err
		case errors.Is(err, storage.ErrNotFound):
		default:
			return nil, err
		}
	}
	slices.SortFunc(l.Lists, func(a, b List) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
}

// readEither reads a list from its object, or else from its copy.
func readEither(ctx context.Context, be storage.Backend, keys *seal.Keys, name string) ([]blob.PackID, error) {
	packs, err := read(ctx, be, keys, name, name)
	if err == nil || ctx.Err() != nil {
		return packs, err
	}
	packs, err2 := read(ctx, be, keys, copyOf(name), name)
	switch {
	case err2 == nil:
		return packs, nil
	case errors.Is(err, storage.ErrNotFound):
		return nil, err2
	case errors.Is(err2, storage.ErrNotFound):
		return nil, err
	}
	return nil, errors.Join(err, err2)
}

func read(ctx context.Context, be storage.Backend, keys *seal.Keys, object, name string) ([]blob.PackID, error) {
	data, err := storage.ReadAll(ctx, be, object, maxList, nil)
	if err != nil {
		if errors.Is(err, storage.ErrShort) || errors.Is(err, storage.ErrOversize) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, err
	}
	text, err := keys.Open(seal.TypeGC, name, data)
	if err == nil {
		var packs []blob.PackID
		if packs, err = Decode(text); err == nil {
			return packs, nil
		}
	}
	return nil, fault.New("read", object, fmt.Errorf("%w: %w", ErrDamaged, err), "")
}

// Remove takes a list away. Its packs must be gone.
func Remove(ctx context.Context, be storage.Backend, name string) error {
	for _, object := range []string{name + waitSuffix, copyOf(name), name} {
		if err := be.Delete(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// Tidy removes notes whose list is gone: somebody who stalled put them late.
func Tidy(ctx context.Context, be storage.Backend) error {
	lists, notes := map[string]bool{}, []string{}
	err := be.List(ctx, Prefix, func(info storage.Info) error {
		if name, isNote := strings.CutSuffix(info.Name, waitSuffix); isNote {
			notes = append(notes, name)
		} else {
			lists[info.Name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range notes {
		if lists[name] {
			continue
		}
		if err := be.Delete(ctx, name+waitSuffix); err != nil {
			return err
		}
	}
	return nil
}

// Await notes for whom the list waits: the sessions that had begun and not ended
// when it was durable, or later.
func Await(ctx context.Context, be storage.Backend, keys *seal.Keys, name string, sessions []lease.ID) error {
	text, err := json.Marshal(sessions)
	if err != nil {
		return err
	}
	object := name + waitSuffix
	sealed, err := keys.Seal(seal.TypeGC, object, text)
	if err != nil {
		return err
	}
	return be.Put(ctx, object, sealed, storage.PutOptions{Sync: true})
}

// Awaited returns for whom a list waits. Without a note, known is false: then it
// is whoever is at work now.
func Awaited(ctx context.Context, be storage.Backend, keys *seal.Keys, name string) (sessions []lease.ID, known bool, err error) {
	object := name + waitSuffix
	data, err := storage.ReadAll(ctx, be, object, maxList, nil)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrShort), errors.Is(err, storage.ErrOversize):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	text, err := keys.Open(seal.TypeGC, object, data)
	if err != nil || json.NewDecoder(bytes.NewReader(text)).Decode(&sessions) != nil {
		return nil, false, nil //nolint:nilerr // a note that is lost costs time only
	}
	return sessions, true, nil
}
