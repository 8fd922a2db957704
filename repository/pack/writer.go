package pack

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/seal"
)

// Entry is a blob in a pack.
type Entry struct {
	ID     blob.ID
	Offset uint32 // of its record
	Stored uint32 // size of its record
	Raw    uint32 // size of the blob
}

// Writer assembles a pack in a buffer that it is given: each blob is compressed
// and sealed where it will stay. It is used by one goroutine at a time.
type Writer struct {
	header  Header
	key     seal.PackKey
	enc     *compress.Encoder
	pad     bool
	buf     []byte // what is written so far; its capacity is the limit
	entries []Entry
	sum     xxhash.Digest
	summed  int // bytes of buf that are in sum
}

// NewWriter starts a pack in the space of buf. key must be the one of this
// pack, used for nothing else ever. pad hides the exact size of few blobs.
func NewWriter(buf []byte, h Header, key seal.PackKey, enc *compress.Encoder, pad bool) *Writer {
	w := &Writer{header: h, key: key, enc: enc, pad: pad, buf: h.append(buf[:0])}
	w.sum.Reset()
	return w
}

// Header returns what the pack says of itself.
func (w *Writer) Header() Header { return w.header }

// Entries returns the blobs so far. The slice stays valid after Finish.
func (w *Writer) Entries() []Entry { return w.entries }

// Buffer returns the space that NewWriter was given, to be used again when the
// pack is stored.
func (w *Writer) Buffer() []byte { return w.buf[:0] }

// Room returns the largest blob that a pack of size bytes can hold.
func Room(size int) int { return size - size/64 - MinSize - EntrySize - Overhead }

// Fits tells whether a blob of n bytes has room, whatever it compresses to.
func (w *Writer) Fits(n int) bool {
	blobs := len(w.entries) + 1
	return Padded(len(w.buf)+Overhead+n+int(footerSize(int64(blobs)))+TrailerSize, blobs) <= cap(w.buf)
}

// Add compresses and seals a blob that fits, and returns its place.
func (w *Writer) Add(id blob.ID, data []byte) (Entry, error) {
	payload := len(w.buf) + RecordHeaderSize + prefixSize
	// Compression writes at its place, and may use the free space behind it on
	// its way; the prefix before it comes afterwards, when the size is known.
	out, code, err := w.enc.Append(w.buf[:payload], data)
	if err != nil {
		return Entry{}, err
	}
	return w.sealBlob(id, uint32(len(data)), code, len(out)), nil
}

// sealBlob seals the payload that stands, with space for what comes before it,
// between the end of buf and end.
func (w *Writer) sealBlob(id blob.ID, raw uint32, code compress.Code, end int) Entry {
	start := len(w.buf)
	copy(w.buf[start+RecordHeaderSize:start+RecordHeaderSize+prefixSize], id[:])
	w.sealRecord(recordHeader{kind: w.header.Kind, ordinal: uint32(len(w.entries)), raw: raw, code: code}, end)
	e := Entry{ID: id, Offset: uint32(start), Stored: uint32(len(w.buf) - start), Raw: raw}
	w.entries = append(w.entries, e)
	return e
}

// sealRecord seals, in place, the text that stands between the space of a
// record header at the end of buf and end, and appends the record to buf.
func (w *Writer) sealRecord(h recordHeader, end int) {
	start := len(w.buf)
	text := start + RecordHeaderSize
	h.sealed = uint32(end - text + seal.TagSize)
	record := w.buf[start : end+seal.TagSize]
	h.put(record, w.key.Block)
	w.key.AEAD.Seal(record[RecordHeaderSize:RecordHeaderSize], nonce(h.ordinal),
		record[RecordHeaderSize:RecordHeaderSize+end-text], record[:RecordHeaderSize])
	w.buf = w.buf[:end+seal.TagSize]
	w.addToSum() // while the record is in the processor's cache
}

func (w *Writer) addToSum() {
	_, _ = w.sum.Write(w.buf[w.summed:]) // never fails
	w.summed = len(w.buf)
}

// Record returns the stored bytes of an entry of this pack.
func (w *Writer) Record(e Entry) []byte {
	return w.buf[e.Offset : e.Offset+e.Stored : e.Offset+e.Stored]
}

// Finish writes footer and trailer and returns the whole pack, in the space
// that NewWriter was given.
func (w *Writer) Finish() []byte {
	start := len(w.buf)
	text := w.buf[:start+RecordHeaderSize]
	for _, e := range w.entries {
		text = append(text, e.ID[:]...)
		text = append(text, byte(e.Stored), byte(e.Stored>>8), byte(e.Stored>>16))
		text = append(text, byte(e.Raw), byte(e.Raw>>8), byte(e.Raw>>16))
	}
	if w.pad {
		whole := len(text) + seal.TagSize + TrailerSize
		text = append(text, make([]byte, Padded(whole, len(w.entries))-whole)...)
	}
	w.sealRecord(recordHeader{kind: w.header.Kind, footer: true, ordinal: footerOrdinal}, len(text))
	w.buf = Trailer{
		Header: w.header, FooterOffset: uint32(start), FooterSize: uint32(len(w.buf) - start),
		Count: uint32(len(w.entries)),
	}.append(w.buf)
	w.addToSum()
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.sum.Sum64())
	return w.buf
}
