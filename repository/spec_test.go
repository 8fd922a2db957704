package repository_test

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

// specReader is a second reader of the format, written from docs/format.md and
// using nothing of the packages that implement it. If it and they agree on the
// golden repositories, the page says what is true.
type specReader struct {
	dir   string
	idKey []byte
	keys  map[uint32][]byte
	repo  []byte
	hash  string

	replaced map[string]bool // index fragments that others stand for
}

var le = binary.LittleEndian

// TestTheSpecificationIsEnough reads the golden repositories by the book.
func TestTheSpecificationIsEnough(t *testing.T) {
	for _, name := range []string{"v1-sha256", "v1-blake3"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			r := &specReader{dir: filepath.Join(dir, "storage"), keys: map[uint32][]byte{}, replaced: map[string]bool{}}
			r.readRing(t, filepath.Join(dir, "key-ring.txt"))
			r.readConfig(t, "config")
			r.readConfig(t, "config.copy")
			found := map[string]bool{}
			for _, object := range r.list(t, "index/*") {
				r.readIndex(t, object, found)
			}
			for _, object := range r.list(t, "packs/*/*") {
				r.readPack(t, object)
			}
			r.readParity(t)
			for _, object := range r.list(t, "index/*") {
				if !bytes.Equal(r.object(t, "copies/"+object), r.object(t, object)) {
					t.Errorf("the copy of %s differs", object)
				}
			}
			r.readGarbage(t)
			snapshots := r.list(t, "snapshots/*/*")
			for _, object := range snapshots {
				r.readSnapshot(t, object, found)
				if !bytes.Equal(r.object(t, "copies/"+object), r.object(t, object)) {
					t.Errorf("the copy of %s differs", object)
				}
			}
			if copies := r.list(t, "copies/snapshots/*/*"); len(copies) != len(snapshots) {
				t.Errorf("%d copies of %d snapshots", len(copies), len(snapshots))
			}
			if len(found) != 18 || len(snapshots) != 4 {
				t.Errorf("%d blobs and %d snapshots, want 18 and 4", len(found), len(snapshots))
			}
		})
	}
}

func (r *specReader) list(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, filepath.FromSlash(pattern)))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for i, p := range paths {
		rel, err := filepath.Rel(r.dir, p)
		if err != nil {
			t.Fatal(err)
		}
		paths[i] = filepath.ToSlash(rel)
	}
	return paths
}

// object reads an object and checks the checksum at its end.
func (r *specReader) object(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if end := len(data) - 8; !strings.HasPrefix(name, "config") && xxhash.Sum64(data[:end]) != le.Uint64(data[end:]) {
		t.Fatalf("%s: checksum", name)
	}
	return data
}

func (r *specReader) readRing(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ToLower(string(text))) {
		name, rest, _ := strings.Cut(line, ":")
		version, err := strconv.ParseUint(name, 10, 32)
		if err != nil && name != "id" {
			continue
		}
		fields := strings.Fields(rest)
		digits := strings.Join(fields[1:len(fields)-1], "")
		sum := sha256.Sum256([]byte(name + " " + strings.ToUpper(fields[0]) + " " + digits))
		key, err := hex.DecodeString(digits)
		if err != nil || len(key) != 32 || hex.EncodeToString(sum[:3]) != fields[len(fields)-1] {
			t.Fatalf("line %q: %v", name, err)
		}
		if name == "id" {
			r.idKey = key
		} else {
			r.keys[uint32(version)] = key
		}
	}
}

func (r *specReader) readConfig(t *testing.T, name string) {
	data := r.object(t, name)
	n := int(le.Uint32(data[12:]))
	sum := sha256.Sum256(data[:16+n])
	if string(data[:8]) != "MHVCONF\x00" || le.Uint32(data[8:]) != 1 || len(data) != 16+n+32 || !bytes.Equal(sum[:], data[16+n:]) {
		t.Fatalf("%s is damaged", name)
	}
	var c struct {
		Version  int
		ID       string
		Hash     string
		KeyCheck string `json:"key_check"`
	}
	if err := json.Unmarshal(data[16:16+n], &c); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.repo, err = hex.DecodeString(c.ID); err != nil || len(r.repo) != 16 {
		t.Fatal("id")
	}
	r.hash = c.Hash
	if hex.EncodeToString(r.secret(t, "key check", 16)) != c.KeyCheck {
		t.Fatal("the key check does not agree")
	}
}

func (r *specReader) secret(t *testing.T, what string, n int) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, r.idKey, r.repo, "mahavishnu v1 "+what, n)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (r *specReader) block(t *testing.T, version uint32, salt []byte, info string) cipher.Block {
	t.Helper()
	key, err := hkdf.Key(sha256.New, r.keys[version], append(append([]byte(nil), r.repo...), salt...), "mahavishnu v1 "+info, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

func (r *specReader) cipher(t *testing.T, version uint32, salt []byte, info string) cipher.AEAD {
	t.Helper()
	gcm, err := cipher.NewGCM(r.block(t, version, salt, info))
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}

// specPack is the key of a pack.
type specPack struct {
	gcm     cipher.AEAD
	headers cipher.Block
}

func (r *specReader) packKey(t *testing.T, version uint32, id []byte) specPack {
	t.Helper()
	return specPack{r.cipher(t, version, id, "pack"), r.block(t, version, id, "pack record headers")}
}

// open opens a record and returns its header in the clear and what it seals.
func (p specPack) open(t *testing.T, record []byte) (header, text []byte) {
	t.Helper()
	header = make([]byte, 16)
	p.headers.Decrypt(header, record[:16])
	if string(header[:3]) != "MHV" || int(le.Uint32(header[4:])) != len(record)-16 {
		t.Fatalf("record header % x", header)
	}
	text, err := p.gcm.Open(nil, counter(uint64(le.Uint32(header[8:]))), record[16:], record[:16])
	if err != nil {
		t.Fatal(err)
	}
	return header, text
}

// counter is a number as 96 bits.
func counter(n uint64) []byte { return append(le.AppendUint64(nil, n), 0, 0, 0, 0) }

func (r *specReader) unseal(t *testing.T, name string, typ byte, info string) []byte {
	t.Helper()
	data := r.object(t, name)
	if string(data[:4]) != "MHVs" || le.Uint16(data[4:]) != 1 || data[6] != typ {
		t.Fatalf("%s: header % x", name, data[:8])
	}
	gcm := r.cipher(t, le.Uint32(data[8:]), data[16:32], "object "+info)
	body := data[48 : len(data)-8]
	var text []byte
	for i := uint64(0); ; i++ {
		n := min(len(body), int(le.Uint32(data[12:]))+16)
		last := byte(0)
		if n == len(body) {
			last = 1
		}
		aad := append(append(append([]byte(nil), data[:48]...), name...), last)
		var err error
		if text, err = gcm.Open(text, counter(i), body[:n], aad); err != nil {
			t.Fatalf("%s: segment %d: %v", name, i, err)
		}
		if body = body[n:]; last == 1 {
			break
		}
	}
	if uint64(len(text)) != le.Uint64(data[32:]) {
		t.Fatalf("%s: length", name)
	}
	return text
}

func (r *specReader) readIndex(t *testing.T, object string, found map[string]bool) {
	x := r.unseal(t, object, 1, "index")
	names, packs, entries := int(le.Uint32(x[12:])), int(le.Uint32(x[16:])), int(le.Uint32(x[20:]))
	if string(x[:8]) != "MHVindex" {
		t.Fatalf("%s: header % x", object, x[:8])
	}
	for x = x[32:]; names > 0; x, names = x[16:], names-1 {
		r.replaced["index/"+hex.EncodeToString(x[:16])] = true
	}
	number := func() int {
		v, n := binary.Uvarint(x)
		x = x[n:]
		return int(v)
	}
	previous := ""
	for range packs {
		p := x[:40]
		x = x[40:]
		digits := hex.EncodeToString(p[:16])
		if digits <= previous {
			t.Errorf("%s: pack %s is out of order", object, digits)
		}
		previous = digits
		pack := r.object(t, "packs/"+digits[:2]+"/"+digits)
		if len(pack) != int(le.Uint32(p[16:])) {
			t.Errorf("%s: size of pack %s", object, digits)
		}
		key := r.packKey(t, le.Uint32(p[20:]), p[:16])
		at := 0
		for range number() {
			id := x[:32]
			x = x[32:]
			at += number()
			stored, raw := number(), number()
			r.readBlob(t, key, pack[at:][:stored], p[28], id, raw)
			at += stored
			found[string(id)] = true
			entries--
		}
	}
	if len(x) > 0 || entries != 0 {
		t.Fatalf("%s does not add up", object)
	}
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func (r *specReader) readBlob(t *testing.T, key specPack, record []byte, kind byte, id []byte, raw int) {
	t.Helper()
	header, text := key.open(t, record)
	if header[3] != kind || !bytes.Equal(text[:8], id[:8]) || uint24(header[12:]) != raw {
		t.Fatal("the record is of another blob")
	}
	data, err := expand(header[15], text[8:])
	if err != nil || len(data) != raw || !bytes.Equal(r.contentID(t, kind, data), id) {
		t.Fatalf("blob %x: %d bytes, %v", id, len(data), err)
	}
}

func expand(code byte, payload []byte) ([]byte, error) {
	switch code {
	case 0:
		return payload, nil
	case 1:
		d, err := zstd.NewReader(bytes.NewReader(payload), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return io.ReadAll(d)
	case 2:
		d, err := gzip.NewReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(d)
	}
	return nil, fmt.Errorf("compression %d", code)
}

func (r *specReader) contentID(t *testing.T, kind byte, data []byte) []byte {
	t.Helper()
	key := r.secret(t, "content id "+map[byte]string{1: "data", 2: "tree"}[kind], 32)
	h := hmac.New(sha256.New, key)
	if r.hash == "blake3" {
		var err error
		if h, err = blake3.NewKeyed(key); err != nil {
			t.Fatal(err)
		}
	}
	h.Write(data)
	return h.Sum(nil)
}

func (r *specReader) readPack(t *testing.T, object string) {
	data := r.object(t, object)
	id, err := hex.DecodeString(object[len("packs/00/"):])
	if err != nil || string(data[:4]) != "MHVp" || !bytes.Equal(data[16:32], id) {
		t.Fatalf("%s: header", object)
	}
	end := data[len(data)-64:]
	offset, size, count := int(le.Uint32(end[8:])), int(le.Uint32(end[12:])), int(le.Uint32(end[16:]))
	if string(end[:4]) != "MHVt" || !bytes.Equal(end[24:40], id) || size < 16+38*count+16 || offset+size+64 != len(data) {
		t.Fatalf("%s: trailer", object)
	}
	key := r.packKey(t, le.Uint32(data[8:]), id)
	header, table := key.open(t, data[offset:][:size])
	if header[3] != data[6]|128 || le.Uint32(header[8:]) != 1<<32-1 {
		t.Fatalf("%s: footer's header % x", object, header)
	}
	at := 32
	for ; count > 0; table, count = table[38:], count-1 {
		stored := uint24(table[32:])
		r.readBlob(t, key, data[at:][:stored], data[6], table[:32], uint24(table[35:]))
		at += stored
	}
	if len(bytes.Trim(table, "\x00")) > 0 {
		t.Errorf("%s: the padding is not zeros", object)
	}
	if at != offset {
		t.Errorf("%s: something lies before the footer", object)
	}
}

func (r *specReader) readSnapshot(t *testing.T, object string, found map[string]bool) {
	var s struct {
		ID, Source, Job, Root string
		Index                 []string
	}
	if err := json.Unmarshal(r.unseal(t, object, 2, "snapshot"), &s); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, r.secret(t, "snapshot id", 32))
	fmt.Fprintf(mac, "%d:%s%s", len(s.Source), s.Source, s.Job)
	root, err := hex.DecodeString(s.Root)
	if err != nil || !found[string(root)] || !strings.HasSuffix(object, "Z-"+s.ID) || hex.EncodeToString(mac.Sum(nil)[:8]) != s.ID {
		t.Errorf("%s: %+v", object, s)
	}
	for _, name := range s.Index {
		if !r.replaced[name] {
			r.object(t, name)
		}
	}
}

// readGarbage reads what collecting garbage needs to know: sessions, each of
// which is done, the tickets of those that committed, and a condemned list.
func (r *specReader) readGarbage(t *testing.T) {
	if len(r.replaced) == 0 {
		t.Error("no fragment replaces another")
	}
	tickets := 0
	for _, object := range r.list(t, "gc/sessions/*") {
		text := r.unseal(t, object, 3, "gc")
		_, suffix, _ := strings.Cut(object, ".")
		switch suffix {
		case "":
			var s struct {
				Role string
				TTL  int
			}
			if err := json.Unmarshal(text, &s); err != nil || s.TTL != 120 || s.Role != "backup" && s.Role != "collector" {
				t.Errorf("%s: %s, %v", object, text, err)
			}
			r.object(t, object+".done")
		case "end":
			line, snapshot, _ := bytes.Cut(text, []byte{'\n'})
			var s struct{ Outcome, Snapshot string }
			if err := json.Unmarshal(line, &s); err != nil || s.Outcome != "committed" || !bytes.Equal(snapshot, r.object(t, s.Snapshot)) {
				t.Errorf("%s: %s, %v", object, line, err)
			}
			tickets++
		}
	}
	if tickets != 4 {
		t.Errorf("%d tickets, want 4", tickets)
	}
	for _, object := range r.list(t, "gc/condemned/*") {
		text := r.unseal(t, object, 3, "gc")
		if strings.HasSuffix(object, ".wait") {
			if string(text) != "[]" {
				t.Errorf("%s: %s", object, text)
			}
			continue
		}
		want := append(make([]byte, 0, 48), "MHVdoom1"...)
		want = append(le.AppendUint32(want, 2), make([]byte, 36)...)
		want[16], want[32] = 1, 2
		if !bytes.Equal(text, want) || !bytes.Equal(r.object(t, "copies/"+object), r.object(t, object)) {
			t.Errorf("%s: % x", object, text)
		}
	}
}
