package repository

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"mahavishnu/storage"
)

// Each object of a repository passes as itself alone: not when it is damaged, not under
// the name of another, and not when another repository's keys made it.
func TestJudge(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{Parity: StandardParity()})
	for i := range uint64(2) {
		s := startSession(t, r, SessionOptions{})
		mustSave(t, s, KindData, content(i, 5000))
		mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, content(100+i, 500)), Time: testTime.Add(time.Duration(i) * time.Hour)})
	}
	withKeys, keyless := NewJudge(r.Config(), ring), NewJudge(r.Config(), nil)
	strange := NewJudge(r.Config(), newRing())
	last := map[string]string{} // by kind
	for name, data := range everything(t, r.Backend()) {
		kind := KindOf(name)
		before := bytes.Clone(data)
		for who, j := range map[string]*Judge{"with keys": withKeys, "without": keyless} {
			if err := j.Whole(name, data); err != nil {
				t.Errorf("%s, %s: %v", name, who, err)
			}
			if kind == ObjectUnknown {
				continue
			}
			for _, broken := range [][]byte{nil, data[:len(data)/2], flipped(data)} {
				if j.Whole(name, broken) == nil {
					t.Errorf("%s, %s: %d bytes of %d pass", name, who, len(broken), len(data))
				}
			}
		}
		if sealed := kind != ObjectConfig && kind != ObjectParity && kind != ObjectUnknown; sealed {
			if strange.Whole(name, data) == nil {
				t.Errorf("%s passes under the keys of another ring", name)
			}
			if other := last[kind]; other != "" && bareName(other) != bareName(name) && withKeys.Whole(other, data) == nil {
				t.Errorf("%s passes as %s", name, other)
			}
		}
		last[kind] = name
		if !bytes.Equal(data, before) {
			t.Errorf("%s: data was changed", name)
		}
	}
	for _, kind := range []string{ObjectConfig, ObjectPack, ObjectParity, ObjectIndex, ObjectSnapshot} {
		if last[kind] == "" {
			t.Errorf("no object of the kind %s was judged", kind)
		}
	}
}

func bareName(name string) string { return strings.TrimPrefix(name, copyPrefix) }

func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	return data
}

func everything(t *testing.T, be storage.Backend) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	ctx := context.WithoutCancel(t.Context())
	err := be.List(ctx, "", func(info storage.Info) error {
		data, err := storage.ReadAll(ctx, be, info.Name, 1<<30, nil)
		all[info.Name] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
