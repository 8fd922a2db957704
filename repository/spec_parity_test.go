package repository_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// readParity makes all parity again, by the page alone, and compares.
func (r *specReader) readParity(t *testing.T) {
	packs := r.list(t, "packs/*/*")
	covered := map[string]bool{}
	for _, object := range r.list(t, "parity/stripes/*") {
		r.readStripe(t, object, covered)
	}
	for _, object := range packs {
		id := path.Base(object)
		if !covered[id] {
			t.Errorf("%s is in no stripe", object)
		}
		r.readPackParity(t, "parity/"+id[:2]+"/"+id, id, r.object(t, object))
	}
}

// head checks the frame of a parity object and returns its head and body.
func (r *specReader) head(t *testing.T, object, magic string) (head, body []byte) {
	t.Helper()
	data := r.object(t, object)
	end := len(data) - 16
	n := int(le.Uint64(data[end:]))
	head = data[:n]
	if string(head[:4]) != magic || le.Uint16(head[4:]) != 1 || !bytes.Equal(head, data[end-n:end]) ||
		xxhash.Sum64(head[:n-8]) != le.Uint64(head[n-8:]) {
		t.Fatalf("%s: its heads do not add up", object)
	}
	return head, data[n : end-n]
}

func (r *specReader) readPackParity(t *testing.T, object, id string, pack []byte) {
	head, body := r.head(t, object, "MHVr")
	size := min(((len(pack)+63)/64+4095)/4096*4096, len(pack))
	n := (len(pack) + size - 1) / size
	p := min(5, n)
	if int(le.Uint16(head[8:])) != n || int(le.Uint16(head[10:])) != p || int(le.Uint32(head[12:])) != size ||
		hex.EncodeToString(head[16:32]) != id || int(le.Uint64(head[32:])) != len(pack) ||
		!bytes.Equal(head[40:48], pack[len(pack)-8:]) || len(body) != p*size || len(head) != 64+8*(n+p)+8 {
		t.Fatalf("%s: %d+%d shards of %d for a pack of %d bytes: % x", object, n, p, size, len(pack), head[:48])
	}
	all := append(append([]byte(nil), pack...), make([]byte, n*size-len(pack))...)
	for i := range n + p {
		shard := make([]byte, size)
		if i < n {
			copy(shard, all[i*size:])
		} else {
			for c := range n {
				factor := inverse(byte(i) ^ byte(c))
				for k := range shard {
					shard[k] ^= product(factor, all[c*size+k])
				}
			}
			if !bytes.Equal(shard, body[(i-n)*size:][:size]) {
				t.Errorf("%s: parity shard %d", object, i-n)
			}
		}
		if xxhash.Sum64(shard) != le.Uint64(head[64+8*i:]) {
			t.Errorf("%s: checksum of shard %d", object, i)
		}
	}
}

func (r *specReader) readStripe(t *testing.T, object string, covered map[string]bool) {
	head, body := r.head(t, object, "MHVx")
	m := int(le.Uint16(head[6:]))
	table := head[64:][:32*m]
	sum := sha256.Sum256(table)
	if hex.EncodeToString(sum[:16]) != path.Base(object) || !bytes.Equal(head[16:32], sum[:16]) ||
		int(le.Uint64(head[32:])) != len(body) || le.Uint32(head[12:]) != 65536 {
		t.Fatalf("%s: head", object)
	}
	rest := make([]byte, len(body))
	for row := table; len(row) > 0; row = row[32:] {
		id := hex.EncodeToString(row[:16])
		pack := r.object(t, "packs/"+id[:2]+"/"+id)
		if int(le.Uint32(row[16:])) != len(pack) || !bytes.Equal(row[24:32], pack[len(pack)-8:]) {
			t.Errorf("%s: row of pack %s", object, id)
		}
		for i, b := range pack {
			rest[i] ^= b
		}
		covered[id] = true
	}
	if !bytes.Equal(rest, body) {
		t.Errorf("%s is not the exclusive or of its packs", object)
	}
	for i := 0; i*65536 < len(body); i++ {
		if xxhash.Sum64(body[i*65536:min((i+1)*65536, len(body))]) != le.Uint64(head[64+32*m+8*i:]) {
			t.Errorf("%s: checksum %d of the body", object, i)
		}
	}
}

// product multiplies in GF(2^8) with the polynomial 11D.
func product(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a >> 7
		a <<= 1
		a ^= carry * 0x1d
	}
	return p
}

func inverse(a byte) byte {
	for b := byte(1); b != 0; b++ {
		if product(a, b) == 1 {
			return b
		}
	}
	return 0
}
