package pack

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/seal"
)

// Decoder opens the records of one pack.
type Decoder struct {
	Kind blob.Kind
	AEAD cipher.AEAD
	Comp *compress.Decoder
}

// Blob opens the record of the blob id, of raw bytes, and returns its bytes. A
// blob that was stored uncompressed is returned in the space of record (then
// inRecord is true), others in the space of dst when it is large enough. record
// is overwritten. Bytes that are not those of the blob asked for are never
// returned.
func (d Decoder) Blob(dst, record []byte, id blob.ID, raw uint32) (data []byte, inRecord bool, err error) {
	got, size, payload, code, err := d.open(record)
	if err != nil {
		return nil, false, err
	}
	if got != id || size != raw {
		return nil, false, fmt.Errorf("%w: blob %s of %d bytes is there", ErrRecord, got, size)
	}
	data, err = d.Comp.Decode(dst, payload, code, int(raw))
	return data, code == compress.CodeNone, err
}

// open decrypts a record in place.
func (d Decoder) open(record []byte) (id blob.ID, raw uint32, payload []byte, code compress.Code, err error) {
	h, ok := parseRecordHeader(record, blobMagic)
	if !ok || uint64(h.sealed)+RecordHeaderSize != uint64(len(record)) || h.kind != d.Kind {
		return id, 0, nil, 0, ErrRecord
	}
	sealed := record[RecordHeaderSize:]
	text, err := d.AEAD.Open(sealed[:0], nonce(h.ordinal), sealed, record[:16])
	if err != nil {
		return id, 0, nil, 0, seal.ErrOpen
	}
	if len(text) < prefixSize {
		return id, 0, nil, 0, ErrRecord
	}
	id = blob.ID(text[:32])
	raw = binary.LittleEndian.Uint32(text[32:])
	size := binary.LittleEndian.Uint32(text[36:])
	payload = text[prefixSize:]
	if uint64(size) > uint64(len(payload)) || raw > blob.MaxSize {
		return id, 0, nil, 0, ErrRecord
	}
	return id, raw, payload[:size], h.code, nil
}

// Footer opens the footer's record and returns the blobs of the pack. record is
// overwritten.
func (d Decoder) Footer(t Trailer, record []byte) ([]Entry, error) {
	h, ok := parseRecordHeader(record, footerMagic)
	if !ok || uint32(len(record)) != t.FooterSize || h.sealed != t.FooterSize-RecordHeaderSize ||
		h.ordinal != footerOrdinal || h.kind != d.Kind {
		return nil, fmt.Errorf("%w: no footer where it should be", ErrNotPack)
	}
	sealed := record[RecordHeaderSize:]
	text, err := d.AEAD.Open(sealed[:0], nonce(h.ordinal), sealed, record[:16])
	if err != nil {
		return nil, fmt.Errorf("footer: %w", seal.ErrOpen)
	}
	entries := make([]Entry, 0, t.Count)
	end := uint32(HeaderSize)
	for ; len(text) >= EntrySize; text = text[EntrySize:] {
		e := Entry{
			ID:     blob.ID(text[:32]),
			Offset: binary.LittleEndian.Uint32(text[32:]),
			Stored: binary.LittleEndian.Uint32(text[36:]),
			Raw:    binary.LittleEndian.Uint32(text[40:]),
		}
		if e.Offset < end || e.Stored < Overhead || e.Raw > blob.MaxSize ||
			uint64(e.Offset)+uint64(e.Stored) > uint64(t.FooterOffset) {
			return nil, fmt.Errorf("%w: its footer contradicts itself", ErrNotPack)
		}
		end = e.Offset + e.Stored
		entries = append(entries, e)
	}
	return entries, nil
}

// Found is a record found by Scan.
type Found struct {
	Entry
	Err error // why the record cannot be opened; then ID and Raw are zero
}

// Scan finds every record of a damaged pack that is still whole, by magic
// number, length and checksum, and opens it to learn its id. Entries are in
// order; what lies between them is lost. data stays as it is.
func (d Decoder) Scan(data []byte) []Found {
	var found []Found
	var scratch []byte
	for pos := 0; ; {
		next := bytes.Index(data[pos:], []byte(blobMagic))
		if next < 0 {
			return found
		}
		pos += next
		record, ok := wholeRecord(data[pos:])
		if !ok {
			pos++
			continue
		}
		scratch = append(scratch[:0], record...)
		f := Found{Entry: Entry{Offset: uint32(pos), Stored: uint32(len(record))}}
		if f.ID, f.Raw, _, _, f.Err = d.open(scratch); f.Err != nil {
			f.ID, f.Raw = blob.ID{}, 0
		}
		found = append(found, f)
		pos += len(record)
	}
}

// wholeRecord returns the blob record at the start of data, if its checksum
// agrees.
func wholeRecord(data []byte) ([]byte, bool) {
	h, ok := parseRecordHeader(data, blobMagic)
	if !ok || h.sealed < prefixSize+seal.TagSize || uint64(h.sealed) > uint64(len(data)-RecordHeaderSize) {
		return nil, false
	}
	record := data[:RecordHeaderSize+int(h.sealed)]
	return record, recordSum(record) == h.sum
}
