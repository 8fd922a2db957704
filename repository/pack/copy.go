package pack

import (
	"encoding/binary"
	"fmt"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
)

// Payload opens the record of the blob id, of raw bytes, and returns what it
// holds, compressed as code says, in the space of record, which is overwritten.
func (d Decoder) Payload(record []byte, id blob.ID, raw uint32) (payload []byte, code compress.Code, err error) {
	got, size, payload, code, err := d.open(record)
	if err != nil {
		return nil, 0, err
	}
	if got != id || size != raw {
		return nil, 0, fmt.Errorf("%w: blob %s of %d bytes is there", ErrRecord, got, size)
	}
	return payload, code, nil
}

// AddPayload adds a blob as it was in another pack, without compressing it
// again. A payload that fits by its own size has room.
func (w *Writer) AddPayload(id blob.ID, raw uint32, payload []byte, code compress.Code) Entry {
	start := len(w.buf)
	text := start + RecordHeaderSize
	from := text + prefixSize
	end := from + len(payload)
	if w.pad {
		end = from + Padded(len(payload))
	}
	prefix := w.buf[text:from]
	copy(prefix, id[:])
	binary.LittleEndian.PutUint32(prefix[32:], raw)
	binary.LittleEndian.PutUint32(prefix[36:], uint32(len(payload)))
	space := w.buf[from:end]
	clear(space[copy(space, payload):])
	w.sealRecord(recordHeader{
		magic: blobMagic, ordinal: uint32(len(w.entries)), kind: w.header.Kind, code: code,
	}, end)
	e := Entry{ID: id, Offset: uint32(start), Stored: uint32(len(w.buf) - start), Raw: raw}
	w.entries = append(w.entries, e)
	return e
}
