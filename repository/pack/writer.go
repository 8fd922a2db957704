package pack

import (
	"crypto/cipher"
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
	aead    cipher.AEAD
	enc     *compress.Encoder
	pad     bool
	buf     []byte // what is written so far; its capacity is the limit
	entries []Entry
	sum     xxhash.Digest
	summed  int // bytes of buf that are in sum
}

// NewWriter starts a pack in the space of buf. aead must be the cipher of this
// pack, used for nothing else ever. pad hides the exact sizes of blobs.
func NewWriter(buf []byte, h Header, aead cipher.AEAD, enc *compress.Encoder, pad bool) *Writer {
	w := &Writer{header: h, aead: aead, enc: enc, pad: pad, buf: h.append(buf[:0])}
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

// RecordLimit is the largest record of a blob of n bytes.
func RecordLimit(n int) int { return Overhead + Padded(n) }

// Room returns the largest blob that a pack of size bytes can hold.
func Room(size int) int {
	room := size - MinSize - EntrySize - Overhead
	return room - room/64
}

// Fits tells whether a blob of n bytes has room, whatever it compresses to.
func (w *Writer) Fits(n int) bool {
	rest := int(footerSize(int64(len(w.entries)+1))) + TrailerSize
	return len(w.buf)+RecordLimit(n)+rest <= cap(w.buf)
}

// Add compresses and seals a blob that fits, and returns its place.
func (w *Writer) Add(id blob.ID, data []byte) (Entry, error) {
	start := len(w.buf)
	text := start + RecordHeaderSize
	payload := text + prefixSize
	// Compression writes at its place, and may use the free space behind it on
	// its way; the prefix before it comes afterwards, when the size is known.
	out, code, err := w.enc.Append(w.buf[:payload], data)
	if err != nil {
		return Entry{}, err
	}
	size := len(out) - payload
	end := len(out)
	if w.pad {
		end = payload + Padded(size)
		clear(w.buf[len(out):end:cap(w.buf)])
	}
	prefix := w.buf[text:payload]
	copy(prefix, id[:])
	binary.LittleEndian.PutUint32(prefix[32:], uint32(len(data)))
	binary.LittleEndian.PutUint32(prefix[36:], uint32(size))

	w.sealRecord(recordHeader{
		magic: blobMagic, ordinal: uint32(len(w.entries)), kind: w.header.Kind, code: code,
	}, end)
	e := Entry{ID: id, Offset: uint32(start), Stored: uint32(len(w.buf) - start), Raw: uint32(len(data))}
	w.entries = append(w.entries, e)
	return e, nil
}

// sealRecord seals, in place, the text that stands between the space of a
// record header at the end of buf and end, and appends the record to buf.
func (w *Writer) sealRecord(h recordHeader, end int) {
	start := len(w.buf)
	text := start + RecordHeaderSize
	h.sealed = uint32(end - text + seal.TagSize)
	record := w.buf[start : end+seal.TagSize]
	h.put(record)
	w.aead.Seal(record[RecordHeaderSize:RecordHeaderSize], nonce(h.ordinal),
		record[RecordHeaderSize:RecordHeaderSize+end-text], record[:16])
	binary.LittleEndian.PutUint64(record[16:], recordSum(record))
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
		text = binary.LittleEndian.AppendUint32(text, e.Offset)
		text = binary.LittleEndian.AppendUint32(text, e.Stored)
		text = binary.LittleEndian.AppendUint32(text, e.Raw)
	}
	w.sealRecord(recordHeader{magic: footerMagic, ordinal: footerOrdinal, kind: w.header.Kind}, len(text))
	w.buf = Trailer{
		Header: w.header, FooterOffset: uint32(start), FooterSize: uint32(len(w.buf) - start),
		Count: uint32(len(w.entries)),
	}.append(w.buf)
	w.addToSum()
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.sum.Sum64())
	return w.buf
}
