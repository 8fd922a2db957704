package pack

import (
	"bytes"
	"fmt"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/seal"
)

// Decoder opens the records of one pack.
type Decoder struct {
	Kind blob.Kind
	Key  seal.PackKey
	Comp *compress.Decoder
}

// Blob opens the record of the blob id, of raw bytes, and returns its bytes. A
// blob that was stored uncompressed is returned in the space of record (then
// inRecord is true), others in the space of dst when it is large enough. record
// is overwritten. Bytes that are not those of the blob asked for are never
// returned.
func (d Decoder) Blob(dst, record []byte, id blob.ID, raw uint32) (data []byte, inRecord bool, err error) {
	h, payload, err := d.open(record, id, raw)
	if err != nil {
		return nil, false, err
	}
	data, err = d.Comp.Decode(dst, payload, h.code, int(raw))
	return data, h.code == compress.CodeNone, err
}

// open decrypts the record of the blob id, of raw bytes, in place.
func (d Decoder) open(record []byte, id blob.ID, raw uint32) (recordHeader, []byte, error) {
	h, ok := parseRecordHeader(record, d.Key.Block)
	if !ok || h.footer || uint64(h.sealed)+RecordHeaderSize != uint64(len(record)) || h.kind != d.Kind {
		return h, nil, ErrRecord
	}
	text, err := d.unseal(record[RecordHeaderSize:][:0], h, record)
	if err != nil {
		return h, nil, err
	}
	if len(text) < prefixSize || !bytes.Equal(text[:prefixSize], id[:prefixSize]) || h.raw != raw {
		return h, nil, fmt.Errorf("%w: another blob, of %d bytes, is there", ErrRecord, h.raw)
	}
	return h, text[prefixSize:], nil
}

// unseal decrypts a record into the space of dst.
func (d Decoder) unseal(dst []byte, h recordHeader, record []byte) ([]byte, error) {
	text, err := d.Key.AEAD.Open(dst, nonce(h.ordinal), record[RecordHeaderSize:], record[:RecordHeaderSize])
	if err != nil {
		return nil, seal.ErrOpen
	}
	return text, nil
}

// Footer opens the footer's record and returns the blobs of the pack. record is
// overwritten.
func (d Decoder) Footer(t Trailer, record []byte) ([]Entry, error) {
	h, ok := parseRecordHeader(record, d.Key.Block)
	if !ok || !h.footer || uint32(len(record)) != t.FooterSize || h.sealed != t.FooterSize-RecordHeaderSize ||
		h.ordinal != footerOrdinal || h.kind != d.Kind {
		return nil, fmt.Errorf("%w: no footer where it should be", ErrNotPack)
	}
	text, err := d.unseal(record[RecordHeaderSize:][:0], h, record)
	if err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	if uint64(len(text)) < uint64(t.Count)*EntrySize {
		return nil, fmt.Errorf("%w: its footer is too short", ErrNotPack)
	}
	entries := make([]Entry, 0, t.Count)
	offset := uint32(HeaderSize)
	for ; len(entries) < int(t.Count); text = text[EntrySize:] {
		e := Entry{ID: blob.ID(text[:32]), Offset: offset, Stored: uint24(text[32:]), Raw: uint24(text[35:])}
		if e.Stored < Overhead || e.Raw > blob.MaxSize || uint64(offset)+uint64(e.Stored) > uint64(t.FooterOffset) {
			return nil, fmt.Errorf("%w: its footer contradicts itself", ErrNotPack)
		}
		offset += e.Stored
		entries = append(entries, e)
	}
	return entries, nil
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// Scan finds every blob of a damaged pack whose record is still whole, by trying
// to read a record's header at each byte; id computes content ids. Entries are in
// order; what lies between them is lost. data stays as it is.
func (d Decoder) Scan(data []byte, id func([]byte) blob.ID) []Entry {
	var found []Entry
	var scratch, out []byte
	for pos := 0; pos+Overhead <= len(data); {
		h, ok := parseRecordHeader(data[pos:], d.Key.Block)
		if !ok || h.footer || h.kind != d.Kind || h.sealed < prefixSize+seal.TagSize || h.raw > blob.MaxSize ||
			uint64(h.sealed) > uint64(len(data)-pos-RecordHeaderSize) {
			pos++
			continue
		}
		record := data[pos:][:RecordHeaderSize+int(h.sealed)]
		text, err := d.unseal(scratch[:0], h, record)
		if err != nil {
			pos++
			continue
		}
		scratch = text
		content, err := d.Comp.Decode(out, text[prefixSize:], h.code, int(h.raw))
		if err == nil {
			e := Entry{ID: id(content), Offset: uint32(pos), Stored: uint32(len(record)), Raw: h.raw}
			if bytes.Equal(e.ID[:prefixSize], text[:prefixSize]) {
				found = append(found, e)
			}
			if h.code != compress.CodeNone {
				out = content
			}
		}
		pos += len(record)
	}
	return found
}
