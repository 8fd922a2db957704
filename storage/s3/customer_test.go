package s3_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
)

// key32 is a key in base64, and its MD5.
var (
	key32    = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	key32MD5 = "hRasmdxgYDKV3nvbahU1MA=="
)

// A customer's key goes along with whatever touches an object's bytes, and with
// nothing else.
func TestCustomerKey(t *testing.T) {
	s := servers.S3(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key32+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]s3.Config{"value": {CustomerKey: key32}, "file": {CustomerKeyFile: file}} {
		t.Run(name, func(t *testing.T) {
			var with, without []string
			seen := tapped(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				h := r.Header
				if h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") == "AES256" &&
					h.Get("X-Amz-Server-Side-Encryption-Customer-Key") == key32 && h.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == key32MD5 {
					with = append(with, r.Method)
				} else {
					without = append(without, r.Method)
				}
				return next.RoundTrip(r)
			})
			config := configure(s, "p")
			config.SSE, config.CustomerKey, config.CustomerKeyFile, config.Wrap = "customer", c.CustomerKey, c.CustomerKeyFile, seen.Wrap
			be := open(t, config)
			put(t, be, "a", "0123456789", backend.PutOptions{})
			wantText(t, be, "a", "0123456789")
			if got, err := read(t.Context(), be, "a", 2, 3); err != nil || string(got) != "234" {
				t.Errorf("range: %q, %v", got, err)
			}
			if _, err := be.Stat(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			if err := be.List(t.Context(), "", func(backend.Info) error { return nil }); err != nil {
				t.Error(err)
			}
			if got := strings.Join(with, " "); got != "PUT GET GET HEAD" {
				t.Errorf("the key went along with %s", got)
			}
			if got := strings.Join(without, " "); got != "GET" {
				t.Errorf("the key did not go along with %s", got)
			}
		})
	}
}

func TestBadCustomerKeys(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]s3.Config{
		"none":        {SSE: "customer"},
		"other sse":   {SSE: "kms", CustomerKey: key32},
		"both":        {SSE: "customer", CustomerKey: key32, CustomerKeyFile: short},
		"short":       {SSE: "customer", CustomerKey: "hunter2"},
		"short file":  {SSE: "customer", CustomerKeyFile: short},
		"no file":     {SSE: "customer", CustomerKeyFile: filepath.Join(dir, "none")},
		"no encoding": {SSE: "customer", CustomerKey: strings.Repeat("hunter2!", 4)},
	} {
		c.Bucket, c.Region = "backups", "r"
		_, err := s3.Open(t.Context(), c)
		if err == nil || len(fault.Hints(err)) == 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, hints %q", name, err, fault.Hints(err))
		}
	}
}
