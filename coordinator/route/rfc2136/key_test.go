package rfc2136

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		keyFile("Mahavishnu", SHA256, goodSecret): "mahavishnu. (hmac-sha256)",
		"// made by hand\nkey ha.example. { # two\n secret \"" + goodSecret + "\"; /* and\n*/ algorithm HMAC-SHA512; };": "ha.example. (hmac-sha512)",
		"key k {algorithm hmac-sha256;secret " + goodSecret + ";};":                                                      "k. (hmac-sha256)",
	} {
		k, err := ParseKey(text)
		if err != nil || k.String() != want || k.secret != goodSecret {
			t.Errorf("%s: %v, %v", text, k, err)
		}
	}
	for _, text := range []string{
		"", "key", "key {};", `key "k" { };`,
		keyFile("k", "hmac-md5", goodSecret),
		keyFile("k", SHA256, "not base64!"),
		keyFile("k", SHA256, "c2hvcnQ="),
		keyFile("k", SHA256, goodSecret) + keyFile("l", SHA256, goodSecret),
		`key "k" { algorithm hmac-sha256; algorithm hmac-sha256; secret "` + goodSecret + `"; };`,
		`key "k" { algorithm hmac-sha256; secret "` + goodSecret + `"; }`,
		`key "k" { algorithm hmac-sha256; secret "` + goodSecret,
		"/* " + keyFile("k", SHA256, goodSecret),
	} {
		k, err := ParseKey(text)
		if err == nil {
			t.Errorf("%q was read as %v", text, k)
		} else if strings.Contains(err.Error(), goodSecret) || strings.Contains(err.Error(), "c2hvcnQ=") || strings.Contains(err.Error(), "not base64!") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// TestReadKeyOfBind reads what BIND's own program writes.
func TestReadKeyOfBind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "made.key")
	for _, algorithm := range []string{SHA256, SHA512} {
		out, err := exec.CommandContext(t.Context(), program(t, "tsig-keygen"), "-a", algorithm, "mahavishnu").Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := ReadKey(path); err != nil || k.algorithm != algorithm || k.Name() != "mahavishnu." {
			t.Errorf("%s: %v, %v", algorithm, k, err)
		}
	}
	if _, err := ReadKey(path + ".missing"); err == nil {
		t.Error("a missing file was read")
	}
	if err := os.WriteFile(path, []byte(goodSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := ReadSecret("mahavishnu", SHA256, path); err != nil || k.secret != goodSecret {
		t.Errorf("secret file: %v, %v", k, err)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	k, err := NewKey("k", SHA256, goodSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{k.String(), fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%+v", Options{Key: k})} {
		if strings.Contains(printed, goodSecret) {
			t.Errorf("printed: %s", printed)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(keyFile("k", SHA256, goodSecret))
	f.Add("key \"k\" { /* */ # \n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			return
		}
		again, err := ParseKey(keyFile(k.name, k.algorithm, k.secret))
		if err != nil || again != k {
			t.Errorf("%v was written and read as %v: %v", k, again, err)
		}
	})
}
