package lease

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// FuzzTicket reads tickets: what is accepted decides something, and is written as
// it was read.
func FuzzTicket(f *testing.F) {
	for _, t := range []ticket{{Outcome: fenced, By: "x"}, {Outcome: committed, Snapshot: "snapshots/a/b", sealed: []byte("MHVs\n")}} {
		text, err := t.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decodeTicket(text)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatalf("not told as damage: %v", err)
			}
			return
		}
		if (got.Outcome == committed) != (len(got.sealed) > 0) || got.Outcome != committed && got.Outcome != fenced {
			t.Fatalf("accepted: %+v", got)
		}
		again, err := got.encode()
		if err != nil {
			t.Fatal(err)
		}
		second, err := decodeTicket(again)
		if err != nil || second.Outcome != got.Outcome || second.Snapshot != got.Snapshot || !bytes.Equal(second.sealed, got.sealed) {
			t.Fatalf("%+v is written as %q, which reads as %+v, %v", got, again, second, err)
		}
	})
}

// FuzzSession reads what else is below gc/: names, descriptions, notes, claims.
func FuzzSession(f *testing.F) {
	f.Add("0123456789abcdef0123456789abcdef", []byte(`{"role":"backup","ttl":120,"started":"2026-11-23T02:00:00Z"}`))
	f.Add("0123456789ABCDEF0123456789abcdef", []byte(`{"0123456789abcdef0123456789abcdef":{"pulse":3,"since":"2026-11-23T02:00:00Z"}}`))
	f.Add("", []byte(`{"names":["snapshots/a/b"],"session":"0123456789abcdef0123456789abcdef"}`))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if id, ok := parseID(name); ok && id.String() != name {
			t.Fatalf("%q reads as %s", name, id)
		}
		var id ID
		if id.UnmarshalText(text) == nil && id.String() != string(text) {
			t.Fatalf("%q reads as %s", text, id)
		}
		var info Info
		if json.Unmarshal(text, &info) == nil {
			_ = Session{Info: info}.String()
		}
		seen := map[ID]sighting{}
		_ = json.Unmarshal(text, &seen)
		var c claimText
		_ = json.Unmarshal(text, &c)
	})
}
