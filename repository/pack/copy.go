package pack

import (
	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
)

// Payload opens the record of the blob id, of raw bytes, and returns what it
// holds, compressed as code says, in the space of record, which is overwritten.
func (d Decoder) Payload(record []byte, id blob.ID, raw uint32) (payload []byte, code compress.Code, err error) {
	h, payload, err := d.open(record, id, raw)
	return payload, h.code, err
}

// AddPayload adds a blob as it was in another pack, without compressing it
// again. A payload that fits by its own size has room.
func (w *Writer) AddPayload(id blob.ID, raw uint32, payload []byte, code compress.Code) Entry {
	from := len(w.buf) + RecordHeaderSize + prefixSize
	end := from + copy(w.buf[from:cap(w.buf)], payload)
	return w.sealBlob(id, raw, code, end)
}
