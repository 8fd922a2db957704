package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 99, time.UTC)

// equal compares the keys themselves.
func equal(a, b *Ring) bool {
	return a.idKey == b.idKey && a.created.Equal(b.created) && slices.EqualFunc(a.versions, b.versions, func(x, y version) bool {
		return x.number == y.number && x.key == y.key && x.created.Equal(y.created) && x.dropped.Equal(y.dropped) && x.fingerprint == y.fingerprint
	})
}

func TestCreateLoadRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "key")
	made, err := Create(path, now)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil || !equal(made, loaded) {
		t.Fatalf("Load = %v, %v; want what was created", loaded, err)
	}
	if _, err := Create(path, now); !errors.Is(err, ErrExists) {
		t.Fatalf("Create over a ring = %v, want ErrExists", err)
	}
	rotated, err := Rotate(path, now.Add(time.Hour))
	if err != nil || rotated.Current() != 2 || rotated.Fingerprint() != made.Fingerprint() {
		t.Fatalf("Rotate = %v, %v", rotated, err)
	}
	loaded, err = Load(path)
	if err != nil || !equal(rotated, loaded) {
		t.Fatalf("Load after Rotate = %v, %v", loaded, err)
	}
	v := loaded.Versions()
	if len(v) != 2 || v[0].Current || !v[1].Current || v[0].Fingerprint == v[1].Fingerprint {
		t.Errorf("Versions = %+v", v)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 && runtime.GOOS != "windows" {
		t.Errorf("%d files beside the ring (%v)", len(entries)-1, err)
	}
}

func TestRotationsAtOnceLoseNoVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if _, err := Create(path, now); err != nil {
		t.Fatal(err)
	}
	const n = 8
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := Rotate(path, now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := Load(path)
	if err != nil || r.Current() != n+1 {
		t.Fatalf("after %d rotations the version is %d, %v", n, r.Current(), err)
	}
}

func TestRotateFollowsALink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "key"), filepath.Join(dir, "link")
	if _, err := Create(path, now); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	rotated, err := Rotate(link, now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || !equal(got, rotated) {
		t.Errorf("the ring behind the link has another content: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is not one any more: %v, %v", info, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, ErrNoRing) {
		t.Errorf("Load of nothing = %v", err)
	}
	if _, err := Load(dir); err == nil || strings.Contains(fmt.Sprint(fault.Hints(err)), "chmod") {
		t.Errorf("Load of a directory = %v, %q", err, fault.Hints(err))
	}
	if _, err := Create(dir, now); err == nil || errors.Is(err, ErrExists) {
		t.Errorf("Create over a directory = %v", err)
	}
	path := filepath.Join(dir, "key")
	if _, err := Create(path, now); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		return // access lists instead of modes
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o622, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Errorf("Load with mode %o = %v, want ErrMode that shows it", mode, err)
		}
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	data := Generate(now).marshal()
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if r, err := Parse(bad); err == nil && !equal(r, mustParse(t, data)) {
			t.Errorf("byte %d (%q) was changed and another ring came out", i, data[i])
		}
		if _, err := Parse(data[:i]); err == nil && i < len(data)-1 {
			t.Errorf("cut after %d of %d bytes: no error", i, len(data))
		}
	}
}

func mustParse(t *testing.T, data []byte) *Ring {
	t.Helper()
	r, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNothingPrintsAKey(t *testing.T) {
	r := Generate(now)
	secret := fmt.Sprintf("%x", r.idKey[:4])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{r, *r, struct{ R *Ring }{r}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%d", r.idKey[:3])) {
				t.Errorf("%s shows a key: %.60s", verb, got)
			}
		}
	}
}

func TestDerivedKeysDiffer(t *testing.T) {
	r := Generate(now).Rotated(now)
	seen := map[string]string{}
	note := func(what string, key []byte) {
		t.Helper()
		if other, ok := seen[string(key)]; ok {
			t.Errorf("%s and %s have the same key", what, other)
		}
		seen[string(key)] = what
	}
	for _, salt := range []string{"a", "b"} {
		for _, info := range []string{"x", "y"} {
			note("id "+salt+info, r.DeriveID([]byte(salt), info, 32))
			for v := uint32(1); v <= 2; v++ {
				key, err := r.DeriveSeal(v, []byte(salt), info)
				if err != nil {
					t.Fatal(err)
				}
				note(fmt.Sprint("seal ", v, salt, info), key)
			}
		}
	}
	if _, err := r.DeriveSeal(3, nil, ""); !errors.Is(err, ErrNoVersion) {
		t.Errorf("version 3 of 2 = %v", err)
	}
}

func TestRecovery(t *testing.T) {
	two := Generate(now).Rotated(now.Add(time.Hour))
	dropped, err := two.Without(1, now.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Ring{"two versions": two, "one of two dropped": dropped} {
		t.Run(name, func(t *testing.T) { recovers(t, r) })
	}
}

func recovers(t *testing.T, r *Ring) {
	text := r.RecoveryText()
	typed := strings.ToUpper(strings.ReplaceAll(text, "  ", " \t "))
	for name, text := range map[string]string{"printed": text, "typed": typed, "with noise": "\r\n\n" + text + "\nthank you\n"} {
		got, err := Recover(text)
		if err != nil || !equal(got, r) {
			t.Errorf("%s: Recover = %v, %v", name, got, err)
		}
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "id:") && !strings.HasPrefix(line, "1:") && !strings.HasPrefix(line, "2:") {
			continue
		}
		for j := strings.Index(line, ":") + 2; j < len(line); j++ {
			bad := []byte(line)
			if bad[j] == ' ' {
				continue
			}
			bad[j] = "10"[b2i(bad[j] == '1')]
			if string(bad) == line {
				continue
			}
			changed := slices.Clone(lines)
			changed[i] = string(bad)
			_, err := Recover(strings.Join(changed, "\n"))
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint("line ", i+1)) {
				t.Fatalf("character %d of line %d mistyped: %v, want an error that names the line", j, i+1, err)
			}
		}
		without := slices.Delete(slices.Clone(lines), i, i+1)
		if got, err := Recover(strings.Join(without, "\n")); err == nil && !strings.HasPrefix(line, "2:") {
			t.Errorf("without line %d: %v", i+1, got)
		}
	}
}

func TestDrop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring")
	if _, err := Create(path, now); err != nil {
		t.Fatal(err)
	}
	full, err := Rotate(path, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Drop(path, 2, now); !errors.Is(err, ErrCurrent) {
		t.Errorf("dropping the current version: %v", err)
	}
	if _, err := Drop(path, 7, now); !errors.Is(err, ErrNoVersion) {
		t.Errorf("dropping what never was: %v", err)
	}
	day := now.AddDate(0, 0, 1)
	left, err := Drop(path, 1, day)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil || !equal(loaded, left) {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	was, is := full.Versions(), loaded.Versions()
	if is[0].Fingerprint != was[0].Fingerprint || !is[0].Dropped.Equal(day.Truncate(time.Second)) || is[0].Current || !cmp.Equal(is[1], was[1]) || loaded.Current() != 2 {
		t.Errorf("versions %+v, before %+v", is, was)
	}
	if _, err := loaded.DeriveSeal(1, nil, "x"); !errors.Is(err, ErrNoVersion) || !strings.Contains(err.Error(), "dropped on "+day.Format(time.DateOnly)) {
		t.Errorf("the dropped version seals: %v", err)
	}
	if _, err := loaded.DeriveSeal(2, nil, "x"); err != nil {
		t.Errorf("the version that is left: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := full.versions[0].key
	if bytes.Contains(text, []byte(hex.EncodeToString(key[:]))) {
		t.Error("the dropped key is still in the file")
	}
	if _, err := Drop(path, 1, now); !errors.Is(err, ErrNoVersion) {
		t.Errorf("dropped twice: %v", err)
	}
	again, err := Rotate(path, day)
	if err != nil || again.Current() != 3 || again.Versions()[0].Dropped.IsZero() {
		t.Errorf("rotated after that: %+v, %v", again, err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestWriteNewKeepsTheRing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	r, err := Recover(Generate(now).RecoveryText())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteNew(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || !equal(got, r) {
		t.Fatalf("Load = %v, %v", got, err)
	}
	if diff := cmp.Diff(r.RecoveryText(), got.RecoveryText()); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Generate(now).marshal())
	if dropped, err := Generate(now).Rotated(now).Without(1, now); err == nil {
		f.Add(dropped.marshal())
	}
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err == nil && !equal(r, mustParse(t, r.marshal())) {
			t.Fatal("a ring does not survive writing and reading")
		}
	})
}

func FuzzRecover(f *testing.F) {
	f.Add(Generate(now).RecoveryText())
	if dropped, err := Generate(now).Rotated(now).Without(1, now); err == nil {
		f.Add(dropped.RecoveryText())
	}
	f.Add("id: x")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Recover(text); err == nil {
			if again, err := Recover(r.RecoveryText()); err != nil || !equal(r, again) {
				t.Fatal("a ring does not survive printing and typing")
			}
		}
	})
}

// What is no key ring is called that, whatever the mode of its file.
func TestLoadTellsWhatMattersMost(t *testing.T) {
	whole := Generate(now).marshal()
	for name, data := range map[string][]byte{"empty": nil, "cut off": whole[:len(whole)/2]} {
		path := filepath.Join(t.TempDir(), "ring")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || errors.Is(err, ErrMode) == (runtime.GOOS == "windows") {
			t.Fatalf("%s: Load = %v", name, err)
		}
		if _, want := Parse(data); !strings.HasPrefix(err.Error(), "read key ring "+path+": "+want.Error()) {
			t.Errorf("%s: %q does not begin with %q", name, err, want)
		}
	}
}
