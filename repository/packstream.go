package repository

import (
	"context"
	"errors"

	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// pieceSize is how much of a pack is read at once when all of it is: little
// enough to be still in the processor's cache when it is decoded. A record that
// is larger is read at once too.
const pieceSize = 1 << 20

// streamPack reads a pack once, from its first byte to its last, and compares
// its checksum.
func streamPack(ctx context.Context, be storage.Backend, buffers *scratch, o packObject) (pack.Trailer, error) {
	return streamPieces(ctx, be, buffers, o, nil, func(_ []pack.Entry, _ int64, piece *lent) { buffers.put(piece) })
}

// streamPieces is streamPack for whoever wants the pieces: use gets each with the
// entries whose records are in it, and the offset where it starts. The piece is
// use's, to be changed and to be put back; it is summed up already. What is found
// in it means nothing when streamPieces fails.
func streamPieces(ctx context.Context, be storage.Backend, buffers *scratch, o packObject, entries []pack.Entry, use func(entries []pack.Entry, pos int64, piece *lent)) (pack.Trailer, error) {
	name := o.id.Object()
	in, err := be.Get(ctx, name, 0, o.size)
	if err != nil {
		return pack.Trailer{}, err
	}
	scrub := pack.NewScrubber(o.size)
	for pos := int64(0); pos < o.size && err == nil; {
		n, end := nextPiece(pos, o.size, entries)
		piece := buffers.get(int(end - pos))
		if err = storage.ReadNext(ctx, in, name, piece.b); err != nil {
			buffers.put(piece)
			break
		}
		scrub.Add(piece.b)
		use(entries[:n], pos, piece)
		entries, pos = entries[n:], end
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return pack.Trailer{}, err
	}
	return scrub.Finish(o.id)
}

// nextPiece returns the end of the piece at pos, and how many of the entries
// are in it, whole.
func nextPiece(pos, size int64, entries []pack.Entry) (n int, end int64) {
	for _, e := range entries {
		stop := int64(e.Offset) + int64(e.Stored)
		if n > 0 && stop-pos > pieceSize {
			break
		}
		n, end = n+1, stop
	}
	if n == 0 {
		end = min(pos+pieceSize, size)
	}
	return n, end
}
